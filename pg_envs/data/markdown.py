"""Text out of the data on a page of Markdown."""

from __future__ import annotations

import re

_MARKS = re.compile(r"([\\`*_\[\]<>|~$&#!])")


def escaped(text: str) -> str:
    """Text out of the data so that Markdown shows its signs and obeys none."""
    return _MARKS.sub(r"\\\1", text)
