"""Settings that stand in an engine's name, after a ``?`` and joined by ``&``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from pg_envs.models.engine import EngineError

EXPECTED = {int: "a whole number", float: "a number", bool: "true or false"}


def read_settings(engine: str, query: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    """The settings that ``query`` names, as what they are.

    Args:
        engine: What precedes the ``?``, for messages; must hold nothing secret.
        query: E.g. ``concurrency=8&timeout_s=60``.
        kinds: What may be set, and whether it is an int, a float, a bool or a str.

    Raises:
        EngineError: If a setting is unknown, given twice, or of the wrong kind.
    """
    found: dict[str, Any] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        # Values of unknown keys are not repeated: somebody may have written a key to a server there.
        if key not in kinds:
            raise EngineError(f"engine {engine}: unknown setting {key!r}; choose from {', '.join(kinds)}")
        if key in found:
            raise EngineError(f"engine {engine}: {key} is given twice; give it once")
        try:
            found[key] = _as_bool(text) if kinds[key] is bool else kinds[key](text)
        except ValueError as error:
            raise EngineError(f"{key}={text!r}: expected {EXPECTED[kinds[key]]}") from error
    return found


def _as_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"
