"""The tab that asks a dozen items and says which century answers most like its visitor."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr
import numpy as np

from pg_envs.app.likeness import N_ITEMS, SLIPS, answer_probabilities, posterior, share_recognised, smallest_set, telling_items
from pg_envs.app.markup import note, text
from pg_envs.history.model_history import ModelHistory

ABOUT = (
    f"Answer {N_ITEMS} items of the questionnaire; skip what you like. Your answers are compared with those of language models, not of "
    "people who lived. They go to the machine that runs this page, and are not kept."
)


class Likeness:
    """A dozen items, how each century answers them, and how well they tell centuries apart."""

    def __init__(self, history: ModelHistory) -> None:
        """Choose the items that tell most, out of the survey."""
        tables = answer_probabilities(history, history.survey.questionnaire.items)
        self.labels = history.labels
        self.items = telling_items(tables)
        self.tables = [tables[item] for item in self.items]
        self.recognised, self.nearly = share_recognised(self.tables, np.random.default_rng(0))

    def page(self, answers: Sequence[int | None]) -> str:
        """What answers say, as HTML: each century's probability, and what it rests on."""
        n_answered = sum(answer is not None for answer in answers)
        if n_answered == 0:
            return note("Answer at least one item: without answers every century is as likely as any other.")
        probabilities = posterior(self.tables, answers)
        best = int(probabilities.argmax())
        likely = [self.labels[index] for index in smallest_set(probabilities)]
        rows = "".join(
            f'<tr><th scope="row">{text(label)}</th><td><span class="pg-bar" style="width: {70 * p:.1f}%"></span>{100 * p:.0f}%</td></tr>'
            for label, p in zip(self.labels, probabilities, strict=True)
        )
        if len(likely) == 1:
            sure = f"The model gives {likely[0]} at least 90%."
        else:
            sure = f"Do not stop at that one: it takes {len(likely)} centuries, {', '.join(likely)}, to make up 90%."
        return (
            f"<h3>{text(self.labels[best])} answers most like you, with {100 * probabilities[best]:.0f}%</h3>{note(sure)}"
            f'<table class="pg-table pg-bars"><caption>Probability of each century</caption><tbody>{rows}</tbody></table>'
            f"{note(self.trust)}{note(formula(n_answered))}"
        )

    @property
    def trust(self) -> str:
        """How far to trust the answer."""
        return (
            f"How far to trust this: of imagined visitors who answer all {len(self.items)} items exactly as one century does, "
            f"{100 * self.recognised:.0f}% are given their own century, and {100 * self.nearly:.0f}% it or a neighbour. You are not one of "
            "them: the formula assumes that nobody but these centuries exists, and that answers do not hang together, which is not "
            "true of people."
        )


def formula(n_answered: int) -> str:
    """What was computed."""
    return (
        f"P(century | answers) is proportional to the product over your {n_answered} answers of (1 - e) P(answer | century) + e / options, "
        f"with e = {SLIPS} for slips, and every century as likely beforehand."
    )


def build(history: ModelHistory) -> None:
    """Lay out the tab; the humans' answers are read now."""
    likeness = Likeness(history)
    gr.HTML(note(ABOUT))
    answers = []
    for number, item in enumerate(likeness.items, start=1):
        choices = [(option, index) for index, option in enumerate(item.options)]
        answers.append(gr.Radio(choices, label=f"{number}. {item.context}", elem_classes="pg-item"))
    ask = gr.Button("Which century?", variant="primary")
    shown = gr.HTML(elem_id="pg-likeness")
    ask.click(lambda *chosen: likeness.page(chosen), answers, shown, api_visibility="private")
