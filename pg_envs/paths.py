"""Paths from names that anybody may have written."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(name: str | Path) -> Path:
    """The path of a name, ``~`` being a home.

    Unlike ``Path.expanduser`` it takes every name: one of an unknown user, or that no file can have, is left as it is.
    Ask ``os.path`` whether it is there, since ``Path``'s own methods raise at names that are too long for a file system.
    """
    return Path(name) if "\0" in str(name) else Path(os.path.expanduser(name))
