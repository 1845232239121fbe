"""Reading a large JSON array value by value, with a bound on what one value may cost.

Parsing is ijson's. Since its parser keeps an unfinished token in memory, however long it grows, the bytes are counted
before they reach it: a string of a gigabyte or a million brackets is refused while it is read, not after.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from pg_envs.data.libraries import data_library

CHUNK_BYTES = 1 << 16
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STRUCTURE = re.compile(rb'[\\"\[\]{}]')


class JsonStreamError(ValueError):
    """Bytes that are no JSON array, or one with a value beyond the limits."""


@dataclass(frozen=True)
class JsonLimits:
    """What one value of the array may cost.

    Attributes:
        max_value_bytes: Most bytes of one value, with the white space before it.
        max_depth: How deep brackets may nest; the array itself is 1, a passage's object 2.
    """

    max_value_bytes: int = 16 << 20
    max_depth: int = 16


class _CountingReader:
    """A file that refuses to be read on when the value being read grows past the limits."""

    def __init__(self, file: BinaryIO, limits: JsonLimits) -> None:
        self.file = file
        self.limits = limits
        self.depth = 0
        self.in_string = False
        self.escaped_at = -1
        self.value_start = 0
        self.position = 0

    def read(self, n_bytes: int = -1) -> bytes:
        if n_bytes == 0:
            return b""  # ijson asks so whether it gets bytes
        chunk = self.file.read(n_bytes if 0 < n_bytes <= CHUNK_BYTES else CHUNK_BYTES)
        if self.position == 0:
            # Some programs put it before UTF-8; no JSON begins so.
            chunk = chunk.removeprefix(BYTE_ORDER_MARK)
        for match in _STRUCTURE.finditer(chunk):
            self._take(match[0], self.position + match.start())
        self.position += len(chunk)
        self._check_size(self.position)
        return chunk

    def _take(self, mark: bytes, at: int) -> None:
        if self.in_string:
            if at == self.escaped_at:
                return
            if mark == b"\\":
                self.escaped_at = at + 1
            elif mark == b'"':
                self.in_string = False
        elif mark == b'"':
            self.in_string = True
        elif mark in b"[{":
            self.depth += 1
            if self.depth > self.limits.max_depth:
                raise JsonStreamError(f"nested deeper than {self.limits.max_depth} at byte {at}")
        elif mark in b"]}":
            self.depth -= 1
            if self.depth == 1:
                self._check_size(at)
                self.value_start = at

    def _check_size(self, at: int) -> None:
        if at - self.value_start > self.limits.max_value_bytes:
            raise JsonStreamError(f"a value of more than {self.limits.max_value_bytes} bytes, begun at byte {self.value_start}")


def read_array(file: BinaryIO, limits: JsonLimits | None = None) -> Iterator[Any]:
    """Yield the values of the JSON array in ``file`` one by one; memory holds one value and 64 KiB.

    Args:
        file: UTF-8 JSON, opened for reading bytes.
        limits: What one value may cost; ``JsonLimits()`` by default.

    Raises:
        JsonStreamError: When it turns out that the bytes are no JSON array, or that a value is beyond the limits.
            Values before that have been yielded.
    """
    ijson = data_library("ijson")
    events = ijson.basic_parse(_CountingReader(file, limits or JsonLimits()), buf_size=CHUNK_BYTES, use_float=True)
    try:
        first, _ = next(events, (None, None))
        if first != "start_array":
            raise JsonStreamError(f"expected a list of passages, found {_kind(first)}")
        builder = None
        depth = 0
        for event, value in events:
            depth += (event in ("start_map", "start_array")) - (event in ("end_map", "end_array"))
            if depth < 0:
                continue
            builder = builder or ijson.ObjectBuilder()
            builder.event(event, value)
            if depth == 0:
                yield builder.value
                builder = None
    except JsonStreamError:
        raise
    except (ijson.JSONError, ValueError) as error:
        # The parser quotes the bytes around the fault, which may be of another encoding, or written to harm a terminal.
        quoted = error.args[0] if error.args else error
        words = quoted.decode("utf-8", "backslashreplace") if isinstance(quoted, bytes) else str(error)
        said = "".join(sign if sign.isprintable() else " " for sign in words)
        raise JsonStreamError(f"cannot be read as UTF-8 JSON: {said}") from error


def _kind(event: str | None) -> str:
    return {None: "nothing", "start_map": "dict"}.get(event, str(event))
