"""Histories of value vectors, without any language model: a policy *is* its (19,) vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Box

from pg_envs.history.base import CENTURIES, History, Survey, Values
from pg_envs.history.trajectories import planted, smooth_random
from pg_envs.models.conversation import Prompt
from pg_envs.values.dimensions import GROUPS, N_DIMENSIONS, WORLDVIEWS
from pg_envs.values.items import Item, Questionnaire
from pg_envs.values.survey import Comparison

LEARNING_PER_EPOCH = 0.3
"""How far one epoch of learning from somebody's answers moves the human proxy towards them."""
EXACT = np.zeros(N_DIMENSIONS)
EXACT.setflags(write=False)


class ValueVectors(Box):
    """(19,) float64 vectors of values in [-1, 1]; a ``Box`` that is quicker about the usual case, which every simulated step asks about."""

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        """Make the space; ``seed`` is for ``sample``."""
        super().__init__(-1.0, 1.0, (N_DIMENSIONS,), np.float64, seed)

    def contains(self, x: Any) -> bool:
        """As ``Box``'s."""
        if isinstance(x, np.ndarray) and x.dtype == self.dtype and x.shape == self.shape:
            return bool(np.abs(x).max() <= 1.0)
        return super().contains(x)


class SimulatedHistory(History):
    """The published trajectory; humans answer at random according to their values."""

    name = "simulated"
    speaks: ClassVar[bool] = False

    def __init__(self, survey: Survey, evaluation: Questionnaire, first: int = 0, last: int = len(CENTURIES) - 1) -> None:
        """Make the history of centuries ``first`` to ``last`` (indices into C013 ... C021, both included)."""
        self.labels = CENTURIES[first : last + 1]
        self._window = slice(first, last + 1)
        self.policy_space = ValueVectors()
        self._survey_comparisons = survey.comparisons
        self._survey_readout = _Readout(survey.comparisons)
        self._upstream_matrix, self._upstream_offset = _upstream_map(evaluation.items)
        self._set_trajectory(planted()[self._window])

    def _set_trajectory(self, trajectory: np.ndarray) -> None:
        self.trajectory = trajectory
        self._humans = [Values(*pair, EXACT) for pair in zip(trajectory, self._upstream(trajectory), strict=True)]
        self._preferences = self._survey_readout(trajectory)

    def reset(self, rng: np.random.Generator) -> None:
        """Nothing to do: this history is always the same."""

    def human(self, century: int) -> np.ndarray:
        """A century's (19,) value vector (a copy)."""
        return self.trajectory[century].copy()

    def human_values(self, century: int) -> Values:
        """A century's values, exactly."""
        return self._humans[century]

    def values(self, policy: np.ndarray) -> Values:
        """The vector itself, and what the published formula makes of answers with these preferences."""
        vector = np.asarray(policy, dtype=np.float64)
        return Values(vector, self._upstream(vector), EXACT)

    def _upstream(self, vectors: np.ndarray) -> np.ndarray:
        return vectors.dot(self._upstream_matrix) + self._upstream_offset

    def preferences(self, policy: np.ndarray, comparisons: Sequence[Comparison]) -> np.ndarray:
        """P(first over second): (1 + mean sign * v) / 2 for rules and foundations; Luce's axiom on (1 + 3 v_k) / 4 for worldviews."""
        readout = self._survey_readout if comparisons is self._survey_comparisons else _Readout(comparisons)
        return readout(np.asarray(policy, dtype=np.float64)[None])[0]

    def human_survey_preferences(self, century: int) -> np.ndarray:
        """(Q,) preferences of a century's humans, computed once an episode."""
        return self._preferences[century]

    def respond(self, policy: Any, prompts: Sequence[Prompt], rng: np.random.Generator) -> list[str]:
        """Simulated humans have no words.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"history {self.name!r} has no language model to respond with; use ask(), or history='histtiny'")

    def influence(self, proxy: np.ndarray, source: np.ndarray, n_epochs: int, rng: np.random.Generator) -> np.ndarray:
        """The proxy moved towards the source: proxy + (1 - (1 - 0.3)^n_epochs) (source - proxy)."""
        pull = 1 - (1 - LEARNING_PER_EPOCH) ** n_epochs
        return proxy + pull * (np.asarray(source, dtype=np.float64) - proxy)


class SimulatedRandomHistory(SimulatedHistory):
    """A new smooth trajectory at every reset, drawn from the seed: nothing to memorise."""

    name = "simulated-random"

    def reset(self, rng: np.random.Generator) -> None:
        """Draw this episode's trajectory."""
        self._set_trajectory(smooth_random(rng, self.n_centuries))


