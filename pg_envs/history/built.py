"""Families made by ``pg-envs build-history``: a folder with a model a period, and a manifest that names them in order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_envs.history.base import HistoryError, are_labels
from pg_envs.models.ref import ModelRef, ModelRefError, Weights, local_path
from pg_envs.plain_json import read_plain_json

FAMILY = "history.json"
BASE = "base"
"""Folder of a base that was made with the family."""
FORMAT_VERSION = 1
REMEDY = "build the family again, or fetch it anew"


@dataclass(frozen=True)
class Family:
    """What a manifest says.

    Attributes:
        name: What the family is called.
        periods: Labels, oldest first; each names a folder beside the manifest.
        weights: Whether those folders hold ``lora`` adapters or ``full`` models.
        base: What adapters are on, as ``ModelRef.parse`` reads it without an adapter; empty: the folder ``base`` beside the manifest.
    """

    name: str
    periods: tuple[str, ...]
    weights: Weights
    base: str

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


def read_family(folder: Path) -> Family:
    """Read and check a family's manifest; it may come from anybody, so only folders beside it, and a base, are named by it.

    Raises:
        HistoryError: If it is missing, too large, damaged or of an unknown format.
    """
    path = folder / FAMILY
    if not path.is_file():
        raise HistoryError(
            f"no family at {str(folder)!r}: expected {FAMILY} in it; make one with: pg-envs build-history PLAN --out {folder}"
        )
    data = read_plain_json(path, HistoryError, REMEDY)

    def demand(met: bool, what: str, expected: str) -> None:
        if not met:
            raise HistoryError(f"{path}: {what}: expected {expected}; {REMEDY}")

    demand(isinstance(data, dict) and sorted(data) == ["base", "format_version", "name", "periods", "weights"], "keys", "those of a family")
    demand(data["format_version"] == FORMAT_VERSION, "format_version", f"{FORMAT_VERSION}, found {data['format_version']!r}")
    demand(isinstance(data["name"], str) and isinstance(data["base"], str), "name and base", "texts")
    demand(data["weights"] in ("lora", "full"), "weights", f"'lora' or 'full', found {data['weights']!r}")
    demand(are_labels(data["periods"]), "periods", "at least two different labels of letters, digits, _ and -")
    family = Family(data["name"], tuple(data["periods"]), data["weights"], data["base"])
    _check_base(path, family)
    return family


def _check_base(path: Path, family: Family) -> None:
    """Nothing is downloaded because a file says so: a base on the hub must be in the cache."""
    if not family.base:
        return
    try:
        base = ModelRef.parse(family.base)
    except ModelRefError as error:
        raise HistoryError(f"{path}: base: {error}") from error
    if local_path(base.base) is not None:
        return
    from huggingface_hub import try_to_load_from_cache

    if not isinstance(try_to_load_from_cache(base.base, "config.json", revision=base.revision), str):
        revision = f" --revision {base.revision}" if base.revision else ""
        raise HistoryError(
            f"{path}: its base {family.base!r} is not on this machine; fetch it first with: hf download {base.base}{revision}"
        )
