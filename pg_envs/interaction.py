"""Inside a century: the survey's questions as a trainer's task, what the humans answer, and how well a policy's answer fits them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pg_envs.models.conversation import ConversationError, Message, as_prompt, check_messages, exchange_sides
from pg_envs.values.forms import FORMS, Question, make_questions
from pg_envs.values.items import Item
from pg_envs.values.measure import match_answer
from pg_envs.values.survey import Comparison

if TYPE_CHECKING:
    from pg_envs.agent_view import AgentView

OBJECTIVES: tuple[str, ...] = ("agreement", "validity", "brevity")
"""What ``Interaction.score`` tells, each a float in [0, 1]; more is better."""
SHORT_FORMS = tuple(name for name, form in FORMS.items() if not form.whole_answer)


class Interaction:
    """A task for trainers that know nothing of environments: prompts, replies, scores.

    Always the century in view's: after ``env.step`` the same object asks and scores by the next century's humans. It is made of
    an ``AgentView``, so nothing that is evaluated can be reached from it, and questions to humans are ``ask``'s and ``respond``'s:
    counted, limited, and, where the view is of a wrapped environment, changed by its wrappers.
    """

    def __init__(self, view: AgentView, votes_per_comparison: int = 1) -> None:
        """Look at a century through ``view``; nothing is asked yet.

        Args:
            view: What an agent may see of an environment.
            votes_per_comparison: How many votes ``score`` asks for on a comparison, the first time in a century; their share
                tends to the humans' probability.

        Raises:
            TypeError: If the humans are no language models.
            ValueError: If ``votes_per_comparison`` is not a whole number, 1 or more.
        """
        if not view.speaks:
            raise TypeError(
                f"history {view.history_name!r} has no language models to interact with; use ask(), or choose a history that has, "
                "such as history='histtiny'"
            )
        if not isinstance(votes_per_comparison, int) or isinstance(votes_per_comparison, bool) or votes_per_comparison < 1:
            raise ValueError(f"votes_per_comparison={votes_per_comparison!r}: expected a whole number of votes, at least 1")
        self.votes_per_comparison = votes_per_comparison
        self._view = view
        by_item: dict[Item, list[Comparison]] = {}
        for comparison in view.survey:
            by_item.setdefault(comparison.item, []).append(comparison)
        self._items, self._comparisons = list(by_item), list(by_item.values())
        self._questions: list[list[Question]] = [[] for _ in self._items]
        for question in make_questions(self._items, SHORT_FORMS):
            self._questions[question.item_index].append(question)
        self._question_by_text = {question.prompt: question for of_item in self._questions for question in of_item}
        self._moment = view.moment
        self._votes: dict[Comparison, np.ndarray] = {}

    def prompts(self, seed: int, n: int | None = None) -> list[dict[str, Any]]:
        """Survey questions in a drawn order, each in a drawn short form and order of its options. Nobody is asked.

        Args:
            seed: The same seed gives the same prompts, in every century and every process.
            n: How many, the first ``n`` of what the seed gives; None for every item of the survey once.

        Returns:
            JSON-able rows with ``prompt``, the turns to be answered, from which ``score`` knows the question again; ``answers``, the
            valid answers; ``item_id``; and the ``seed``.

        Raises:
            ValueError: If there are not ``n`` items, or the seed is not a whole number, 0 or more.
        """
        if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
            raise ValueError(f"seed={seed!r}: expected a whole number, 0 or more")
        if n is not None and (not isinstance(n, int | np.integer) or isinstance(n, bool) or not 1 <= n <= len(self._items)):
            raise ValueError(
                f"n={n!r}: expected 1 to {len(self._items)} prompts, as many as the survey has items; use another seed for more"
            )
        rng = np.random.default_rng(seed)
        rows = []
        for index in rng.permutation(len(self._items))[:n]:
            question = self._questions[index][rng.integers(len(self._questions[index]))]
            rows.append(
                {
                    "prompt": [{"role": "user", "content": question.prompt}],
                    "answers": list(question.answers),
                    "item_id": self._items[index].item_id,
                    "seed": int(seed),
                }
            )
        return rows

    def reply(self, messages: Sequence[Message]) -> str:
        """What this century's humans (in Coevolve: the human proxy) say next; one question, as ``ProgressEnv.respond`` counts.

        Humans are language models, which write the assistant's turns. After a user's turn they are the assistant; after the
        assistant's, which is your policy's, user and assistant are exchanged for them, so that they are its user.

        Args:
            messages: ``role`` and ``content``, as chat templates take them.

        Raises:
            ConversationError: If there is nothing to reply to: no turns, one that is none, or a system turn at the end.
            QueryBudgetExceeded, RecordingError: As ``ProgressEnv.respond``.
        """
        check_messages(messages)
        if messages[-1]["role"] == "system":
            raise ConversationError("the last turn is the system's, to which nobody replies; end with a user's or an assistant's turn")
        heard = exchange_sides(messages) if messages[-1]["role"] == "assistant" else list(messages)
        return self._view.respond([as_prompt(heard)])[0]

    def score(self, messages: Sequence[Message]) -> dict[str, float]:
        """How well the last turn, the policy's, answers the last survey question before it.

        The humans are asked for votes on the comparisons of the chosen option with the item's others, which count as
        ``ProgressEnv.ask`` counts them; votes are kept, so that a comparison is asked about once in a century, and all answers to
        an item are judged by the same votes.

        Returns:
            For each of ``OBJECTIVES`` a float in [0, 1]:

            * ``agreement``: the share of these votes that the chosen option wins; 0 if none is chosen, 1/2 if no vote is valid.
            * ``validity``: 1 if the answer names an option (its first word is one of the prompt's ``answers``), else 0.
            * ``brevity``: 1 / the number of words; 0 without any.

        Raises:
            ConversationError: If the last turn is not the assistant's, or no user turn is one of ``prompts``.
            QueryBudgetExceeded: If the votes that are not known yet are more than the budget allows; nothing is asked then.
        """
        check_messages(messages)
        if messages[-1]["role"] != "assistant":
            raise ConversationError(f"the last turn is the {messages[-1]['role']}'s; expected the assistant's, whose answer is scored")
        question, answer = self._question_in(messages), messages[-1]["content"]
        place, n_words = match_answer(answer, question), len(answer.split())
        return {
            "agreement": 0.0 if place is None else self._agreement(question.item_index, question.order[place]),
            "validity": float(place is not None),
            "brevity": 1 / n_words if n_words else 0.0,
        }

    def _question_in(self, messages: Sequence[Message]) -> Question:
        for message in reversed(messages):
            if message["role"] == "user" and message["content"] in self._question_by_text:
                return self._question_by_text[message["content"]]
        raise ConversationError(
            f"no user turn of {list(messages)!r} is a question of the survey, so there is nothing to score the answer by; "
            "begin with a prompt of prompts(seed), word for word"
        )

    def _agreement(self, item_index: int, chosen: int) -> float:
        comparisons = [c for c in self._comparisons[item_index] if chosen in (c.first, c.second)]
        # A vote of +1 is for a comparison's first option.
        sides = np.array([[1 if c.first == chosen else -1] for c in comparisons])
        votes = sides * np.array(self._votes_on(comparisons))
        n_valid = np.count_nonzero(votes)
        return float(np.count_nonzero(votes > 0) / n_valid) if n_valid else 0.5

    def _votes_on(self, comparisons: Sequence[Comparison]) -> list[np.ndarray]:
        """(votes_per_comparison,) votes on each comparison."""
        if self._moment != self._view.moment:
            self._votes, self._moment = {}, self._view.moment
        new = [comparison for comparison in comparisons if comparison not in self._votes]
        if new:
            votes = self._view.ask(new * self.votes_per_comparison).reshape(self.votes_per_comparison, len(new))
            self._votes.update(zip(new, votes.T, strict=True))
        return [self._votes[comparison] for comparison in comparisons]
