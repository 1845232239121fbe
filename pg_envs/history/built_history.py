"""The history of a family made by ``pg-envs build-history``: its models' files are held to their hashes before they are first used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pg_envs.history.base import Survey
from pg_envs.history.built import Family
from pg_envs.history.live import LiveHistory
from pg_envs.models.ref import ModelRef
from pg_envs.progress import report
from pg_envs.values.items import Questionnaire
from pg_envs.values.measure import Mode


class BuiltHistory(LiveHistory):
    """Humans are a built family's models; one whose files are not what the manifest says is neither asked nor started from."""

    def __init__(
        self,
        name: str,
        family: Family,
        folder: Path,
        labels: Sequence[str],
        survey: Survey,
        evaluation: Questionnaire,
        engine: str = "transformers",
        mode: Mode = "logprob",
    ) -> None:
        """As ``LiveHistory``, with the models of ``family``'s periods ``labels``, which lie in ``folder``."""
        refs = dict(zip(family.periods, family.refs(folder), strict=True))
        super().__init__(name, [refs[label] for label in labels], labels, survey, evaluation, engine, mode)
        self._family, self._folder = family, folder
        self._checked: set[int] = set()

    def reset(self, rng: np.random.Generator) -> None:
        """As ``LiveHistory``'s; the first period's model, where policies start, is checked at once.

        Raises:
            HistoryError: If one of its files is missing or has changed.
        """
        super().reset(rng)
        self.human(0)

    def human(self, century: int) -> ModelRef:
        """The century's model, its files checked once: what changes later is not found.

        Raises:
            HistoryError: If one of them is missing or has changed.
        """
        if century not in self._checked:
            report(f"checking the files of {self.labels[century]}", 0, 1)
            self._family.check_period(self._folder, self.labels[century])
            self._checked.add(century)
        return super().human(century)
