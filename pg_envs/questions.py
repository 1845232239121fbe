"""Counting what humans are asked beyond the survey, and limiting it."""

from __future__ import annotations

import numpy as np


class QueryBudgetExceeded(RuntimeError):
    """A question beyond a budget; nothing was asked, and the environment goes on."""


class Questions:
    """The questions of an episode: how many there were, how many there may be, and what their answers are drawn with.

    Attributes:
        budget: Questions allowed in a century, or None.
        n_in_century: Asked in the century in view.
        n_in_episode: Asked since ``begin``.
        moment: How often a century has begun, over all episodes.
    """

    def __init__(self, budget: int | None) -> None:
        """Begin without an episode.

        Raises:
            ValueError: If the budget is not a whole number, 0 or more, or None.
        """
        if budget is not None and (not isinstance(budget, int) or isinstance(budget, bool) or budget < 0):
            raise ValueError(f"query_budget={budget!r}: expected a whole number of questions per century, or None for no limit")
        self.budget = budget
        self.moment = 0
        self.begin(0)

    def begin(self, seed: int) -> None:
        """Begin an episode whose answers are drawn by ``seed``."""
        self._seed = seed
        self.n_in_episode = 0
        self.next_century()

    def next_century(self) -> None:
        """Begin a century."""
        self.n_in_century = 0
        self.moment += 1
        self._rng: np.random.Generator | None = None

    def check(self, n: int, century_label: str) -> None:
        """Raise ``QueryBudgetExceeded`` if ``n`` more questions are too many in this century."""
        if self.budget is not None and self.n_in_century + n > self.budget:
            raise QueryBudgetExceeded(
                f"{n} more questions after {self.n_in_century} in {century_label} exceed "
                f"query_budget={self.budget}; ask fewer, or pass a larger query_budget to gym.make"
            )

    def count(self, n: int) -> None:
        """Count ``n`` questions as asked in this century."""
        self.n_in_century += n
        self.n_in_episode += n

    def rng(self, century: int) -> np.random.Generator:
        """Draws of a century's answers: apart from the environment's, so that nobody's questions change later centuries' votes."""
        if self._rng is None:
            self._rng = np.random.default_rng([self._seed, century])
        return self._rng
