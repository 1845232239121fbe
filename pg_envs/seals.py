"""Holding a finished folder to what it was: the SHA-256 of its files, noted beside it when it was made.

What takes hours is made once and then gone on with, days later perhaps and after a kill. Here a file that has changed meanwhile is found
before anything is made from it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

from pg_envs.plain_json import read_plain_json
from pg_envs.ranks import by_first
from pg_envs.storage import damage, file_sha256, write_text

logger = logging.getLogger(__name__)

ENDING = ".sha256.json"
"""Of a note's name, after its folder's."""


class Damaged(ValueError):
    """A file that is not what it was when it was made; the message names it and says what to do."""


def seal_beside(folder: Path) -> Path:
    """Where a folder's hashes are noted."""
    return folder.with_name(folder.name + ENDING)


def hashes_in(folder: Path) -> dict[str, str]:
    """SHA-256 of all files in a folder and in those within it, by their path in it."""
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def seal(folder: Path, note: Path | None = None) -> None:
    """Note the SHA-256 of a folder's files in ``note``; beside it by default.

    Raises:
        CannotWrite: If the disk does not take the note.
    """
    write_text(note or seal_beside(folder), json.dumps(hashes_in(folder), indent=1) + "\n")


def fault_in(folder: Path, note: Path, remedy: str) -> str | None:
    """What is wrong with a folder whose hashes are in ``note``, naming the file and the remedy; None if nothing is."""
    try:
        noted = read_plain_json(note, Damaged, remedy)
    except Damaged as error:
        return str(error)
    if not isinstance(noted, dict) or not all(isinstance(sha256, str) for sha256 in noted.values()):
        return f"{note} is damaged: expected the SHA-256 of each file in {folder}; {remedy}"
    faults = (damage(folder / name, expected) for name, expected in noted.items())
    return next((f"{fault}; {remedy}" for fault in faults if fault), None)


def hold_to_seal(folder: Path, note: Path | None = None) -> None:
    """Hold a folder to its hashes; one that has none, as its maker was killed or is of an earlier version, is taken as it is, and noted.

    Args:
        folder: What was made.
        note: Where its hashes are; beside it by default.

    Raises:
        Damaged: If a file is missing or has changed.
        CannotWrite: If the disk does not take the note.
    """
    note = note or seal_beside(folder)
    if not note.exists():
        logger.warning("%s has no hashes yet, so that damage before now is not seen; it is gone on with as it is", folder)
        seal(folder, note)
        return
    if fault := fault_in(folder, note, f"remove the folder {folder} to have it made again"):
        raise Damaged(fault)


def make_once(folder: Path, make: Callable[[], object]) -> None:
    """Have a folder made and sealed, unless it is there, and hold it to its seal if it is.

    Where several processes do this, all must call it.

    Args:
        folder: What ``make`` makes, in one go.
        make: Is not called if the folder is there.

    Raises:
        Damaged: If it is there, and a file of it is missing or has changed.
        CannotWrite: If the disk does not take its hashes.
    """
    if by_first(lambda: _is_there(folder)):
        return
    make()
    by_first(lambda: seal(folder))


def _is_there(folder: Path) -> bool:
    if folder.exists():
        hold_to_seal(folder)
        return True
    # Of one that was removed to be made again; if this one is killed before it is sealed, it must not be held to the other's.
    seal_beside(folder).unlink(missing_ok=True)
    return False
