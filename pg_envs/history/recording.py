"""The folder of a recorded history: what is in it, and its manifest.

``manifest.json`` says who was recorded, on which questions and how, and holds the SHA-256 of every data file. Each
century has a folder of its own with three Parquet files:

* ``preferences.parquet``: a row a survey item, in the survey's order: ``item_id``, ``theme``, ``probabilities``.
* ``values.parquet``: a row a dimension: ``dimension``, ``centred``, ``upstream``, ``standard_error``, and ``n_invalid``, which is the whole
  measurement's and the same in every row.
* ``replies.parquet``: a row an open question: ``prompt``, ``reply``.

Numbers are float64 and counts int64, so that nothing is rounded. A recording may come from anybody: only JSON and Parquet are read, of
limited size, and files are looked for under the names given here, never under names that a manifest gives.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pg_envs.history.base import are_labels
from pg_envs.models.ref import ModelRef
from pg_envs.plain_json import Limits, read_plain_json

FORMAT_VERSION = 2
WITHOUT_N_INVALID = 1
"""The format before, still read where values were measured by log-probabilities: then there are no invalid replies to be told."""
MANIFEST = "manifest.json"
KINDS = ("preferences", "values", "replies")
"""A century's data files, without their ending."""
MANIFEST_LIMITS = Limits(max_bytes=1 << 20)
RECORD_AGAIN = "fetch the recording again, or make a new one with pg-envs record"


class RecordingError(ValueError):
    """A recording that is missing, damaged, or of something else than was asked for; the message says what differs."""


@dataclass(frozen=True)
class Manifest:
    """What was recorded.

    Attributes:
        name: The history that was recorded.
        centuries: Labels of at least two centuries, oldest first.
        models: For each label ``base``, ``revision``, ``adapter`` and the weights' fingerprint, ``sha256``.
        questionnaire: ``name`` and the content hashes of its halves, ``survey_sha256`` and ``evaluation_sha256``.
        mode: How values were read, see ``pg_envs.values.measure``.
        engine: What ran the models.
        versions: Of the libraries that made the numbers.
        reply_seed: Seed of the generator that replies to the open questions were drawn with.
        files: SHA-256 of each data file, by its path in the folder.
        format_version: Of this layout.
    """

    name: str
    centuries: tuple[str, ...]
    models: dict[str, dict[str, str | None]]
    questionnaire: dict[str, str]
    mode: str
    engine: str
    versions: dict[str, str]
    reply_seed: int
    files: dict[str, str]
    format_version: int = FORMAT_VERSION

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values; ``read_manifest`` reverses it."""
        return {**asdict(self), "centuries": list(self.centuries)}

    @property
    def refs(self) -> tuple[ModelRef, ...]:
        """The recorded models, in the order of centuries."""
        return tuple(
            ModelRef.from_json({key: value for key, value in self.models[label].items() if key != "sha256"}) for label in self.centuries
        )


def data_file(label: str, kind: str) -> str:
    """A data file's path in the folder."""
    return f"{label}/{kind}.parquet"


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest; data files are only looked for, not read.

    Raises:
        RecordingError: If it is missing, too large, damaged or of an unknown format.
    """
    path = folder / MANIFEST
    # Not the method, which raises at names that are too long for a file system.
    if not os.path.isfile(path):
        found = "it has no manifest.json" if os.path.isdir(folder) else "there is no such folder"
        raise RecordingError(f"no recording at {str(folder)!r}: {found}; make one with: pg-envs record --out {folder}")
    manifest = _checked(path, read_plain_json(path, RecordingError, RECORD_AGAIN, MANIFEST_LIMITS))
    for label in manifest.centuries:
        for kind in KINDS:
            if not (folder / data_file(label, kind)).is_file():
                raise RecordingError(f"{folder} lacks {data_file(label, kind)}, which its manifest lists; {RECORD_AGAIN}")
    return manifest


def _checked(path: Path, data: Any) -> Manifest:
    """The manifest in ``data``, if it fits the schema."""

    def demand(met: bool, what: str, expected: str, found: Any) -> None:
        if not met:
            raise RecordingError(f"{path}: {what}: expected {expected}, found {str(found)[:200]!r}; {RECORD_AGAIN}")

    demand(isinstance(data, dict), "the whole", "a JSON object", type(data).__name__)
    version = data.get("format_version")
    if version not in (WITHOUT_N_INVALID, FORMAT_VERSION) or type(version) is not int:
        raise RecordingError(f"{path}: format_version: expected {FORMAT_VERSION}, found {version!r}; install a pg-envs that knows it")
    names = sorted(Manifest.__dataclass_fields__)
    demand(sorted(data) == names, "keys", ", ".join(names), ", ".join(sorted(data)))
    for key in ("name", "mode", "engine"):
        demand(isinstance(data[key], str), key, "text", data[key])
    if version == WITHOUT_N_INVALID and data["mode"] != "logprob":
        raise RecordingError(
            f"{path}: format_version: expected {FORMAT_VERSION}, found {version} with mode {data['mode']!r}, which does not say how many "
            "replies were invalid; record it again with pg-envs record"
        )
    demand(type(data["reply_seed"]) is int, "reply_seed", "a whole number", data["reply_seed"])
    centuries = data["centuries"]
    # They become names of folders, so nothing else may pass.
    demand(are_labels(centuries), "centuries", "at least two different labels, those of centuries consecutive", centuries)
    for key in ("questionnaire", "versions", "files"):
        demand(_maps_text(data[key]), key, "an object of texts", data[key])
    needed = ["evaluation_sha256", "name", "survey_sha256"]
    demand(sorted(data["questionnaire"]) == needed, "questionnaire", ", ".join(needed), sorted(data["questionnaire"]))
    files = sorted(data_file(label, kind) for label in centuries for kind in KINDS)
    demand(sorted(data["files"]) == files, "files", f"the {len(files)} files of {len(centuries)} centuries", sorted(data["files"]))
    models = data["models"]
    demand(isinstance(models, dict) and sorted(models) == sorted(centuries), "models", "one for each of the centuries", models)
    for label, model in models.items():
        demand(_is_model(model), f"models: {label}", "base, revision, adapter and sha256, the first and last of them texts", model)
    return Manifest(**{**data, "centuries": tuple(centuries)})


def _is_model(data: Any) -> bool:
    """Whether this names a model; its revision and its adapter may be null."""
    if not isinstance(data, dict) or sorted(data) != ["adapter", "base", "revision", "sha256"]:
        return False
    return _maps_text({key: value for key, value in data.items() if key in ("base", "sha256") or value is not None})


def _maps_text(data: Any) -> bool:
    return isinstance(data, dict) and all(isinstance(value, str) for value in data.values())


def read_limited(path: Path, limit_bytes: int) -> bytes:
    """A file's bytes; ``RecordingError`` if it is larger than ``limit_bytes``."""
    size = path.stat().st_size
    if size > limit_bytes:
        raise RecordingError(f"{path} has {size} bytes; expected at most {limit_bytes}; {RECORD_AGAIN}")
    return path.read_bytes()
