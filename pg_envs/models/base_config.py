"""What a base's ``config.json`` may say. It may come from anybody, and transformers does what it says: fetches kernels, makes layers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pg_envs.models.ref import ModelRef, ModelRefError

N_LAYERS = re.compile(r"(n|num)_([a-z]+_)*layers?")
"""Keys that say how many layers are made, each with modules of its own."""
IMPLEMENTATIONS = (None, "eager", "sdpa", "grouped_mm", "batched_mm")
"""What transformers computes by itself; any other name has it look for a package, or for compiled code on the hub."""


def check_base_config(ref: ModelRef, path: Path, config: dict[str, Any], n_tensors: int) -> None:
    """Refuse what would run others' code, change how weights are read, or make more layers than there are weights for.

    Args:
        ref: What is to be loaded, for messages.
        path: Of the configuration.
        config: What stands in it; parts of a model may have configurations of their own within.
        n_tensors: How many the base's weights are.

    Raises:
        ModelRefError: Naming the file, the key and what was expected.
    """
    for key, value in _all_keys(config):
        expected = _expected(key, value, n_tensors)
        if expected is not None:
            raise ModelRefError(
                f"{ref}: {path} has {ascii(key)[1:-1][:100]}={ascii(value)[:100]}; expected {expected}: mend it, or take another base"
            )


def _expected(key: str, value: Any, n_tensors: int) -> str | None:
    """What had to stand there, in words; None if it does."""
    if key.endswith(("attn_implementation", "experts_implementation")):
        return None if isinstance(value, dict) or value in IMPLEMENTATIONS else "no kernels of others', but null, 'eager' or 'sdpa'"
    if key in ("quantization_config", "compression_config"):
        return None if value in (None, {}) else "null, since only weights that are plain numbers are read"
    if N_LAYERS.fullmatch(key) and isinstance(value, int | float) and not 0 <= value <= n_tensors:
        return f"0 to {n_tensors}, which is how many tensors the weights have"
    return None


def _all_keys(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Keys and values, those of objects and lists within included. Not by recursion, as objects may lie within each other very deep."""
    inside: list[Any] = [config]
    while inside:
        part = inside.pop()
        if isinstance(part, dict):
            yield from part.items()
            inside.extend(part.values())
        elif isinstance(part, list):
            inside.extend(part)
