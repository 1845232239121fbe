"""The folder that a training works in, beside the one it makes: whenever that is killed, it is known whose the folder is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pg_envs.models.checkpoints import PREFIX
from pg_envs.models.tuning_config import TuningConfig
from pg_envs.storage import naming, write_text

WORK_MARK = ".pg-envs-training"
"""A file in every folder that a training works in, which says what is trained: others are never emptied."""
TRAINER = "trainer"
"""The trainer's own folder within."""


def check_work(work: Path, training: str) -> None:
    """Refuse a folder that no training has made, or that has the checkpoints of another one.

    Args:
        work: The folder; it need not exist.
        training: As ``in_words`` puts it.

    Raises:
        FileExistsError: If the folder is not this training's.
    """
    if not os.path.lexists(work):
        return
    mark = work / WORK_MARK
    if not mark.is_file():
        # Nothing, or half a mark, is what a training leaves that was killed as it began, or as it removed its work.
        if not work.is_dir() or any(path.name != f"{WORK_MARK}.tmp" for path in work.iterdir()):
            raise FileExistsError(
                f"{work}, where this training would keep its work, exists and is not its own; rename it or name another folder"
            )
        return
    found = mark.read_text(encoding="utf-8", errors="replace")
    if found not in ("", training) and any((work / TRAINER).glob(f"{PREFIX}*")):
        raise FileExistsError(
            f"{work} has the checkpoints of another training, {found[:500]}, and this one is {training}; "
            "remove it to begin anew, or name another folder"
        )


def in_words(what: str, seed: int, config: TuningConfig) -> str:
    """A training in words, by all that its checkpoints depend on; its data are the caller's."""
    settings = {name: value for name, value in vars(config).items() if name != "save_every_steps"}
    return f"{what} with seed={seed}, {', '.join(f'{name}={value}' for name, value in settings.items())}"


def prepare_work(work: Path, training: str, goes_on: bool) -> None:
    """Make the folder, empty unless checkpoints in it are gone on with.

    Raises:
        CannotWrite: If the disk does not take it.
    """
    if not goes_on:
        remove_work(work)
    with naming(work):
        work.mkdir(parents=True, exist_ok=True)
    write_text(work / WORK_MARK, training)


def remove_work(work: Path) -> None:
    """Remove the folder, its mark last: without it, what is left by a kill half way would be taken for somebody else's."""
    for path in work.glob("*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != WORK_MARK:
            path.unlink()
    shutil.rmtree(work, ignore_errors=True)
