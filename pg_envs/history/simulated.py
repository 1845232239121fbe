"""Histories of value vectors, without any language model: a policy *is* its (19,) vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from pg_envs.history.base import CENTURIES, History, Survey, Values
from pg_envs.history.trajectories import planted, smooth_random
from pg_envs.values.dimensions import FOUNDATIONS, MORALITY, N_DIMENSIONS, THEME_INDEX, WORLDVIEWS
from pg_envs.values.questionnaire import Item, Questionnaire
from pg_envs.values.survey import Comparison

LEARNING_PER_EPOCH = 0.3
"""How far one epoch of learning from somebody's answers moves the human proxy towards them."""
EXACT = np.zeros(N_DIMENSIONS)
EXACT.setflags(write=False)


class SimulatedHistory(History):
    """The published trajectory; humans answer at random according to their values."""

    name = "simulated"

    def __init__(self, survey: Survey, evaluation: Questionnaire, first: int = 0, last: int = len(CENTURIES) - 1) -> None:
        """Make the history of centuries ``first`` to ``last`` (indices into C013 ... C021, both included)."""
        self.labels = CENTURIES[first : last + 1]
        self._window = slice(first, last + 1)
        self.policy_space = Box(-1.0, 1.0, (N_DIMENSIONS,), np.float64)
        self._survey_comparisons = survey.comparisons
        self._survey_readout = _Readout(survey.comparisons)
        self._scale, self._offset = _upstream_map(evaluation.items)
        self._set_trajectory(planted()[self._window])

    def _set_trajectory(self, trajectory: np.ndarray) -> None:
        self.trajectory = trajectory
        self._humans = [self.values(vector) for vector in trajectory]
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
        """The vector itself; the published formula is linear in it where every item has one dimension."""
        vector = np.asarray(policy, dtype=np.float64)
        return Values(vector, self._scale * vector + self._offset, EXACT)

    def preferences(self, policy: np.ndarray, comparisons: Sequence[Comparison]) -> np.ndarray:
        """P(first over second): (1 + sign * v) / 2 for rules and foundations; Luce's axiom on (1 + 3 v_k) / 4 for worldviews."""
        readout = self._survey_readout if comparisons is self._survey_comparisons else _Readout(comparisons)
        return readout(np.asarray(policy, dtype=np.float64)[None])[0]

    def human_survey_preferences(self, century: int) -> np.ndarray:
        """(Q,) preferences of a century's humans, computed once an episode."""
        return self._preferences[century]

    def respond(self, policy: Any, prompts: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Simulated humans have no words.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"history {self.name!r} has no language model to respond with; use ask(), or history='histtiny'")

    def influence(self, proxy: np.ndarray, source: np.ndarray, n_epochs: int, rng: np.random.Generator) -> np.ndarray:
        """proxy + (1 - (1 - 0.3)^n_epochs) (source - proxy)."""
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
        self.views = np.array([c.item.group == "worldview" for c in comparisons])
        first, second, signs = [], [], []
        for comparison in comparisons:
            if comparison.item.group == "worldview":
                first.append(WORLDVIEWS.start + comparison.first)
                second.append(WORLDVIEWS.start + comparison.second)
                signs.append(0.0)
            else:
                dimension = THEME_INDEX[comparison.item.theme]
                first.append(dimension)
                second.append(dimension)
                signs.append(float(_own_sign(comparison.item)))
        self.first, self.second, self.signs = np.array(first, int), np.array(second, int), np.array(signs)

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """(T, Q) probabilities for (T, 19) vectors."""
        # A vector of the Box may ask for a negative share; the smallest share keeps Luce's ratio defined.
        shares = np.maximum((1 + 3 * vectors) / 4, 1e-6)
        p, q = shares[:, self.first], shares[:, self.second]
        return np.where(self.views, p / (p + q), (1 + self.signs * vectors[:, self.first]) / 2)


def _own_sign(item: Item) -> int:
    return dict(item.signs)[THEME_INDEX[item.theme]]


def _upstream_map(items: Sequence[Item]) -> tuple[np.ndarray, np.ndarray]:
    """Scale and offset of the published formula as a function of v, counting each item for its own theme only."""
    scale, offset = np.zeros(N_DIMENSIONS), np.zeros(N_DIMENSIONS)
    n = {group: 1 + sum(item.group == group for item in items) for group in ("morality", "foundation", "worldview")}
    for item in items:
        if item.group == "worldview":
            scale[WORLDVIEWS.start :] += 0.75
            offset[WORLDVIEWS.start :] += 0.25
        else:
            dimension, sign = THEME_INDEX[item.theme], _own_sign(item)
            scale[dimension] += 0.5
            # Rules: sign * (1 + sign * v) / 2. Foundations: P(upholding) = (1 + v) / 2.
            offset[dimension] += 0.5 * (sign if item.group == "morality" else 1)
    for group, dimensions in (("morality", MORALITY), ("foundation", FOUNDATIONS), ("worldview", WORLDVIEWS)):
        scale[dimensions.start : dimensions.stop] /= n[group]
        offset[dimensions.start : dimensions.stop] /= n[group]
    return scale, offset