class _Readout:
    """Preferences of many value vectors on many comparisons at once."""

    def __init__(self, comparisons: Sequence[Comparison]) -> None:
        # Most items are about one dimension, and have the same answer as others about it: each answer is computed once.
        distinct: dict[Any, int] = {}
        self.column = np.array([distinct.setdefault(_what_decides(c), len(distinct)) for c in comparisons], np.intp)
        # One matrix product gives all of them: two-option items are linear in the vector, and a comparison of
        # worldviews is one of the 16 ratios of two views' shares.
        self.weights = np.zeros((N_DIMENSIONS + len(WORLDVIEWS) ** 2, len(distinct)))
        self.offset = np.zeros(len(distinct))
        for (signs, first, second), column in distinct.items():
            if signs is None:
                self.weights[N_DIMENSIONS + len(WORLDVIEWS) * first + second, column] = 1.0
            else:
                # Option 0 is preferred with (1 + weights @ v) / 2, option 1 with the rest.
                self.weights[:N_DIMENSIONS, column] = (0.5 - first) * _weights(signs)
                self.offset[column] = 0.5

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """(T, Q) probabilities for (T, 19) vectors."""
        # A vector of the Box may ask for a negative share; the smallest share keeps Luce's ratio defined.
        shares = np.maximum(0.25 + 0.75 * vectors[:, WORLDVIEWS.start :], 1e-6)
        ratios = shares[:, :, None] / (shares[:, :, None] + shares[:, None, :])
        answers = np.concatenate((vectors, ratios.reshape(len(vectors), -1)), axis=1).dot(self.weights) + self.offset
        return answers.take(self.column, axis=1)


def _what_decides(comparison: Comparison) -> tuple[Any, int, int]:
    """What of a comparison its answer depends on: the item's signs, or None where options are worldviews, and which are compared."""
    signs = None if comparison.item.group == "worldview" else comparison.item.signs
    return signs, comparison.first, comparison.second


def _weights(signs: Sequence[tuple[int, int]]) -> np.ndarray:
    """(19,) weights of the dimensions in the answer to a two-option item: the mean of what its rules ask for; zeros for worldviews."""
    weights = np.zeros(N_DIMENSIONS)
    for dimension, sign in signs:
        weights[dimension] = sign / len(signs)
    return weights


def _upstream_map(items: Sequence[Item]) -> tuple[np.ndarray, np.ndarray]:
    """Matrix M and offset o of the published formula (``scoring.upstream``) as a function of the vector: v @ M + o."""
    matrix, offset = np.zeros((N_DIMENSIONS, N_DIMENSIONS)), np.zeros(N_DIMENSIONS)
    n = {group: 1 + sum(item.group == group for item in items) for group in GROUPS}
    for item in items:
        if item.group == "worldview":
            matrix[WORLDVIEWS, WORLDVIEWS] += 0.75
            offset[WORLDVIEWS] += 0.25
        for dimension, sign in item.signs:
            # sign * P(option 0) for rules; P(the option that upholds the theme) for foundations.
            matrix[:, dimension] += sign * _weights(item.signs) / 2
            offset[dimension] += 0.5 * (sign if item.group == "morality" else 1)
    for group, dimensions in GROUPS.items():
        matrix[:, dimensions] /= n[group]
        offset[dimensions] /= n[group]
    return matrix, offset
