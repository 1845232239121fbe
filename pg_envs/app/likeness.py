"""Which century answers most like somebody, and how sure one can be of it.

P(century c | answers a) is proportional to prod_i [(1 - e) P_c(a_i) + e / K_i]: Bayes' rule with every century as likely beforehand.
P_c(a_i) is the probability with which the century's humans give answer a_i to item i, K_i the item's number of options, and e = 0.05 the
share of answers that are taken to be slips, drawn at random: without it, one answer that a century never gives would rule it out. Items
not answered are left out. Answers are taken to be independent of each other given the century.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pg_envs.history.model_history import ModelHistory
from pg_envs.values.items import Item

SLIPS = 0.05
N_ITEMS = 12
N_SIMULATED = 2000
"""Imagined visitors of each century."""


def answer_probabilities(history: ModelHistory, items: Sequence[Item]) -> dict[Item, np.ndarray]:
    """For each item (C, K) probabilities of its options in each of the C centuries; items that some century did not answer are left out."""
    by_century = [history.option_probabilities(history.human(c), items) for c in range(history.n_centuries)]
    tables = {item: np.array([answers[item] for answers in by_century]) for item in items}
    return {item: table for item, table in tables.items() if not np.isnan(table).any()}


def telling_items(tables: Mapping[Item, np.ndarray], n_items: int = N_ITEMS) -> list[Item]:
    """The items whose answers tell most about the century, at most one a theme.

    By mutual information of answer and century, all centuries alike: the entropy of the mean answer less the mean entropy of the answers.

    Args:
        tables: As ``answer_probabilities`` gives them.
        n_items: How many at most.
    """
    ranked = sorted(tables, key=lambda item: (-information(tables[item]), item.content_hash))
    by_theme: dict[tuple[str, str], Item] = {}
    for item in ranked:
        by_theme.setdefault((item.group, item.theme), item)
    return list(by_theme.values())[:n_items]


def information(table: np.ndarray) -> float:
    """Mutual information in nats of century and answer, from (C, K) probabilities."""
    smoothed = with_slips(table)
    return float(_entropy(smoothed.mean(axis=0)) - _entropy(smoothed).mean())


def _entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(p)).sum(axis=-1)


def with_slips(table: np.ndarray) -> np.ndarray:
    """Probabilities of answers some of which are slips."""
    return (1 - SLIPS) * table + SLIPS / table.shape[-1]


def posterior(tables: Sequence[np.ndarray], answers: Sequence[int | None]) -> np.ndarray:
    """(C,) probabilities of the centuries given answers; all the same if nothing was answered.

    Args:
        tables: For each item asked (C, K) probabilities of its options.
        answers: For each the index of the option chosen, or None.

    Raises:
        ValueError: If there are not as many answers as items, or no such option.
    """
    log_likelihood = np.zeros(len(tables[0]))
    for table, answer in zip(tables, answers, strict=True):
        if answer is None:
            continue
        if not 0 <= answer < table.shape[1]:
            raise ValueError(f"answer {answer!r}: expected the index of one of {table.shape[1]} options, or None")
        log_likelihood += np.log(with_slips(table)[:, answer])
    weights = np.exp(log_likelihood - log_likelihood.max())
    return weights / weights.sum()


def share_recognised(tables: Sequence[np.ndarray], rng: np.random.Generator, n_visitors: int = N_SIMULATED) -> tuple[float, float]:
    """How often the most likely century is the true one, and how often it is at most one away, for visitors drawn from the centuries.

    Visitors answer every item as their century's humans do, slips included.

    Args:
        tables: For each item asked (C, K) probabilities.
        rng: Draws the answers.
        n_visitors: Of each century.
    """
    n_centuries = len(tables[0])
    log_likelihood = np.zeros((n_centuries, n_visitors, n_centuries))
    for table in map(with_slips, tables):
        below = np.cumsum(table, axis=1)[:, None, :-1]
        drawn = (rng.random((n_centuries, n_visitors, 1)) > below).sum(axis=-1)
        log_likelihood += np.log(table.T)[drawn]
    distance = np.abs(log_likelihood.argmax(axis=-1) - np.arange(n_centuries)[:, None])
    return float((distance == 0).mean()), float((distance <= 1).mean())


def smallest_set(probabilities: np.ndarray, share: float = 0.9) -> list[int]:
    """Indices of the fewest centuries that together have at least ``share`` of the probability, in order of time."""
    order = np.argsort(-probabilities, kind="stable")
    n = int(np.searchsorted(np.cumsum(probabilities[order]), share - 1e-12)) + 1
    return sorted(order[:n].tolist())
