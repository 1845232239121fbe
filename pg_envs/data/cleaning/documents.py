"""What the passages of one document agree on, gathered in a first reading."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, TypeVar

from pg_envs.data.schema import FIRST_YEAR, LAST_YEAR

T = TypeVar("T")

MIN_WITNESSES = 3
MIN_AGREEMENT = 0.9


class Documents:
    """Years and sources by ``document_id``; memory grows with the number of documents, not with their text."""

    def __init__(self) -> None:
        self._years: dict[str, Counter[int]] = defaultdict(Counter)
        self._sources: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, passage: Mapping[str, Any]) -> None:
        """Take note of a passage; what it says is used only if it is usable."""
        document = passage.get("document_id")
        if not isinstance(document, str):
            return
        if isinstance(year := passage.get("creation_year"), int) and usable_year(year):
            self._years[document][year] += 1
        if isinstance(source := passage.get("source_dataset"), str) and source:
            self._sources[document][source] += 1

    def year(self, passage: Mapping[str, Any]) -> int | None:
        """The year that at least 9 in 10 passages of its document, and at least three, have; None if there is none."""
        return _agreed(self._years.get(str(passage.get("document_id"))))

    def source(self, passage: Mapping[str, Any]) -> str | None:
        """The source dataset that the passages of its document agree on likewise."""
        return _agreed(self._sources.get(str(passage.get("document_id"))))


def usable_year(year: object) -> bool:
    """Whether this is a whole number in the range of the schema."""
    return isinstance(year, int) and not isinstance(year, bool) and FIRST_YEAR <= year <= LAST_YEAR


def _agreed(votes: Counter[T] | None) -> T | None:
    if not votes:
        return None
    value, count = votes.most_common(1)[0]
    return value if count >= MIN_WITNESSES and count >= MIN_AGREEMENT * votes.total() else None
