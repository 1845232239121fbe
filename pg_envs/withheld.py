"""A run's own result, kept from the agent while it acts: it lies beside the agent's folder, and holds what is evaluated.

This is for agents that look around, not against code that sets out to break it: whatever runs in a process may make an environment of its
own, read other runs' results, or open files in other ways than Python's.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REFUSED = ("open", "os.link", "os.rename")
"""Python's events whose first argument may be no such file; a hard link would outlast the next result, which takes this one's place."""
_withheld: set[tuple[int, int]] = set()
"""Device and inode of what may not be opened now, so that no link leads to it."""


@contextmanager
def withheld(path: Path) -> Iterator[None]:
    """As long as this lasts, Python code of this process that opens, links or renames the file at ``path`` gets a ``PermissionError``."""
    _listen()
    key = _key(path)
    if key is not None:
        _withheld.add(key)
    try:
        yield
    finally:
        _withheld.discard(key or (-1, -1))


@functools.cache
def _listen() -> None:
    # Once a process: what listens to its events cannot be taken away again.
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if _withheld and event in REFUSED and isinstance(arguments[0], str | bytes) and _key(arguments[0]) in _withheld:
        raise PermissionError(f"{os.fsdecode(arguments[0])} holds what is evaluated, and no agent reads it; learn from votes")


def _key(path: Path | str | bytes) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
