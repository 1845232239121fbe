"""Reading a folder in MoralEvals' column schema.

One reader reads both the bundled items and the published ones (dataset
``PKU-Alignment/ProgressGym-MoralEvals``). The one column that MoralEvals does not have is optional:
``keyed_action`` in ``foundation.csv`` says which action upholds the theme; without it action1 does, as in
the published file. The files' names differ between the repositories that publish them; see ``find_files``.

A folder becomes a questionnaire by ``read_folder``, and a dataset by ``pg_envs.data.loading.load_moral_evals``: what a bad row leads to
differs between the two, what a row says does not.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from pg_envs.values.dimensions import Group
from pg_envs.values.items import Item, Questionnaire, QuestionnaireError
from pg_envs.values.moral_rows import FILES, read_rows

logger = logging.getLogger(__name__)

KEYWORDS: dict[Group, str] = {"morality": "moralchoice", "foundation": "foundation", "worldview": "view"}
"""What the names of a group's file have in common, wherever it was published."""
MAX_FOLDERS = 1000
"""Most folders within each other that are looked through."""


def _csv_files(folder: Path) -> Iterator[Path]:
    """The CSV files in a folder and in those within it; not a whole disk's, which a name in somebody's file may mean."""
    for n_folders, (place, _, names) in enumerate(os.walk(folder)):
        if n_folders >= MAX_FOLDERS:
            raise QuestionnaireError(f"{folder}: no questionnaire has {MAX_FOLDERS} folders; name the one with {', '.join(FILES.values())}")
        # Not a pipe, which would be waited for.
        yield from (path for name in names if name.endswith(".csv") and (path := Path(place, name)).is_file())


def find_files(folder: Path) -> dict[Group, Path]:
    """The file of each group: by the name it has in ``FILES``, else the one that has its keyword in its path.

    Raises:
        QuestionnaireError: If a group has no file, or several, or the folder has more within it than a questionnaire's.
    """
    published = sorted(_csv_files(folder))
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
        of_file = list(_keep_apart(_usable(path, group, notes), path.name, notes))
        if not of_file:
            raise QuestionnaireError(f"{path}: row 2: no item; expected at least one, or values would be made of nothing")
        items += of_file
    for what, count in notes.items():
        logger.warning("questionnaire %s: %s: %d", name, what, count)
    return Questionnaire(name, tuple(items), tuple(notes.items()))


def _usable(path: Path, group: Group, notes: Counter[str]) -> Iterator[Item]:
    """The items of a file; rows bad in a way that the published files are known for are dropped, with a note."""
    for row in read_rows(path, group, notes):
        if isinstance(row, Item):
            yield row
        elif row.known:
            notes[f"{path.name}: {row.known}, dropped"] += 1
        else:
            raise QuestionnaireError(f"{path}: {row}")


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
