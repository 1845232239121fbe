"""Families made by ``pg-envs build-history``: a folder with a model a period, and a manifest that names them in order."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pg_envs.history.base import HistoryError, are_labels
from pg_envs.models.bases import pinned, take_from_cache_only
from pg_envs.models.ref import ModelRef, ModelRefError, Weights
from pg_envs.plain_json import read_plain_json
from pg_envs.storage import damage

FAMILY = "history.json"
BASE = "base"
"""Folder of a base that was made with the family."""
FORMAT_VERSION = 2
REMEDY = "build the family again, or fetch it anew"
_FILE = re.compile(r"[\w-][\w.-]*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Family:
    """What a manifest says.

    Attributes:
        name: What the family is called.
        periods: Labels, oldest first; each names a folder beside the manifest.
        weights: Whether those folders hold ``lora`` adapters or ``full`` models.
        base: What adapters are on, as ``ModelRef.parse`` reads it without an adapter; empty: the folder ``base`` beside the manifest.
        files: For each folder beside the manifest, the SHA-256 of its files that models are loaded from, by name.
    """

    name: str
    periods: tuple[str, ...]
    weights: Weights
    base: str
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders beside the manifest."""
        return self.periods if self.base else (*self.periods, BASE)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values; ``read_family`` reverses it."""
        return {"format_version": FORMAT_VERSION, **vars(self), "periods": list(self.periods)}

    def base_ref(self, folder: Path) -> ModelRef:
        """The base of the family that lies in ``folder``."""
        return ModelRef.parse(self.base) if self.base else ModelRef(str(folder / BASE))

    def refs(self, folder: Path) -> tuple[ModelRef, ...]:
        """The models of the family that lies in ``folder``, one a period."""
        if self.weights == "full":
            return tuple(ModelRef(str(folder / label)) for label in self.periods)
        return tuple(self.base_ref(folder).with_adapter(folder / label) for label in self.periods)

    def check_period(self, folder: Path, label: str) -> None:
        """Hold the files of a period's model, and of the base beside it, to what the manifest says.

        Raises:
            HistoryError: Naming the file that is missing or has changed.
        """
        for name in (label, BASE):
            for file, expected in self.files.get(name, {}).items():
                if fault := damage(folder / name / file, expected):
                    raise HistoryError(f"{fault}; {REMEDY}")


def read_family(folder: Path) -> Family:
    """Read and check a family's manifest; it may come from anybody, so only folders beside it, and a base, are named by it.

    Raises:
        HistoryError: If it is missing, too large, damaged or of an unknown format.
    """
    path = folder / FAMILY
    if not os.path.isfile(path):
        raise HistoryError(
            f"no family at {str(folder)!r}: expected {FAMILY} in it; make one with: pg-envs build-history PLAN --out {folder}"
        )
    data = read_plain_json(path, HistoryError, REMEDY)

    def demand(met: bool, what: str, expected: str) -> None:
        if not met:
            raise HistoryError(f"{path}: {what}: expected {expected}; {REMEDY}")

    demand(isinstance(data, dict) and data.get("format_version") == FORMAT_VERSION, "format_version", f"{FORMAT_VERSION}")
    demand(sorted(data) == ["base", "files", "format_version", "name", "periods", "weights"], "keys", "those of a family")
    demand(isinstance(data["name"], str) and isinstance(data["base"], str), "name and base", "texts")
    demand(data["weights"] in ("lora", "full"), "weights", f"'lora' or 'full', found {data['weights']!r}")
    demand(are_labels(data["periods"]), "periods", "at least two different labels of letters, digits, _ and -")
    family = Family(data["name"], tuple(data["periods"]), data["weights"], data["base"], data["files"])
    demand(_are_files(data["files"], family.folders), "files", f"names and SHA-256 of files in each of {', '.join(family.folders)}")
    _check_base(path, family)
    return family


def _are_files(files: Any, folders: tuple[str, ...]) -> bool:
    """Whether there are plain names and hashes for each folder: none that leads out of it."""
    if not isinstance(files, dict) or sorted(files) != sorted(folders):
        return False
    return all(
        isinstance(of_folder, dict)
        and all(_FILE.fullmatch(name) and isinstance(sha256, str) and _SHA256.fullmatch(sha256) for name, sha256 in of_folder.items())
        for of_folder in files.values()
    )


def _check_base(path: Path, family: Family) -> None:
    """Nothing is downloaded because a file says so: a base on the hub must be in the cache."""
    if not family.base:
        return
    try:
        base = ModelRef.parse(family.base)
        take_from_cache_only([base])
        pinned(base)
    except ModelRefError as error:
        raise HistoryError(f"{path}: base: {error}") from error
