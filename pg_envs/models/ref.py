"""Naming a model by value, and finding where it lies."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pg_envs.paths import expanded

ASSET_PREFIX = "pg_envs:"
"""Names what ships with the package, so that results do not depend on where it is installed."""

Weights = Literal["lora", "full"]
"""What of a model is trained: a LoRA adapter, or all weights."""


class ModelRefError(ValueError):
    """A ModelRef that does not load; the message says which and why."""


@dataclass(frozen=True, order=True)
class ModelRef:
    """The name of a model: frozen, hashable, JSON-able; never the model itself.

    Attributes:
        base: A folder, a hub id, or ``pg_envs:...`` for what ships with the package.
        revision: Commit, tag or branch of a hub id; None for folders.
        adapter: Folder of a LoRA adapter (PEFT's layout) on that base, or None for the bare base.
    """

    base: str
    revision: str | None = None
    adapter: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """A dict of plain values; ``from_json`` reverses it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ModelRef:
        """The ModelRef that ``to_json`` wrote."""
        return cls(**data)

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """The ModelRef that ``base``, ``base+adapter`` or ``base@revision+adapter`` names, as ``str`` writes it.

        The base ends at the first ``+`` and its name at the first ``@``, so a base's folder must have neither in its path.

        Raises:
            ModelRefError: If a part is empty.
        """
        whole_base, plus, adapter = str(text).partition("+")
        base, at, revision = whole_base.partition("@")
        if not base or (at and not revision) or (plus and not adapter):
            raise ModelRefError(f"{text!r} names no model: expected BASE, BASE+ADAPTER or BASE@REVISION+ADAPTER")
        return cls(base, revision or None, adapter or None)

    def with_adapter(self, adapter: str | Path | None) -> ModelRef:
        """The same base with another adapter."""
        return ModelRef(self.base, self.revision, None if adapter is None else str(adapter))

    def __str__(self) -> str:
        """``base@revision+adapter``."""
        revision = f"@{self.revision}" if self.revision else ""
        adapter = f"+{self.adapter}" if self.adapter else ""
        return f"{self.base}{revision}{adapter}"


def local_path(name: str) -> Path | None:
    """The local folder that ``name`` means, or None if it can only be a hub id."""
    if name.startswith(ASSET_PREFIX):
        return Path(str(resources.files("pg_envs") / "assets")) / name.removeprefix(ASSET_PREFIX)
    path = expanded(name)
    # A hub id is "name" or "owner/name"; anything that looks like a path must be one.
    # Not the method, which raises at names that are too long for a file system.
    if os.path.isdir(path) or path.is_absolute() or name.startswith(".") or name.count("/") > 1:
        return path
    return None


def loadable_name(name: str) -> str:
    """What ``from_pretrained`` is given for ``name``."""
    path = local_path(name)
    return name if path is None else str(path)
