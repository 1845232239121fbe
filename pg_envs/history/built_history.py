"""The history of a family made by ``pg-envs build-history``: its models' files are held to their hashes before they are first asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_envs.history.base import Survey, Values
from pg_envs.history.built import Family
from pg_envs.history.live import LiveHistory
from pg_envs.models.conversation import Prompt
from pg_envs.progress import report
from pg_envs.values.items import Item, Questionnaire


class BuiltHistory(LiveHistory):
    """Humans are a built family's models; one whose files are not what the manifest says is asked nothing."""

    def __init__(self, family: Family, folder: Path, labels: Sequence[str], survey: Survey, evaluation: Questionnaire, **how: Any) -> None:
        """As ``LiveHistory``.

        Args:
            family: What the manifest says.
            folder: Where the family lies.
            labels: Of the periods that are played.
            survey: What humans vote on.
            evaluation: What values are measured on.
            how: ``name``, ``engine`` and ``mode``.
        """
        refs = dict(zip(family.periods, family.refs(folder), strict=True))
        super().__init__(refs=[refs[label] for label in labels], labels=labels, survey=survey, evaluation=evaluation, **how)
        self._family, self._folder = family, folder
        self._checked: set[int] = set()

    def reset(self, rng: np.random.Generator) -> None:
        """As ``LiveHistory``'s; the first period's model, where policies start, is checked.

        Raises:
            HistoryError: If one of its files is missing or has changed.
        """
        super().reset(rng)
        self._check(0)

    def human_values(self, century: int) -> Values:
        """As ``LiveHistory``'s.

        Raises:
            HistoryError: If one of the model's files is missing or has changed.
        """
        self._check(century)
        return super().human_values(century)

    def _human_option_probabilities(self, century: int, items: Sequence[Item]) -> Mapping[Item, np.ndarray]:
        self._check(century)
        return super()._human_option_probabilities(century, items)

    def _human_replies(self, century: int, prompts: Sequence[Prompt], seed: int) -> list[str]:
        self._check(century)
        return super()._human_replies(century, prompts, seed)

    def _check(self, century: int) -> None:
        """Once a period: a file that changes later is not found."""
        if century not in self._checked:
            report(f"checking the files of {self.labels[century]}", 0, 1)
            self._family.check_period(self._folder, self.labels[century])
            self._checked.add(century)
