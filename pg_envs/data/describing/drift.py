"""How far the vocabularies of centuries lie apart, and which words make the difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np

from pg_envs.progress import report

Halves = tuple[Counter[str], Counter[str]]
"""A century's words by halves of its documents."""
N_WORDS_SHOWN = 15
DIGITS = 6


def contributions(first: Counter[str], second: Counter[str]) -> tuple[list[str], np.ndarray]:
    """What each word adds to the Jensen-Shannon divergence of two word distributions, in bits.

    With p and q a word's shares and m = (p + q) / 2 it is (p log2(p / m) + q log2(q / m)) / 2 (Lin 1991, equal weights), at least 0;
    their sum is the divergence. Here it has the sign of q - p, so that words gained are positive.

    Returns:
        The words, and (n words,) what each adds.
    """
    words = list(first.keys() | second.keys())
    p = np.fromiter((first[word] for word in words), float, len(words)) / first.total()
    q = np.fromiter((second[word] for word in words), float, len(words)) / second.total()
    m = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        added = (np.where(p > 0, p * np.log2(p / m), 0) + np.where(q > 0, q * np.log2(q / m), 0)) / 2
    return words, np.sign(q - p) * np.abs(added)


def divergence(first: Counter[str], second: Counter[str]) -> float | None:
    """The Jensen-Shannon divergence of two word distributions, 0 (the same) to 1 bit (no common word); None where one has no words."""
    if not first.total() or not second.total():
        return None
    # Rounded, since the order of words, and so the sum's last digits, differ from process to process.
    return round(float(min(1.0, np.abs(contributions(first, second)[1]).sum())), DIGITS)


def divergences(words: Sequence[Halves]) -> list[list[float | None]]:
    """The divergence between any two centuries; on the diagonal that between the halves of a century's documents.

    The diagonal says how far apart texts are that time does not separate; it is None for a century of which all documents fall in one half.
    """
    merged = [first + second for first, second in words]
    matrix: list[list[float | None]] = [[None] * len(words) for _ in words]
    for i, halves in enumerate(words):
        report("comparing vocabularies", i, len(words))
        matrix[i][i] = divergence(*halves)
        for j in range(i):
            matrix[i][j] = matrix[j][i] = divergence(merged[i], merged[j])
    report("comparing vocabularies", len(words), len(words))
    return matrix


def not_told_apart(labels: Sequence[str], bits: Sequence[Sequence[float | None]]) -> list[str]:
    """A sentence for each two neighbouring centuries that lie no farther apart than the documents of one of them do."""
    said = []
    for i, (before, after) in enumerate(pairwise(labels)):
        between, within = bits[i][i + 1], max(bits[i][i] or 0.0, bits[i + 1][i + 1] or 0.0)
        if between is not None and between <= within:
            said.append(
                f"Vocabularies of {before} and {after} lie {between:.2f} bits apart, those of two halves of the documents of one of them "
                f"{within:.2f}: what differs between the two need not be time."
            )
    return said


def changes(words: Sequence[Halves]) -> list[dict[str, list[dict[str, Any]]]]:
    """Between neighbouring centuries, the words that add most to their divergence: gained and lost, with counts in a million words.

    A word counts only if both halves of the documents of the century that has more of it use it: not the names of one story.
    """
    return [_change(before, after) for before, after in pairwise(words)]


def _change(before: Halves, after: Halves) -> dict[str, list[dict[str, Any]]]:
    first, second = before[0] + before[1], after[0] + after[1]
    if not first.total() or not second.total():
        return {"gained": [], "lost": []}
    words, added = contributions(first, second)
    alphabetical = np.array(words)

    def strongest(order: np.ndarray, more: Halves) -> list[dict[str, Any]]:
        widely_used = (i for i in order if added[i] != 0 and more[0][words[i]] and more[1][words[i]])
        return [row(words[i], added[i]) for i in islice(widely_used, N_WORDS_SHOWN)]

    def row(word: str, bits: float) -> dict[str, Any]:
        return {
            "word": word,
            "per_million_before": round(1e6 * first[word] / first.total(), 1),
            "per_million_after": round(1e6 * second[word] / second.total(), 1),
            "bits": round(abs(float(bits)), 6),
        }

    # By word where bits are the same, so that the same text gives the same report.
    falling = np.lexsort((alphabetical, -added))
    rising = np.lexsort((alphabetical, added))
    n_gained, n_lost = int((added > 0).sum()), int((added < 0).sum())
    return {"gained": strongest(falling[:n_gained], after), "lost": strongest(rising[:n_lost], before)}
