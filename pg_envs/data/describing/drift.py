"""How far the vocabularies of centuries lie apart, and which words make the difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pg_envs.data.describing.tally import CenturyTally

N_WORDS_SHOWN = 15


def contributions(first: Counter[str], second: Counter[str]) -> dict[str, float]:
    """What each word adds to the Jensen-Shannon divergence of two word distributions, in bits; their sum is the divergence.

    With p and q a word's shares and m = (p + q) / 2 it is (p log2(p / m) + q log2(q / m)) / 2 (Lin 1991, equal weights), at least 0.
    Here it has the sign of q - p, so that words gained are positive; words as frequent as before are left out.
    """
    words = list(first.keys() | second.keys())
    p = np.array([first[word] for word in words], float) / first.total()
    q = np.array([second[word] for word in words], float) / second.total()
    m = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        added = (np.where(p > 0, p * np.log2(p / m), 0) + np.where(q > 0, q * np.log2(q / m), 0)) / 2
    return {word: float(np.sign(b - a) * abs(x)) for word, a, b, x in zip(words, p, q, added, strict=True) if a != b}


def divergence(first: Counter[str], second: Counter[str]) -> float | None:
    """The Jensen-Shannon divergence of two word distributions, 0 (the same) to 1 bit (no common word); None where one has no words."""
    if not first.total() or not second.total():
        return None
    return float(min(1.0, sum(map(abs, contributions(first, second).values()))))


def divergences(tallies: Sequence[CenturyTally]) -> list[list[float | None]]:
    """The divergence between any two centuries; on the diagonal that between the halves of a century's documents.

    The diagonal says how far apart texts are that time does not separate; it is None for a century of which all documents fall in one half.
    """
    words = [tally.all_words for tally in tallies]
    matrix: list[list[float | None]] = [[None] * len(tallies) for _ in tallies]
    for i, tally in enumerate(tallies):
        matrix[i][i] = divergence(*tally.words)
        for j in range(i):
            matrix[i][j] = matrix[j][i] = divergence(words[i], words[j])
    return matrix


def changes(tallies: Sequence[CenturyTally]) -> list[dict[str, Any]]:
    """Between neighbouring centuries, the words that add most to their divergence: gained and lost, with counts in a million words.

    A word counts only if both halves of the documents of the century that has more of it use it: not the names of one story.
    """
    return [_change(before, after) for before, after in pairwise(tallies)]


def _change(before: CenturyTally, after: CenturyTally) -> dict[str, Any]:
    first, second = before.all_words, after.all_words
    if not first.total() or not second.total():
        return {"from": before.century, "to": after.century, "gained": [], "lost": []}
    signed = contributions(first, second)

    def widely_used(word: str) -> bool:
        more = after if signed[word] > 0 else before
        return bool(more.words[0][word] and more.words[1][word])

    def row(word: str) -> dict[str, Any]:
        return {
            "word": word,
            "per_million_before": round(1e6 * first[word] / first.total(), 1),
            "per_million_after": round(1e6 * second[word] / second.total(), 1),
            "bits": round(abs(signed[word]), 6),
        }

    ranked = sorted(filter(widely_used, signed), key=lambda word: (-abs(signed[word]), word))
    gained = [row(word) for word in ranked if signed[word] > 0][:N_WORDS_SHOWN]
    lost = [row(word) for word in ranked if signed[word] < 0][:N_WORDS_SHOWN]
    return {"from": before.century, "to": after.century, "gained": gained, "lost": lost}
