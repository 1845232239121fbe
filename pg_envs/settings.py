"""Settings as they are written on the command line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any


def parse_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """``["lookahead=2", "votes=majority"]`` as a dict; values are JSON where they can be, else text.

    A number that is not finite is text, too: JSON has none, so no result could be written with it, and whoever expects a number refuses it.

    Raises:
        ValueError: If a pair has no ``=``, or a key is given twice.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"{pair!r}: expected KEY=VALUE")
        if key in settings:
            raise ValueError(f"{pair!r}: {key} is given twice; expected one value")
        try:
            settings[key] = json.loads(value, parse_float=_finite, parse_constant=_finite)
        except ValueError:
            settings[key] = value
    return settings


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number
