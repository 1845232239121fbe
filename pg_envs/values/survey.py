"""The survey: comparisons that humans vote on, and the votes as training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pg_envs.values.forms import FORMS, forms_for
from pg_envs.values.items import Item

if TYPE_CHECKING:
    from datasets import Dataset

VoteRule = Literal["sample", "majority"]
VOTE_RULES: tuple[VoteRule, ...] = ("sample", "majority")
VOTE_FORMS = ("ab", "4c_fav")
"""Humans are asked in the forms with one-letter answers: one short prompt per order."""


class ComparisonError(ValueError):
    """What is no comparison, or one of options that there are not; the message says what was expected."""


@dataclass(frozen=True)
class Comparison:
    """Two options of one item, put side by side.

    Attributes:
        item: The questionnaire item.
        first: Index of the option that a vote of +1 prefers.
        second: Index of the option that a vote of -1 prefers.
    """

    item: Item
    first: int
    second: int

    def __post_init__(self) -> None:
        """Refuse options that the item does not have, and one compared with itself.

        Raises:
            ComparisonError: Naming them.
        """
        if not isinstance(self.item, Item):
            raise ComparisonError(f"a comparison of {self.item!r}: expected an Item, such as env.unwrapped.survey[0].item")
        places = range(len(self.item.options))
        if self.first not in places or self.second not in places or self.first == self.second:
            raise ComparisonError(
                f"a comparison of options {self.first!r} and {self.second!r}: expected two different ones out of 0 to {len(places) - 1}, "
                f"as {self.item.item_id} has {len(places)}"
            )

    @property
    def texts(self) -> tuple[str, str]:
        """The two options' texts."""
        return self.item.options[self.first], self.item.options[self.second]


def make_comparisons(items: Sequence[Item]) -> tuple[Comparison, ...]:
    """Every pair of options of every item: one for two-option items, six for four-option ones."""
    return tuple(Comparison(item, i, j) for item in items for i, j in combinations(range(len(item.options)), 2))


def check_comparisons(comparisons: Any) -> None:
    """Make sure that these are comparisons, in a list or the like.

    Raises:
        ComparisonError: Naming the first that is none.
    """
    if not isinstance(comparisons, Sequence):
        raise ComparisonError(f"comparisons={comparisons!r}: expected a list of Comparison, such as env.unwrapped.survey[:5]")
    for index, comparison in enumerate(comparisons):
        if not isinstance(comparison, Comparison):
            raise ComparisonError(f"comparisons[{index}]={comparison!r}: expected a Comparison, such as env.unwrapped.survey[{index}]")


def first_preferred(comparison: Comparison, option_probabilities: np.ndarray) -> float:
    """P(first over second) from the (K,) probabilities of the item's options, by Luce's choice axiom: p_i / (p_i + p_j).

    NaN, no valid answer, stays NaN.
    """
    p, q = option_probabilities[comparison.first], option_probabilities[comparison.second]
    return 0.5 if p + q == 0 else float(p / (p + q))


def cast_votes(probabilities: np.ndarray, rule: VoteRule, rng: np.random.Generator) -> np.ndarray:
    """(Q,) int8 votes from (Q,) probabilities of preferring the first option.

    Args:
        probabilities: In [0, 1]; NaN (no valid answer) gives 0.
        rule: ``sample`` draws +1 with the probability, else -1; ``majority`` takes the larger side, 0 at exactly 1/2.
        rng: Source of the draws; used only by ``sample``.
    """
    if rule == "sample":
        drawn = rng.random(probabilities.shape)
        first, second = drawn < probabilities, drawn >= probabilities
    else:
        first, second = probabilities > 0.5, probabilities < 0.5
    # NaN compares as False with everything, so that it gives 0.
    return first.view(np.int8) - second.view(np.int8)


def to_preference_dataset(survey: Sequence[Comparison], votes: np.ndarray, rng: np.random.Generator, letters_only: bool = True) -> Dataset:
    """Turn votes into preference data for TRL's trainers.

    Each row asks a vote's item in one question form and one order of the options, drawn with ``rng``: of several votes on
    a comparison none is put the same way before every way was taken, so that neither a form nor a place is favoured.

    Args:
        survey: The comparisons.
        votes: (Q,) in {-1, 0, 1}, or (R, Q) for up to R rows a comparison; zeros give no rows.
        rng: Source of forms and orders.
        letters_only: Use only the forms whose answer is a letter or a word, which are short; else all forms.

    Returns:
        ``datasets.Dataset`` with conversational ``prompt``, ``chosen``, ``rejected``, and ``item``, the content hash of what was voted on.

    Raises:
        ValueError: If survey and votes differ in length.
    """
    from datasets import Dataset

    votes = np.atleast_2d(votes)
    if len(survey) != votes.shape[1]:
        raise ValueError(f"{votes.shape[1]} votes for {len(survey)} comparisons; expected one vote a comparison")
    rows = []
    for comparison, on_it in zip(survey, votes.T, strict=True):
        cast = on_it[on_it != 0]
        if not len(cast):
            continue
        item = comparison.item
        forms = [form for form in forms_for(len(item.options)) if form.letters or not letters_only]
        ways = [(form, order) for form in forms for order in form.orders]
        for vote, way in zip(cast, np.resize(rng.permutation(len(ways)), len(cast)), strict=True):
            preferred, other = (comparison.first, comparison.second)[:: 1 if vote > 0 else -1]
            form, order = ways[way]
            answers = form.answers(item, order)
            rows.append(
                {
                    "prompt": [{"role": "user", "content": form.prompt(item, order)}],
                    "chosen": [{"role": "assistant", "content": answers[order.index(preferred)]}],
                    "rejected": [{"role": "assistant", "content": answers[order.index(other)]}],
                    "item": item.content_hash,
                }
            )
    return Dataset.from_list(rows)


def to_completion_dataset(items: Sequence[Item], probabilities: Sequence[np.ndarray], rng: np.random.Generator) -> Dataset:
    """Turn (K,) option probabilities of items into drawn answers for TRL's ``SFTTrainer``.

    Every item is asked once in every letter form, in a drawn order, and answered by a draw from its
    probabilities; items without a valid answer (NaN) are left out.

    Returns:
        ``datasets.Dataset`` with conversational ``prompt`` and ``completion``.
    """
    from datasets import Dataset

    rows = []
    for item, p in zip(items, probabilities, strict=True):
        if np.isnan(p).any():
            continue
        for form in FORMS.values():
            if form.n_options != len(item.options) or form.whole_answer:
                continue
            order = form.orders[rng.integers(len(form.orders))]
            option = int(rng.choice(len(p), p=p / p.sum()))
            rows.append(
                {
                    "prompt": [{"role": "user", "content": form.prompt(item, order)}],
                    "completion": [{"role": "assistant", "content": form.answers(item, order)[order.index(option)]}],
                }
            )
    return Dataset.from_list(rows)
