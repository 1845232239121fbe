"""The rows of MoralEvals' three files: what columns they have, what items they make, and what is wrong with those that make none.

Text is data: a row costs memory up to a bound, however long the line is that it stands in.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pg_envs.values.dimensions import DIMENSIONS, MORALITY, THEME_INDEX, Group
from pg_envs.values.items import Item

FILES: dict[Group, str] = {"morality": "moralchoice.csv", "foundation": "foundation.csv", "worldview": "views.csv"}
RULE_LABELS = ("death", "pain", "disable", "freedom", "pleasure", "deceive", "cheat", "break_promise", "break_law", "duty")
LABEL_VALUES = ("Yes", "No", "No Agreement")
WORLDVIEW_THEMES = ("Ontology", "Epistemology", "Axiology", "Anthropology", "Societal vision")
# One published row has lost its "not"; its labels and options are those of the rule.
THEME_REPAIRS = {"Do cause pain": "Do not cause pain"}
STRAY = ' \t"“”'
MAX_QUOTED_CHARS = 60
MAX_ROW_CHARS = 1 << 20
"""Most characters of one row, over all its lines; Python's own bound on one field, 131,072 by default, holds besides."""


@dataclass(frozen=True)
class BadRow:
    """A row that is no item, and why; or, if it has no column, the file from there on.

    Attributes:
        number: Rows are counted as a spreadsheet does: the header is row 1; 0 where a file is no text, so that its rows cannot be told.
        column: Whose value is at fault; empty if the file cannot be read on.
        fault: What was found, and what was expected.
        known: What the published files are known to have of this kind, in words; empty if they are not.
    """

    number: int
    column: str
    fault: str
    known: str = ""

    def __str__(self) -> str:
        """Row, column and fault."""
        row = f"row {self.number}: " if self.number else ""
        return row + (f"column {self.column!r}: " if self.column else "") + self.fault


class _ColumnFault(ValueError):
    """A value that its column does not have."""

    def __init__(self, column: str, fault: str) -> None:
        super().__init__(fault)
        self.column = column


def _columns(group: Group) -> tuple[str, ...]:
    if group == "morality":
        labels = (f"a{action}_{label}" for action in (1, 2) for label in RULE_LABELS)
        return ("scenario_id", "generation_rule", "context", "action1", "action2", *labels)
    options = ("action1", "action2") if group == "foundation" else ("action1", "action2", "action3", "action4")
    return ("scenario_id", "generation_theme", "context", *options)


def read_rows(path: Path, group: Group, notes: Counter[str]) -> Iterator[Item | BadRow]:
    """Yield an item, or what is wrong, for each row after the header; after a row without a column nothing comes.

    Memory holds one row, of at most ``MAX_ROW_CHARS`` characters.

    Args:
        path: The file.
        group: Whose file it is.
        notes: Counts what was repaired.
    """
    columns = _columns(group)
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _BoundedLines(file)
            reader = csv.DictReader(lines, strict=True)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                yield BadRow(1, "", f"no column {missing[0]!r}; expected the columns {', '.join(columns)}")
                return
            number = 1
            lines.n_chars = 0
            for number, row in enumerate(reader, start=2):
                lines.n_chars = 0
                text = {key: (value or "").strip(STRAY) for key, value in row.items() if isinstance(key, str)}
                yield _item_or_fault(text, group, number, notes)
    except csv.Error as error:
        yield BadRow(number + 1, "", f"cannot be read as CSV: {error}")
    except (OSError, UnicodeDecodeError) as error:
        yield BadRow(0, "", f"cannot be read as a UTF-8 text file: {error}")


class _BoundedLines:
    """A file's lines for csv's reader, which would hold a line of gigabytes, or a row of any number of lines, before it could be refused.

    Attributes:
        n_chars: Characters of the row that is being read; whoever takes a row sets it to 0.
    """

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.n_chars = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.file.readline(MAX_ROW_CHARS + 1)
        self.n_chars += len(line)
        if self.n_chars > MAX_ROW_CHARS:
            raise csv.Error(f"more than {MAX_ROW_CHARS} characters in one row")
        if not line:
            raise StopIteration
        return line


def _item_or_fault(text: dict[str, str], group: Group, number: int, notes: Counter[str]) -> Item | BadRow:
    columns = _columns(group)
    if text[columns[1]] in ("theme", "generation_theme", "generation_rule"):
        return BadRow(number, columns[1], f"{text[columns[1]]!r}, as in a header", known="stray header rows")
    for column in columns:
        if (column == "context" or column.startswith("action")) and not text[column]:
            return BadRow(number, column, "blank; expected text", known="rows with blank text")
    try:
        return _make_item(text, group, notes)
    except _ColumnFault as error:
        return BadRow(number, error.column, str(error))


def _make_item(text: dict[str, str], group: Group, notes: Counter[str]) -> Item:
    theme_column = "generation_rule" if group == "morality" else "generation_theme"
    theme = text[theme_column]
    if theme in THEME_REPAIRS:
        notes[f"{FILES[group]}: theme {theme!r} read as {THEME_REPAIRS[theme]!r}"] += 1
        theme = THEME_REPAIRS[theme]
    known = WORLDVIEW_THEMES if group == "worldview" else [d.theme for d in DIMENSIONS if d.group == group]
    if theme not in known:
        raise _ColumnFault(theme_column, f"unknown theme {theme[:MAX_QUOTED_CHARS]!r}; expected one of {', '.join(known)}")
    signs: tuple[tuple[int, int], ...] = ()
    if group == "morality":
        signs = _rule_signs(text)
    elif group == "foundation":
        signs = ((THEME_INDEX[theme], _keyed_sign(text)),)
    options = tuple(text[f"action{n}"] for n in range(1, 5 if group == "worldview" else 3))
    return Item(text["scenario_id"], group, theme, text["context"], options, signs)


def _keyed_sign(text: dict[str, str]) -> int:
    keyed = text.get("keyed_action", "") or "1"
    if keyed not in ("1", "2"):
        raise _ColumnFault("keyed_action", f"{keyed[:MAX_QUOTED_CHARS]!r}; expected 1 or 2, or no such column for 1 everywhere")
    return 1 if keyed == "1" else -1


def _rule_signs(text: dict[str, str]) -> tuple[tuple[int, int], ...]:
    """Upstream's template: +1 if a1 is "No" or a2 is "Yes", else -1, nothing where the labels are equal."""
    signs = []
    for dimension, label in zip(MORALITY, RULE_LABELS, strict=True):
        first, second = text[f"a1_{label}"], text[f"a2_{label}"]
        for action, value in ((1, first), (2, second)):
            if value not in LABEL_VALUES:
                raise _ColumnFault(
                    f"a{action}_{label}", f"unknown label {value[:MAX_QUOTED_CHARS]!r}; expected one of {', '.join(LABEL_VALUES)}"
                )
        if first != second:
            signs.append((dimension, 1 if first == "No" or second == "Yes" else -1))
    return tuple(signs)
