"""What an ``adapter_config.json`` may say. It may come from anybody, and PEFT does what it says: it imports, and matches expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pg_envs.models.ref import ModelRef, ModelRefError

MAX_RANK = 4096
NAME = re.compile(r"[\w.-]{1,200}")
"""A module's name, as opposed to a regular expression, which may take for ever to match."""


def check_adapter_config(ref: ModelRef, path: Path, config: dict[str, Any]) -> None:
    """Refuse all but a plain LoRA adapter.

    Args:
        ref: What is to be loaded, for messages.
        path: Of the configuration.
        config: What stands in it.

    Raises:
        ModelRefError: Naming the file, the field and what was expected.
    """
    for key, (fits, expected) in FIELDS.items():
        if key in config and not fits(config[key]):
            raise _refusal(ref, path, key, config[key], expected)
    # One of them has PEFT import a module that it names, others have it read further files, or change the base.
    for key, value in config.items():
        if key.endswith("_config") and value not in (None, {}):
            raise _refusal(ref, path, key, value, "null")


def _refusal(ref: ModelRef, path: Path, key: str, value: Any, expected: str) -> ModelRefError:
    found = f"{ascii(key)[1:-1][:100]}={ascii(value)[:100]}"
    return ModelRefError(f"{ref}: only plain LoRA adapters are read, and {path} has {found}; expected {expected}")


def _is_whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _is_scale(value: Any) -> bool:
    # Neither "not a number" nor a whole number beyond all floats passes the comparison, nor breaks it.
    return type(value) in (int, float) and abs(value) <= 1e6


def _are_names(value: Any) -> bool:
    names = [value] if isinstance(value, str) else value
    return isinstance(names, list) and all(isinstance(name, str) and NAME.fullmatch(name) for name in names)


def _are_names_or_none(value: Any) -> bool:
    return value is None or _are_names(value)


def _by_name(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or (isinstance(value, dict) and _are_names(list(value)) and all(map(fits, value.values())))


_RANK, _NAMES = _is_whole(1, MAX_RANK), "names of modules, no regular expression"
FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "peft_type": (lambda value: value == "LORA", "LORA"),
    "base_model_name_or_path": (lambda value: value is None or (isinstance(value, str) and len(value) <= 4096), "text"),
    "r": (_RANK, f"1 to {MAX_RANK}"),
    "lora_alpha": (_is_scale, "a number up to a million"),
    "rank_pattern": (_by_name(_RANK), f"{_NAMES}, with 1 to {MAX_RANK}"),
    "alpha_pattern": (_by_name(_is_scale), f"{_NAMES}, with numbers up to a million"),
    "target_modules": (_are_names_or_none, _NAMES),
    "exclude_modules": (_are_names_or_none, _NAMES),
    "layers_pattern": (_are_names_or_none, _NAMES),
    "modules_to_save": (_are_names_or_none, _NAMES),
    "init_lora_weights": (lambda value: isinstance(value, bool) or value == "gaussian", "true, false or gaussian"),
    "layer_replication": (lambda value: value is None, "null"),
}
"""Fields that are looked at, what they may be, and that in words; a field that is missing has PEFT's default."""
