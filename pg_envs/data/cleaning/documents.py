"""What the passages of one document agree on, gathered in a first reading."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, TypeGuard, TypeVar

from pg_envs.data.schema import HISTTEXT_YEARS, Years

T = TypeVar("T")

MIN_WITNESSES = 3
MIN_AGREEMENT = 0.9


class Documents:
    """Years and sources by ``document_id``; memory grows with the number of documents, not with their text."""

    def __init__(self, years: Years = HISTTEXT_YEARS) -> None:
        """Know no document yet.

        Args:
            years: From which years texts may be; what says another is no witness.
        """
        self.years = years
        self._years: dict[str, Counter[int]] = defaultdict(Counter)
        self._sources: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, passage: Mapping[str, Any]) -> None:
        """Take note of a passage; what it says is used only if it is usable."""
        document = passage.get("document_id")
        if not isinstance(document, str):
            return
        if usable_year(year := passage.get("creation_year"), self.years):
            self._years[document][year] += 1
        if isinstance(source := passage.get("source_dataset"), str) and source:
            self._sources[document][source] += 1

    def year(self, passage: Mapping[str, Any]) -> int | None:
        """The year that 9 in 10 of the *other* passages of its document have, three at least; None if there is none."""
        others = self._years.get(str(passage.get("document_id")), Counter()).copy()
        if usable_year(own := passage.get("creation_year"), self.years):
            others[own] -= 1
        return _agreed(others)

    def source(self, passage: Mapping[str, Any]) -> str | None:
        """The source dataset that the passages of its document that have one agree on likewise."""
        return _agreed(self._sources.get(str(passage.get("document_id")), Counter()))


def usable_year(year: object, years: Years) -> TypeGuard[int]:
    """Whether this is a whole number among the years."""
    return year in years


def _agreed(votes: Counter[T]) -> T | None:
    if votes.total() <= 0:
        return None
    value, count = votes.most_common(1)[0]
    return value if count >= MIN_WITNESSES and count >= MIN_AGREEMENT * votes.total() else None
