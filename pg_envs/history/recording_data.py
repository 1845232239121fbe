"""A recorded century's Parquet files, written and read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pg_envs.history.base import Values
from pg_envs.history.recording import (
    FORMAT_VERSION,
    RECORD_AGAIN,
    WITHOUT_N_INVALID,
    Manifest,
    RecordingError,
    data_file,
    read_limited,
)
from pg_envs.values.dimensions import DIMENSIONS
from pg_envs.values.items import Item

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_FILE_BYTES = 64 << 20
MAX_REPLIES = 10_000
ROWS_AT_A_TIME = 8


def _schema(kind: str, format_version: int = FORMAT_VERSION) -> pa.Schema:
    """Columns of a data file; nothing may be null."""
    import pyarrow as pa

    def column(name: str, of_type: Any) -> pa.Field:
        return pa.field(name, of_type, nullable=False)

    if kind == "preferences":
        numbers = pa.list_(column("element", pa.float64()))
        return pa.schema([column("item_id", pa.string()), column("theme", pa.string()), column("probabilities", numbers)])
    if kind == "values":
        numbers = [column(name, pa.float64()) for name in ("centred", "upstream", "standard_error")]
        counts = [] if format_version == WITHOUT_N_INVALID else [column("n_invalid", pa.int64())]
        return pa.schema([column("dimension", pa.string()), *numbers, *counts])
    return pa.schema([column("prompt", pa.string()), column("reply", pa.string())])


def write_century(
    folder: Path, items: Sequence[Item], option_probabilities: Mapping[Item, np.ndarray], values: Values, replies: Mapping[str, str]
) -> None:
    """Write a century's three files into ``folder``, which must exist; see ``RecordedCentury`` for what they hold."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, dict[str, list[Any]]] = {
        "preferences": {
            "item_id": [item.item_id for item in items],
            "theme": [item.theme for item in items],
            "probabilities": [option_probabilities[item].tolist() for item in items],
        },
        "values": {
            "dimension": [dimension.key for dimension in DIMENSIONS],
            "centred": values.centred.tolist(),
            "upstream": values.upstream.tolist(),
            "standard_error": values.standard_errors.tolist(),
            "n_invalid": [values.n_invalid] * len(DIMENSIONS),
        },
        "replies": {"prompt": list(replies), "reply": list(replies.values())},
    }
    for kind, of_kind in columns.items():
        pq.write_table(pa.table(of_kind, schema=_schema(kind)), folder / f"{kind}.parquet", compression="zstd")


class RecordedCentury:
    """One century of a recording; a file is read when it is first needed, and checked against the manifest's hash.

    All attributes raise ``RecordingError`` if their file is damaged or about something else.
    """

    def __init__(self, folder: Path, manifest: Manifest, label: str, items: Sequence[Item]) -> None:
        """Name the century and the survey's items; nothing is read yet."""
        self._folder, self._manifest, self._label, self._items = folder, manifest, label, items

    @cached_property
    def option_probabilities(self) -> dict[Item, np.ndarray]:
        """For each of the survey's items (K,) float64 probabilities of its options; NaN where it had no valid answer."""
        columns = self._read("preferences", len(self._items), len(self._items))
        self._demand_equal("preferences", "item_id", [item.item_id for item in self._items], columns["item_id"])
        by_item = {item: np.array(p, np.float64) for item, p in zip(self._items, columns["probabilities"], strict=True)}
        for item, p in by_item.items():
            if len(p) != len(item.options) or not (np.isnan(p).all() or ((p >= 0) & (p <= 1)).all()):
                expected = f"{len(item.options)} probabilities in [0, 1]"
                raise self._damaged("preferences", f"item {item.item_id}: expected {expected}, found {p.tolist()}")
        return by_item

    @cached_property
    def values(self) -> Values:
        """The century's value vectors and standard errors, and how many replies were left out in measuring them."""
        columns = self._read("values", len(DIMENSIONS), len(DIMENSIONS))
        self._demand_equal("values", "dimension", [dimension.key for dimension in DIMENSIONS], columns["dimension"])
        centred, upstream, errors = (np.array(columns[name], np.float64) for name in ("centred", "upstream", "standard_error"))
        if not np.isfinite([centred, upstream, errors]).all():
            raise self._damaged("values", "expected finite numbers only")
        counts = set(columns.get("n_invalid", [0]))
        if len(counts) != 1 or min(counts) < 0:
            raise self._damaged("values", f"expected one n_invalid from 0 up in all rows, found {sorted(counts)}")
        return Values(centred, upstream, errors, counts.pop())

    @cached_property
    def replies(self) -> dict[str, str]:
        """The century's reply to each recorded prompt."""
        columns = self._read("replies", 0, MAX_REPLIES)
        return dict(zip(columns["prompt"], columns["reply"], strict=True))

    def _read(self, kind: str, fewest_rows: int, most_rows: int) -> dict[str, list[Any]]:
        """A file's columns as plain lists, if it is the file that was recorded."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        name = data_file(self._label, kind)
        data = read_limited(self._folder / name, MAX_FILE_BYTES)
        expected, found = self._manifest.files[name], hashlib.sha256(data).hexdigest()
        if found != expected:
            raise self._damaged(kind, f"expected SHA-256 {expected}, found {found}")
        try:
            # Without threads: the files are small, and a process with pyarrow's pools once aborted on leaving.
            with pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) as file:
                n_rows, schema = file.metadata.num_rows, file.schema_arrow
                # Before any row is unpacked: a small file may hold very many.
                if not fewest_rows <= n_rows <= most_rows:
                    raise self._damaged(kind, f"expected {fewest_rows} to {most_rows} rows, found {n_rows}")
                expected_schema = _schema(kind, self._manifest.format_version)
                if not schema.equals(expected_schema):
                    raise self._damaged(kind, f"expected the columns {_one_line(expected_schema)}, found {_one_line(schema)}")
                columns = self._unpacked(kind, file)
                if any(len(values) != n_rows for values in columns.values()):
                    lengths = ", ".join(f"{len(values)} of {name}" for name, values in columns.items())
                    raise self._damaged(kind, f"expected {n_rows} rows, as its header says, found {lengths}")
                return columns
        # Names and texts that are no UTF-8 come out as Python's own error.
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._damaged(kind, f"no readable Parquet: {error}") from error

    def _unpacked(self, kind: str, file: pq.ParquetFile) -> dict[str, list[Any]]:
        """All rows, a few at a time: what was compressed well may be thousands of times as large, which no header tells."""
        columns: dict[str, list[Any]] = {name: [] for name in file.schema_arrow.names}
        n_bytes = 0
        for batch in file.iter_batches(batch_size=ROWS_AT_A_TIME, use_threads=False):
            n_bytes += batch.nbytes
            if n_bytes > MAX_FILE_BYTES:
                raise self._damaged(kind, f"expected at most {MAX_FILE_BYTES} bytes of numbers and texts, found more")
            for name, values in batch.to_pydict().items():
                columns[name] += values
        return columns

    def _demand_equal(self, kind: str, column: str, expected: list[str], found: list[str]) -> None:
        for row, (ours, theirs) in enumerate(zip(expected, found, strict=True)):
            if ours != theirs:
                raise self._damaged(kind, f"row {row}, {column}: expected {ours!r}, found {theirs!r}")

    def _damaged(self, kind: str, why: str) -> RecordingError:
        return RecordingError(f"{self._folder / data_file(self._label, kind)}: {why}; {RECORD_AGAIN}")


def _one_line(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)
