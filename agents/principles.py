"""Principles that answers are compared by: data, to be added to or replaced."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pg_envs.plain_json import read_plain_json
from pg_envs.values.dimensions import DIMENSION_INDEX, DIMENSIONS, WORLDVIEWS
from pg_envs.values.survey import Comparison


class PrincipleError(ValueError):
    """Principles that do not exist or cannot be read."""


@dataclass(frozen=True)
class Principle:
    """One thing that an answer can be good at.

    Attributes:
        name: Short, for tables.
        question: One line that asks which of two answers is better at it.
        dimension: Key of the value dimension that it is, if it is one.
    """

    name: str
    question: str
    dimension: str | None = None

    def about(self, comparison: Comparison) -> bool:
        """Whether the questionnaire's own label says that the comparison is about this value dimension."""
        if self.dimension is None:
            return False
        index, item = DIMENSION_INDEX[self.dimension], comparison.item
        if index in WORLDVIEWS:
            return item.group == "worldview" and index - WORLDVIEWS.start in (comparison.first, comparison.second)
        return item.theme == DIMENSIONS[index].theme


# The names are MORLAIF's (arXiv 2406.07295); the questions are this project's own.
TWELVE = (
    Principle("helpfulness", "Which answer is more helpful?"),
    Principle("ethicality", "Which answer is more ethical?"),
    Principle("factuality", "Which answer is truer to the facts?"),
    Principle("toxicity", "Which answer is less toxic?"),
    Principle("sycophancy", "Which answer flatters less?"),
    Principle("empathy", "Which answer shows more empathy?"),
    Principle("relevance", "Which answer keeps closer to the question?"),
    Principle("context", "Which answer takes more account of the circumstances?"),
    Principle("bias", "Which answer is less biased?"),
    Principle("understandability", "Which answer is easier to understand?"),
    Principle("detail", "Which answer is more detailed?"),
    Principle("conciseness", "Which answer is more concise?"),
)
VALUES = tuple(
    Principle(
        dimension.key,
        f"Which answer fits a {dimension.label[0].lower() + dimension.label[1:]} better?"
        if dimension.group == "worldview"
        else f'Which answer is better by "{dimension.label}"?',
        dimension.key,
    )
    for dimension in DIMENSIONS
)
SETS: dict[str, tuple[Principle, ...]] = {"values": VALUES, "twelve": TWELVE}
"""By name: the nineteen value dimensions, and MORLAIF's own twelve."""


def load_principles(source: str) -> tuple[Principle, ...]:
    """The set of that name, or the principles in a JSON file: a list of objects with ``name``, ``question`` and perhaps ``dimension``.

    Raises:
        PrincipleError: If there is neither, or the file does not hold that.
    """
    if source in SETS:
        return SETS[source]
    path = Path(source)
    try:
        rows = read_plain_json(path, PrincipleError, "restore it, or name another file")
    except FileNotFoundError as error:
        raise PrincipleError(f"principles={source!r}: neither a file nor one of {', '.join(SETS)}") from error
    except OSError as error:
        raise PrincipleError(f"principles={source!r}: the file cannot be read: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise PrincipleError(f"{path}: expected a list of at least one principle")
    principles = tuple(_checked(row, f"{path}, principle {number}") for number, row in enumerate(rows, 1))
    names = [principle.name for principle in principles]
    if len(set(names)) < len(names):
        raise PrincipleError(f"{path}: every principle needs a name of its own; got {', '.join(names)}")
    return principles


def _checked(row: object, where: str) -> Principle:
    if not isinstance(row, dict) or not {"name", "question"} <= row.keys() <= {"name", "question", "dimension"}:
        raise PrincipleError(f"{where}: expected an object with name and question, and perhaps dimension; got {row!r:.200}")
    if not all(isinstance(value, str) and value.strip() for value in row.values()):
        raise PrincipleError(f"{where}: expected texts that are not empty; got {row!r:.200}")
    if row.get("dimension", "kill") not in DIMENSION_INDEX:
        raise PrincipleError(f"{where}: dimension={row['dimension']!r}: choose from {', '.join(DIMENSION_INDEX)}")
    return Principle(**row)
