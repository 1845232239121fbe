"""What an ``adapter_config.json`` may say. It may come from anybody, and PEFT does what it says: it imports, and matches expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pg_envs.models.ref import ModelRef, ModelRefError

MAX_RANK, MAX_LAYERS = 4096, 10_000
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
    if "peft_type" not in config:
        raise _refusal(ref, path, "peft_type", None, FIELDS["peft_type"][1])
    # A field that is not known may have PEFT import a module that it names, read further files, or change the base.
    for key, value in config.items():
        fits, expected = FIELDS.get(key, (_is_nothing, "null or false, since this field is not known here"))
        if not fits(value):
            raise _refusal(ref, path, key, value, expected)


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


def _is_nothing(value: Any) -> bool:
    """Whether a field is left as if it were not there."""
    return value is None or value is False or (isinstance(value, dict | list) and not value)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text_or_none(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= 4096)


def _are_layers_or_none(value: Any) -> bool:
    numbers = value if isinstance(value, list) else [value]
    return value is None or all(map(_is_whole(0, MAX_LAYERS), numbers))


def _by_name(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or (isinstance(value, dict) and _are_names(list(value)) and all(map(fits, value.values())))


_RANK, _NAMES, _TRUTH = _is_whole(1, MAX_RANK), "names of modules, no regular expression", "true or false"
FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "peft_type": (lambda value: value == "LORA", "LORA"),
    "task_type": (lambda value: value in (None, "CAUSAL_LM", "SEQ_CLS"), "CAUSAL_LM, SEQ_CLS or null"),
    "base_model_name_or_path": (_is_text_or_none, "text"),
    "revision": (_is_text_or_none, "text or null"),
    "peft_version": (_is_text_or_none, "text or null"),
    # Nothing is imported by this name as long as there is no megatron_config.
    "megatron_core": (_is_text_or_none, "text or null"),
    "r": (_RANK, f"1 to {MAX_RANK}"),
    "lora_alpha": (_is_scale, "a number up to a million"),
    "lora_dropout": (lambda value: _is_scale(value) and 0 <= value < 1, "a number from 0 to below 1"),
    "rank_pattern": (_by_name(_RANK), f"{_NAMES}, with 1 to {MAX_RANK}"),
    "alpha_pattern": (_by_name(_is_scale), f"{_NAMES}, with numbers up to a million"),
    "target_modules": (_are_names, _NAMES),
    "exclude_modules": (_are_names_or_none, _NAMES),
    "layers_pattern": (_are_names_or_none, _NAMES),
    "layers_to_transform": (_are_layers_or_none, f"null, or whole numbers up to {MAX_LAYERS}"),
    "modules_to_save": (_are_names_or_none, _NAMES),
    "bias": (lambda value: value == "none", "none"),
    "use_rslora": (_is_truth, _TRUTH),
    "fan_in_fan_out": (_is_truth, _TRUTH),
    "inference_mode": (_is_truth, _TRUTH),
    "init_lora_weights": (lambda value: isinstance(value, bool) or value == "gaussian", "true, false or gaussian"),
    # Sizes of what use_qalora would do, which must be null or false as every field that is not named here.
    "qalora_group_size": (_is_whole(0, MAX_RANK), f"0 to {MAX_RANK}"),
}
"""Fields that may say something, what that may be, and that in words; a field that is missing has PEFT's default."""
