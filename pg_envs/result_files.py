"""Reading a ``result.json`` that may come from anybody: nothing in it is run, and it is not read before its size is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pg_envs.hashed_json import read_hashed_json
from pg_envs.plain_json import Limits
from pg_envs.result_schema import REMEDY, ResultError, check_result

LIMITS = Limits(max_bytes=4 << 20, max_depth=10, max_text=10_000)
"""A run's result has some 100 kB, and five lists and objects within each other."""


def read_result(path: Path) -> dict[str, Any]:
    """A run's result, checked field by field (``pg_envs.result_schema``), complete or not.

    Args:
        path: A run's folder, or its ``result.json``.

    Raises:
        FileNotFoundError: If there is no such file or folder, or no result in the folder.
        ResultError: If the file is too large, no JSON, no result, or not what its own SHA-256 is of; one without is read.
    """
    file = path / "result.json" if path.is_dir() else path
    if not file.is_file():
        if (path / "config.json").is_file():
            raise FileNotFoundError(f"{path}: no century was finished; go on with: pg-envs run --resume {path}")
        found = "it has no result.json" if path.is_dir() else "there is no such file"
        raise FileNotFoundError(f"no run at {path}: {found}; expected the folder of a pg-envs run, or its result.json")
    return check_result(str(file), read_hashed_json(file, ResultError, REMEDY, LIMITS))
