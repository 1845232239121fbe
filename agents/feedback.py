"""AI feedback: by how much is one of two answers better than the other, by one principle?

Feedback is log-odds: log P(first is better) - log P(second is better), in nats, from both orders of the two answers, so that a
model's liking for a place cancels out. Published code for MORLAIF (arXiv 2406.07295) asks in one order only, where such a liking leaks in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from agents.principles import Principle, PrincipleError
from pg_envs.models.engine import Engine
from pg_envs.models.ref import ModelRef
from pg_envs.values.items import Item
from pg_envs.values.survey import Comparison

FeedbackKind = Literal["labels", "humans", "policy", "model"]
Feedback = Callable[[Principle, Sequence[Comparison]], np.ndarray]
"""(Q,) float64 log-odds of each comparison's first option by a principle; 0 where neither is better, NaN where there is no valid answer."""

LETTERS = ("A", "B")


def judged_by(
    engine: Engine, model: ModelRef, principle: Principle, prompts: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> np.ndarray:
    """(B,) log-odds of the first of two answers to each prompt, from a model's log-probabilities of A and B in both orders.

    With d as ``judged_in_one_order`` gives it, this is (d(first, second) - d(second, first)) / 2: a bonus for the letter A falls out.
    """
    swapped = [(second, first) for first, second in pairs]
    both = [judged_in_one_order(engine, model, principle, prompts, order) for order in (pairs, swapped)]
    return (both[0] - both[1]) / 2


def judged_in_one_order(
    engine: Engine, model: ModelRef, principle: Principle, prompts: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> np.ndarray:
    """(B,) log P(A) - log P(B), the first of two answers being called A: what published code takes for feedback."""
    questions = [f"{prompt}\nA: {a}\nB: {b}\n{principle.question} Answer A or B." for prompt, (a, b) in zip(prompts, pairs, strict=True)]
    scored = engine.choice_logprobs(model, questions, [LETTERS] * len(questions))
    return np.array([answer.total[0] - answer.total[1] for answer in scored])


def engine_feedback(engine: Engine, model: ModelRef) -> Feedback:
    """Feedback by any model that an engine runs."""

    def judge(principle: Principle, comparisons: Sequence[Comparison]) -> np.ndarray:
        return judged_by(engine, model, principle, [c.item.context for c in comparisons], [c.texts for c in comparisons])

    return judge


def human_feedback(env: Any, n_votes: int) -> Feedback:
    """Feedback by the century's humans, who are asked the principle's question (in both orders) and give ``n_votes`` votes on it."""

    def judge(principle: Principle, comparisons: Sequence[Comparison]) -> np.ndarray:
        asked = [Comparison(_put_by(principle, comparison), 0, 1) for comparison in comparisons]
        return _log_odds(_votes(env, asked, n_votes))

    return judge


def labelled_feedback(env: Any, n_votes: int) -> Feedback:
    """Feedback by the century's humans on what the questionnaire's labels say a value dimension is about; 0 on everything else.

    For models that do not understand a principle's question, such as histtiny.
    """

    def judge(principle: Principle, comparisons: Sequence[Comparison]) -> np.ndarray:
        if principle.dimension is None:
            raise PrincipleError(
                f"principle {principle.name!r} is no value dimension, so no label tells what it is about; choose feedback=humans"
            )
        about = np.array([principle.about(comparison) for comparison in comparisons], dtype=bool)
        log_odds = np.zeros(len(comparisons))
        if about.any():
            asked = [comparison for comparison, yes in zip(comparisons, about, strict=True) if yes]
            log_odds[about] = _log_odds(_votes(env, asked, n_votes))
        return log_odds

    return judge


def _votes(env: Any, comparisons: Sequence[Comparison], n_votes: int) -> np.ndarray:
    return env.ask(tuple(comparisons) * n_votes).reshape(n_votes, len(comparisons))


def _log_odds(votes: np.ndarray) -> np.ndarray:
    """(Q,) log-odds from (A, Q) votes: log((n_first + 1/2) / (n_second + 1/2)) (Haldane 1956, Anscombe 1956); NaN without a valid vote."""
    first, second = (votes > 0).sum(axis=0), (votes < 0).sum(axis=0)
    return np.where(first + second > 0, np.log((first + 0.5) / (second + 0.5)), np.nan)


def _put_by(principle: Principle, comparison: Comparison) -> Item:
    """The comparison's two options as an item of their own that asks the principle's question."""
    item = comparison.item
    context = f"{item.context} {principle.question}"
    return Item(f"{item.item_id} by {principle.name}", "foundation", item.theme, context, comparison.texts)
