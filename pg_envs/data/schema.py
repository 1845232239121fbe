"""HistText's passage schema, and what to do with files and passages that do not fit it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

OnBad = Literal["raise", "skip"]

MANDATORY: dict[str, type] = {"content": str, "creation_year": int, "source_dataset": str}
OPTIONAL: dict[str, type] = {
    "source_document": str,
    "source_dataset_detailed": str,
    "culture": str,
    "language": str,
    "author": str,
    "document_id": str,
    "passage_index": int,
    "creation_year_earliest": int,
    "creation_year_latest": int,
    "translation_year": int,
}
"""Fields a passage may leave out or set to null; others are allowed and not looked at."""

EARLIEST_YEAR, LATEST_YEAR = 1, 9999
"""Of any text: the layout has no place for years before the common era, nor for five digits."""
MAX_EXAMPLES = 20


class HistTextError(ValueError):
    """Historical text that cannot be read; the message names file, passage and field."""


@dataclass(frozen=True)
class Years:
    """From which years texts may be, in the common era; by default HistText's.

    Attributes:
        first: The first year.
        last: The last year, which is one of them.

    Raises:
        HistTextError: If there is no such year between them, or one that the layout has no place for.
    """

    first: int = 1200
    last: int = 2099

    def __post_init__(self) -> None:
        """Refuse what is no range."""
        if not EARLIEST_YEAR <= self.first <= self.last <= LATEST_YEAR:
            raise HistTextError(
                f"years {self.first} to {self.last}: expected a first and a last year between {EARLIEST_YEAR} and {LATEST_YEAR}; "
                "the layout has no place for years before the common era: count them from another year on"
            )

    def __contains__(self, year: object) -> bool:
        """Whether this is a whole number in the range."""
        return isinstance(year, int) and not isinstance(year, bool) and self.first <= year <= self.last

    def __str__(self) -> str:
        """The range in words."""
        return f"between {self.first} and {self.last}"


HISTTEXT_YEARS = Years()


@dataclass
class ReadReport:
    """What a reader met.

    Attributes:
        n_read: How many passages were read.
        skipped: How many files and passages were skipped, by what was wrong with them.
        examples: The first messages, at most 20.
    """

    n_read: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def skip(self, kind: str, message: str) -> None:
        """Count a file or passage that is left out."""
        self.skipped[kind] += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(message)


Refuse = Callable[[str, str], None]
"""Called with a kind of fault and the full message; raises, or notes it and returns."""


def refusal(on_bad: OnBad, report: ReadReport) -> Refuse:
    """What to do about bad files and passages: raise ``HistTextError``, or note them in ``report``.

    Raises:
        ValueError: If ``on_bad`` is neither ``"raise"`` nor ``"skip"``.
    """
    if on_bad == "skip":
        return report.skip
    if on_bad != "raise":
        raise ValueError(f"on_bad={on_bad!r}: expected 'raise' or 'skip'")

    def stop(kind: str, message: str) -> None:
        raise HistTextError(message)

    return stop


def schema_fault(passage: object, years: Years = HISTTEXT_YEARS) -> str | None:
    """What is wrong with a passage by the schema, beginning with the field's name; None if nothing is."""
    if not isinstance(passage, Mapping):
        return f"expected an object, found {type(passage).__name__}"
    for name, kind in MANDATORY.items():
        if passage.get(name) in (None, ""):
            return f"no field {name!r}"
        if fault := _type_fault(name, passage[name], kind):
            return fault
    if passage["creation_year"] not in years:
        return f"field 'creation_year': {passage['creation_year']} is not {years}"
    for name, kind in OPTIONAL.items():
        if passage.get(name) is not None and (fault := _type_fault(name, passage[name], kind)):
            return fault
    return None


def fits(value: object, kind: type) -> bool:
    """Whether a value is of a field's type; true and false are no numbers."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _type_fault(name: str, value: Any, kind: type) -> str | None:
    if fits(value, kind):
        return None
    return f"field {name!r}: expected {kind.__name__}, found {type(value).__name__} {str(value)[:40]!r}"
