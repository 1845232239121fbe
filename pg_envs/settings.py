"""Settings as they are written on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def parse_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """``["lookahead=2", "votes=majority"]`` as a dict; values are JSON where they can be, else text.

    Raises:
        ValueError: If a pair has no ``=``.
    """
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"{pair!r}: expected KEY=VALUE")
        try:
            settings[key] = json.loads(value)
        except ValueError:
            settings[key] = value
    return settings
