"""Votes: asking for more of them, and making training rows of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pg_envs.values.items import Item
from pg_envs.values.survey import Comparison

MOST_REPETITIONS = 5
"""A forecast vote counts as at most so many rows (ProgressGym)."""


def collect(env: Any, observation: dict[str, Any], votes_per_comparison: int) -> np.ndarray:
    """(A, Q) int8 votes: the observation's, and A - 1 more asked on the whole survey (counted as questions).

    Raises:
        ValueError: If ``votes_per_comparison`` is below 1.
        QueryBudgetExceeded: If the environment does not allow so many questions.
    """
    if votes_per_comparison < 1:
        raise ValueError(f"votes_per_comparison={votes_per_comparison}: expected at least 1, the observation's own")
    votes = observation["votes"][None]
    if votes_per_comparison > 1:
        more = env.ask(tuple(env.survey) * (votes_per_comparison - 1))
        votes = np.concatenate([votes, more.reshape(votes_per_comparison - 1, -1)])
    return votes


def mean_vote(votes: np.ndarray) -> np.ndarray:
    """(Q,) float64 in [-1, 1]: the mean of (A, Q) votes over those that are valid; NaN where none is."""
    n_valid = np.count_nonzero(votes, axis=0)
    return np.where(n_valid > 0, votes.sum(axis=0, dtype=np.float64) / np.maximum(n_valid, 1), np.nan)


def repeat_by_size(forecast: np.ndarray) -> np.ndarray:
    """(5, Q) int8 votes from a forecast of single votes: each ``|v|`` times, at most 5, with its sign; 0 gives none (ProgressGym)."""
    whole = np.rint(np.nan_to_num(forecast))
    n_rows = np.minimum(np.abs(whole), MOST_REPETITIONS)
    return np.where(np.arange(MOST_REPETITIONS)[:, None] < n_rows, np.sign(whole), 0).astype(np.int8)


def share_out(soft: np.ndarray, n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """(n_rows, Q) int8 votes whose mean is ``soft`` clipped to [-1, 1], up to rounding; what is left over is drawn.

    NaN (nobody answered) gives no votes; a soft vote of 0 gives as many for one side as for the other.
    """
    expected = n_rows * (1 + np.clip(soft, -1, 1)) / 2
    n_first = np.floor(expected + rng.random(soft.shape))
    votes = np.where(np.arange(n_rows)[:, None] < n_first, 1, -1)
    return np.where(np.isnan(soft), 0, votes).astype(np.int8)


def at_most_per_item(votes: np.ndarray, survey: Sequence[Comparison], most: int, rng: np.random.Generator) -> np.ndarray:
    """The (R, Q) votes, where of the comparisons of one item that have votes only ``most``, drawn, keep theirs; the rest are 0."""
    kept = np.zeros(votes.shape[1], dtype=bool)
    n_kept: Counter[Item] = Counter()
    for index in rng.permutation(np.flatnonzero(votes.any(axis=0))):
        item = survey[index].item
        kept[index] = n_kept[item] < most
        n_kept[item] += 1
    return np.where(kept, votes, 0).astype(votes.dtype)
