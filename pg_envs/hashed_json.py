"""JSON files that hold their own SHA-256, so that a run does not go on from numbers that a disk has changed.

The hash is the last key, ``sha256``, of an object; it is of all the others, as compact JSON with sorted keys. It finds damage, not
forgery: who changes a file on purpose can put another hash there.
"""

from __future__ import annotations

import hashlib
import json
import logging
from functools import cache
from pathlib import Path
from typing import Any

from pg_envs.plain_json import Limits, read_plain_json

logger = logging.getLogger(__name__)

KEY = "sha256"


def with_own_hash(data: dict[str, Any]) -> dict[str, Any]:
    """The object of plain values with its hash, to be written."""
    return {**data, KEY: _sha256(data)}


def read_hashed_json(file: Path, fault: type[ValueError], remedy: str, limits: Limits | None = None) -> Any:
    """As ``read_plain_json``, of a file whose own hash is checked and taken away.

    A file that has none is read all the same, and a warning says so: earlier versions wrote none.

    Raises:
        ValueError: Of the kind ``fault``, also if what the file says is not what its hash is of.
        OSError: If the file cannot be opened.
    """
    data = read_plain_json(file, fault, remedy, limits)
    if not isinstance(data, dict):
        return data
    if KEY not in data:
        _say_once(file.name)
        return data
    rest = {key: value for key, value in data.items() if key != KEY}
    if data[KEY] != _sha256(rest):
        raise fault(f"{file} is damaged, or was edited: it is not what its own SHA-256, under {KEY!r}, is of; {remedy}")
    return rest


def _sha256(data: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()


@cache
def _say_once(name: str) -> None:
    """A grid of an earlier version has many of a name; a stranger's may be meant for a terminal, or be no UTF-8."""
    shown = repr(name)[1:-1]
    logger.warning("a %s has no SHA-256 of its own, as earlier versions wrote none: damage to its numbers is not seen", shown)
