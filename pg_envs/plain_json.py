"""Reading a JSON file that may come from anybody, within limits on size, nesting and numbers; what is in it is for the caller to check."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_WHOLE_NUMBER = 2**63


@dataclass(frozen=True)
class Limits:
    """What a file may have.

    Attributes:
        max_bytes: Its size.
        max_depth: Lists and objects within each other.
        max_text: Characters of one text.
    """

    max_bytes: int = 4 << 20
    max_depth: int = 10
    max_text: int = 10_000


def read_plain_json(file: Path, fault: type[ValueError], remedy: str, limits: Limits | None = None) -> Any:
    """What the file says, if it is UTF-8 JSON without NaN, infinities, keys that stand twice and half characters.

    Args:
        file: The file.
        fault: What is raised, with a message that names the file.
        remedy: The end of that message.
        limits: What the file may have; ``Limits()`` by default.

    Raises:
        ValueError: Of the kind ``fault``.
        OSError: If the file cannot be opened.
    """
    limits = limits or Limits()
    content = read_capped(file, limits.max_bytes, fault, remedy)
    try:
        data = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        found = "it is empty" if not content else f"not readable as JSON: {error}"
        raise fault(f"{file}: {found}; {remedy}") from error
    beyond = _beyond(data, limits, 0)
    if beyond:
        raise fault(f"{file}: {beyond}; {remedy}")
    return data


def read_capped(file: Path, max_bytes: int, fault: type[ValueError], remedy: str) -> bytes:
    """A file's bytes, of which no more than ``max_bytes`` are ever held.

    Raises:
        ValueError: Of the kind ``fault``, naming the file, if it has more; ``remedy`` is the end of the message.
        OSError: If the file cannot be opened.
    """
    if "\0" in str(file):
        raise fault(f"{str(file)!r}: no file has such a name; {remedy}")
    if file.exists() and not file.is_file():
        # A pipe would be waited for, perhaps for ever.
        raise fault(f"{file}: expected a file, found a folder, a pipe or a device; {remedy}")
    with file.open("rb") as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise fault(f"{file}: expected at most {max_bytes} bytes, found more; {remedy}")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no finite number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two alike, readers would disagree on which one counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _beyond(data: Any, limits: Limits, depth: int) -> str:
    """What is nested too deeply or out of all bounds, in words; empty if nothing is."""
    if depth > limits.max_depth:
        return f"expected at most {limits.max_depth} lists and objects within each other"
    if isinstance(data, dict):
        parts = ((part, d) for key, value in data.items() for part, d in ((key, depth), (value, depth + 1)))
        return next((found for part, d in parts if (found := _beyond(part, limits, d))), "")
    if isinstance(data, list):
        return next((found for value in data if (found := _beyond(value, limits, depth + 1))), "")
    if isinstance(data, str) and (len(data) > limits.max_text or (not data.isascii() and any("\ud800" <= c <= "\udfff" for c in data))):
        return f"a text is longer than {limits.max_text} characters, or has half a character"
    if (isinstance(data, float) and not math.isfinite(data)) or (isinstance(data, int) and abs(data) > MAX_WHOLE_NUMBER):
        return f"{str(data)[:40]} is out of all bounds"
    return ""
