"""Questionnaires by name: the bundled one, a folder, or a dataset repository on the hub."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import resources
from pathlib import Path

from pg_envs.hub import commit_of, fetch
from pg_envs.paths import expanded
from pg_envs.repository import MAIN, HubError, Repository
from pg_envs.values.items import Questionnaire, QuestionnaireError
from pg_envs.values.moral_evals import find_files, read_folder
from pg_envs.values.moral_rows import FILES

BUNDLED = "bundled"
"""The name of the items that were written for this project."""


def load_questionnaire(source: str | Path = BUNDLED) -> Questionnaire:
    """Read a questionnaire.

    Args:
        source: ``"bundled"`` for the items written for this project, a folder with MoralEvals'
            ``moralchoice.csv``, ``foundation.csv`` and ``views.csv``, or the name of a dataset repository on the hub, such
            as ``PKU-Alignment/ProgressGym-MoralEvals`` or ``OWNER/NAME@REVISION``, fetched if the cache lacks it.

    Raises:
        QuestionnaireError: If a repository cannot be had, a file is missing or unreadable, a column is missing, or a theme or label is
            unknown; the message names file, row and column. Rows are counted as a spreadsheet does: the
            header is row 1.
    """
    if str(source) == BUNDLED:
        return _bundled()
    return read_folder(*find_folder(source))


def find_folder(source: str | Path) -> tuple[Path, str]:
    """The folder with MoralEvals' three files, and its name, for any ``source`` of ``load_questionnaire`` but the bundled.

    Raises:
        QuestionnaireError: If there is no such folder, and no such repository can be had.
    """
    folder = expanded(source)
    if os.path.isdir(folder):
        return folder, folder.name
    if str(source).count("/") != 1 or str(source).startswith((".", "/", "~")):
        raise QuestionnaireError(
            f"no questionnaire at {str(folder)!r}: expected 'bundled', a folder with {', '.join(FILES.values())}, or the name of a "
            "dataset repository, such as 'PKU-Alignment/ProgressGym-MoralEvals'"
        )
    return _from_hub(str(source))


def _from_hub(source: str) -> tuple[Path, str]:
    name, at, revision = source.partition("@")
    if at and not revision:
        raise QuestionnaireError(f"{source!r} names no questionnaire: expected OWNER/NAME or OWNER/NAME@REVISION")
    try:
        repository = Repository(name, revision or MAIN, "dataset", ("*.csv",), first_lack=_first_lack)
        return fetch(repository), f"{name}@{commit_of(repository)}"
    except HubError as error:
        raise QuestionnaireError(str(error)) from error


def _first_lack(folder: Path) -> str | None:
    """What a folder of a repository lacks, in words; see ``Repository``."""
    try:
        find_files(folder)
    except QuestionnaireError as error:
        return f"not all files: {error}"
    return None


@lru_cache(maxsize=1)
def _bundled() -> Questionnaire:
    with resources.as_file(resources.files("pg_envs") / "assets" / "questionnaire") as folder:
        return read_folder(folder, name="bundled")
