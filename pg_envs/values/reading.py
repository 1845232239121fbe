"""Reading values from votes, where humans answer as simulated ones do: by the signs of the rules that an item asks about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pg_envs.values.dimensions import N_DIMENSIONS, WORLDVIEWS
from pg_envs.values.survey import Comparison


def reading_matrix(survey: Sequence[Comparison]) -> np.ndarray:
    """(19, Q) matrix that reads values from mean votes: what simulated humans with values v vote, it reads as about v.

    Rules and foundations: the least-squares solution of vote = mean of sign * v over the item's rules, with first option upheld as +1.
    Worldviews: view k's mean vote against the three others, b_k. By Luce's axiom on shares (1 + 3 v) / 4, b_k = 2 v_k to first order
    where the shares are nearly equal, so v_k = b_k / 2.
    """
    asked = np.zeros((len(survey), N_DIMENSIONS))
    reading = np.zeros((N_DIMENSIONS, len(survey)))
    for row, comparison in enumerate(survey):
        if comparison.item.group == "worldview":
            reading[WORLDVIEWS.start + comparison.first, row] = 0.5
            reading[WORLDVIEWS.start + comparison.second, row] = -0.5
        else:
            for dimension, sign in comparison.item.signs:
                asked[row, dimension] = sign * (1 - 2 * comparison.first) / len(comparison.item.signs)
    reading[WORLDVIEWS] /= np.maximum(np.count_nonzero(reading[WORLDVIEWS], axis=1, keepdims=True), 1)
    return reading + np.linalg.pinv(asked)
