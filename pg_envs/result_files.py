"""Reading a ``result.json`` that may come from anybody: nothing in it is run, and it is not read before its size is known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pg_envs.result_schema import REMEDY, ResultError, check_result

MAX_BYTES = 4 << 20
"""A run's result has some 100 kB."""
MAX_DEPTH = 10
"""Lists and objects within each other; a result has five."""
MAX_TEXT = 10_000
"""Characters of one text."""
MAX_WHOLE_NUMBER = 2**63


def read_result(path: Path) -> dict[str, Any]:
    """A run's result, checked field by field (``pg_envs.result_schema``), complete or not.

    Args:
        path: A run's folder, or its ``result.json``.

    Raises:
        FileNotFoundError: If there is no such file or folder, or no result in the folder.
        ResultError: If the file is too large, no JSON, or no result.
    """
    file = path / "result.json" if path.is_dir() else path
    if not file.is_file():
        if (path / "config.json").is_file():
            raise FileNotFoundError(f"{path}: no century was finished; go on with: pg-envs run --resume {path}")
        found = "it has no result.json" if path.is_dir() else "there is no such file"
        raise FileNotFoundError(f"no run at {path}: {found}; expected the folder of a pg-envs run, or its result.json")
    return check_result(str(file), _parse(file))


def _parse(file: Path) -> Any:
    with file.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ResultError(f"{file}: expected at most {MAX_BYTES} bytes, found more; it is no result of one run")
    try:
        data = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{file}: not readable as JSON: {error}; {REMEDY}") from error
    _check_limits(file, data, 0)
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no finite number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two alike, readers would disagree on which one counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _check_limits(file: Path, data: Any, depth: int) -> None:
    """Refuse what is nested too deeply, and numbers and texts that are out of all bounds."""
    if depth > MAX_DEPTH:
        raise ResultError(f"{file}: expected at most {MAX_DEPTH} lists and objects within each other; {REMEDY}")
    if isinstance(data, dict):
        for key, value in data.items():
            _check_limits(file, key, depth)
            _check_limits(file, value, depth + 1)
    elif isinstance(data, list):
        for value in data:
            _check_limits(file, value, depth + 1)
    elif isinstance(data, str) and (len(data) > MAX_TEXT or (not data.isascii() and any("\ud800" <= c <= "\udfff" for c in data))):
        raise ResultError(f"{file}: a text is longer than {MAX_TEXT} characters, or has half a character; {REMEDY}")
    elif (isinstance(data, float) and not math.isfinite(data)) or (isinstance(data, int) and abs(data) > MAX_WHOLE_NUMBER):
        raise ResultError(f"{file}: {str(data)[:40]} is out of all bounds; {REMEDY}")
