"""The tab in which two centuries are talked to, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import gradio as gr
import numpy as np

from pg_envs.app.markup import note, text
from pg_envs.history.base import History
from pg_envs.history.recorded import RecordedHistory
from pg_envs.history.recording import RecordingError
from pg_envs.models.conversation import Message

MAX_CHARACTERS = 300
"""Of one message; the bundled models read 512 tokens in all."""
MAX_OFFERED = 20
"""Recorded questions to choose from."""
MAX_TURNS = 4
"""The last so many turns are what a model is shown."""
WHAT_HISTTINY_IS = (
    "You are talking to histtiny: language models of 4 million parameters, trained on old books and on answers drawn from a made-up "
    "(planted) table of values. They can answer questions like the survey's; in conversation they mostly ramble. Nothing they say is "
    "evidence of what anybody thought in any century."
)
WHAT_OTHERS_ARE = (
    "You are talking to language models. What they say is evidence of the text they were trained on, not of what anybody thought in "
    "any century."
)
WHAT_IS_RECORDED = (
    "Their replies were recorded: every message is answered by itself, whatever was said before, and only questions that were recorded, "
    "in exactly these words, have a reply."
)


class Talk:
    """Conversations with a history's centuries; one reply is made at a time."""

    def __init__(self, history: History) -> None:
        """Models load at the first reply."""
        self.history = history
        self.is_recorded = isinstance(history, RecordedHistory)
        # An odd number, so that what the model is shown begins with the visitor.
        self._n_shown = 1 if self.is_recorded else MAX_TURNS - 1
        self._rng = np.random.default_rng()
        # Engines run one model at a time.
        self._lock = Lock()

    @property
    def about(self) -> str:
        """Who is talked to."""
        who = WHAT_HISTTINY_IS if "histtiny" in self.history.name else WHAT_OTHERS_ARE
        return f"{who} {WHAT_IS_RECORDED}" if self.is_recorded else who

    @property
    def offered(self) -> list[str]:
        """Questions to choose from, where only some have a reply; else none."""
        prompts = self.history.recorded_prompts() if isinstance(self.history, RecordedHistory) else ()
        return [prompt for prompt in prompts if len(prompt) <= MAX_CHARACTERS][:MAX_OFFERED]

    def say(self, words: str, label: str, turns: Sequence[Message]) -> list[Message]:
        """The conversation after the visitor's words and the century's reply.

        Args:
            words: What the visitor says; a message too long is refused, not cut.
            label: The century's label.
            turns: What was said before.

        Raises:
            ValueError: If nothing is said, or too much, or there is no such century.
            RecordingError: If the humans are recorded and there is no reply to these words.
        """
        words = words.strip()
        if not 1 <= len(words) <= MAX_CHARACTERS:
            raise ValueError(f"a message has 1 to {MAX_CHARACTERS} characters, this one has {len(words)}; say it in other words")
        if label not in self.history.labels:
            raise ValueError(f"no century {label!r}; choose from {', '.join(self.history.labels)}")
        so_far = [*turns, {"role": "user", "content": words}]
        with self._lock:
            (reply,) = self.history.respond(self.history.human(self.history.labels.index(label)), [so_far[-self._n_shown :]], self._rng)
        return [*so_far, {"role": "assistant", "content": reply.strip() or "(says nothing)"}]


def conversation(label: str, turns: Sequence[Message]) -> str:
    """A conversation as HTML, which screen readers follow as it grows."""
    who = {"user": ("pg-you", "you"), "assistant": ("pg-they", label)}
    lines = []
    for turn in turns:
        style, name = who[turn["role"]]
        lines.append(f'<li class="{style}"><span class="pg-who">{text(name)}</span>{text(turn["content"])}</li>')
    opening = f'<ol class="pg-talk" role="log" aria-live="polite" aria-label="Conversation with {text(label)}">'
    return opening + "".join(lines) + "</ol>"


def build(history: History) -> None:
    """Lay out the tab."""
    talk = Talk(history)
    labels = list(history.labels)
    gr.HTML(note(talk.about))
    offered = gr.Radio(talk.offered, label="Recorded questions", visible=talk.is_recorded)
    words = gr.Textbox(label="Say to both", placeholder="Is it ever right to break a promise?", max_length=MAX_CHARACTERS, lines=1)
    with gr.Row():
        send = gr.Button("Send", variant="primary", min_width=120)
        clear = gr.Button("Start anew", min_width=120)
    problem = gr.HTML()
    sides = []
    with gr.Row():
        for name, label in (("First century", labels[0]), ("Second century", labels[-1])):
            with gr.Column(min_width=280):
                century = gr.Radio(labels, value=label, label=name)
                sides.append((century, gr.State([]), gr.HTML(elem_classes="pg-conversation")))
    (left, left_turns, left_shown), (right, right_turns, right_shown) = sides
    states = [left_turns, right_turns, left_shown, right_shown]

    def say(said: str, first: str, second: str, of_first: list[Message], of_second: list[Message]) -> tuple[object, ...]:
        try:
            one, two = talk.say(said, first, of_first), talk.say(said, second, of_second)
        except (ValueError, RecordingError) as error:
            return gr.update(), note(str(error)), *[gr.update()] * len(states)
        return "", "", one, two, conversation(first, one), conversation(second, two)

    offered.input(lambda question: question, offered, words, api_visibility="private", trigger_mode="always_last")
    said_by = [words, left, right, left_turns, right_turns]
    for trigger in (words.submit, send.click):
        trigger(say, said_by, [words, problem, *states], api_visibility="private", concurrency_id="models", concurrency_limit=1)
    clear.click(lambda: ([], [], "", ""), None, states, api_visibility="private")
    # Another century knows nothing of what was said.
    left.input(lambda: ([], ""), None, [left_turns, left_shown], api_visibility="private")
    right.input(lambda: ([], ""), None, [right_turns, right_shown], api_visibility="private")
