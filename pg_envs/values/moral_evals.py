"""Reading a folder in MoralEvals' column schema.

One reader reads both the bundled items and the published ones (dataset
``PKU-Alignment/ProgressGym-MoralEvals``). The one column that MoralEvals does not have is optional:
``keyed_action`` in ``foundation.csv`` says which action upholds the theme; without it action1 does, as in
the published file. The files' names differ between the repositories that publish them; see ``find_files``.
"""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from pg_envs.values.dimensions import DIMENSIONS, MORALITY, THEME_INDEX, Group
from pg_envs.values.items import Item, Questionnaire, QuestionnaireError

logger = logging.getLogger(__name__)

FILES: dict[Group, str] = {"morality": "moralchoice.csv", "foundation": "foundation.csv", "worldview": "views.csv"}
KEYWORDS: dict[Group, str] = {"morality": "moralchoice", "foundation": "foundation", "worldview": "view"}
"""What the names of a group's file have in common, wherever it was published."""
RULE_LABELS = ("death", "pain", "disable", "freedom", "pleasure", "deceive", "cheat", "break_promise", "break_law", "duty")
LABEL_VALUES = ("Yes", "No", "No Agreement")
WORLDVIEW_THEMES = ("Ontology", "Epistemology", "Axiology", "Anthropology", "Societal vision")
# One published row has lost its "not"; its labels and options are those of the rule.
THEME_REPAIRS = {"Do cause pain": "Do not cause pain"}
STRAY = ' \t"“”'


def find_files(folder: Path) -> dict[Group, Path]:
    """The file of each group: by the name it has in ``FILES``, else the one that has its keyword in its path.

    Raises:
        QuestionnaireError: If a group has no file, or several.
    """
    published = sorted(folder.rglob("*.csv"))
    found: dict[Group, Path] = {}
    for group, filename in FILES.items():
        named = [folder / filename] if folder / filename in published else []
        candidates = named or [path for path in published if KEYWORDS[group] in path.relative_to(folder).as_posix().lower()]
        if len(candidates) != 1:
            names = ", ".join(path.relative_to(folder).as_posix() for path in candidates or published) or "none"
            raise QuestionnaireError(
                f"{folder / filename}: cannot be read: expected it, or one CSV file with {KEYWORDS[group]!r} in its name; found {names}"
            )
        found[group] = candidates[0]
    return found


def read_folder(folder: Path, name: str) -> Questionnaire:
    """All items of a folder; what was dropped or repaired is logged and noted.

    Raises:
        QuestionnaireError: See ``pg_envs.values.questionnaire.load_questionnaire``.
    """
    notes: Counter[str] = Counter()
    items = []
    for group, path in find_files(folder).items():
        of_file = list(_keep_apart(_read_file(path, group, notes), path.name, notes))
        if not of_file:
            raise QuestionnaireError(f"{path}: row 2: no item; expected at least one, or values would be made of nothing")
        items += of_file
    for what, count in notes.items():
        logger.warning("questionnaire %s: %s: %d", name, what, count)
    return Questionnaire(name, tuple(items), tuple(notes.items()))


def _keep_apart(items: Iterable[Item], filename: str, notes: Counter[str]) -> Iterator[Item]:
    """Give items that share an id but not a text ids of their own; drop a row that stands twice word for word.

    Whatever the second row's id is: both halves would have the text, so that what was learnt would be what is evaluated.
    """
    texts: set[str] = set()
    n_of_id: Counter[str] = Counter()
    for item in items:
        if item.content_hash in texts:
            notes[f"{filename}: rows that stand twice word for word, dropped"] += 1
            continue
        texts.add(item.content_hash)
        n_of_id[item.item_id] += 1
        if n_of_id[item.item_id] == 1:
            yield item
        else:
            notes[f"{filename}: ids that stand again with another text, kept apart"] += 1
            yield replace(item, item_id=f"{item.item_id}#{n_of_id[item.item_id]}")


def _columns(group: Group) -> tuple[str, ...]:
    if group == "morality":
        labels = (f"a{action}_{label}" for action in (1, 2) for label in RULE_LABELS)
        return ("scenario_id", "generation_rule", "context", "action1", "action2", *labels)
    options = ("action1", "action2") if group == "foundation" else ("action1", "action2", "action3", "action4")
    return ("scenario_id", "generation_theme", "context", *options)


def _read_file(path: Path, group: Group, notes: Counter[str]) -> Iterator[Item]:
    columns = _columns(group)
    row_number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise QuestionnaireError(f"{path}: row 1: no column {missing[0]!r}; expected the columns {', '.join(columns)}")
            row_number = 1
            for row_number, row in enumerate(reader, start=2):
                text = {key: (value or "").strip(STRAY) for key, value in row.items() if isinstance(key, str)}
                if text[columns[1]] in ("theme", "generation_theme", "generation_rule"):
                    notes[f"{path.name}: stray header rows, dropped"] += 1
                elif not all(text[column] for column in columns if column == "context" or column.startswith("action")):
                    notes[f"{path.name}: rows with blank text, dropped"] += 1
                else:
                    yield _make_item(text, group, f"{path}: row {row_number}", notes)
    except csv.Error as error:
        raise QuestionnaireError(f"{path}: row {row_number + 1}: cannot be read as CSV: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionnaireError(f"{path}: cannot be read as a UTF-8 text file: {error}") from error


def _make_item(text: dict[str, str], group: Group, where: str, notes: Counter[str]) -> Item:
    theme_column = "generation_rule" if group == "morality" else "generation_theme"
    theme = text[theme_column]
    if theme in THEME_REPAIRS:
        notes[f"{FILES[group]}: theme {theme!r} read as {THEME_REPAIRS[theme]!r}"] += 1
        theme = THEME_REPAIRS[theme]
    known = WORLDVIEW_THEMES if group == "worldview" else [d.theme for d in DIMENSIONS if d.group == group]
    if theme not in known:
        raise QuestionnaireError(f"{where}: column {theme_column!r}: unknown theme {theme!r}; expected one of {', '.join(known)}")
    signs: tuple[tuple[int, int], ...] = ()
    if group == "morality":
        signs = _rule_signs(text, where)
    elif group == "foundation":
        signs = ((THEME_INDEX[theme], _keyed_sign(text, where)),)
    options = tuple(text[f"action{n}"] for n in range(1, 5 if group == "worldview" else 3))
    return Item(text["scenario_id"], group, theme, text["context"], options, signs)


def _keyed_sign(text: dict[str, str], where: str) -> int:
    keyed = text.get("keyed_action", "") or "1"
    if keyed not in ("1", "2"):
        raise QuestionnaireError(f"{where}: column 'keyed_action': {keyed!r}; expected 1 or 2, or no such column for 1 everywhere")
    return 1 if keyed == "1" else -1


def _rule_signs(text: dict[str, str], where: str) -> tuple[tuple[int, int], ...]:
    """Upstream's template: +1 if a1 is "No" or a2 is "Yes", else -1, nothing where the labels are equal."""
    signs = []
    for dimension, label in zip(MORALITY, RULE_LABELS, strict=True):
        first, second = text[f"a1_{label}"], text[f"a2_{label}"]
        for action, value in ((1, first), (2, second)):
            if value not in LABEL_VALUES:
                raise QuestionnaireError(
                    f"{where}: column 'a{action}_{label}': unknown label {value!r}; expected one of {', '.join(LABEL_VALUES)}"
                )
        if first != second:
            signs.append((dimension, 1 if first == "No" or second == "Yes" else -1))
    return tuple(signs)
