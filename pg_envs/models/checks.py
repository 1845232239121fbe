"""Finding out, before any work starts, whether a ModelRef will load. Reads headers only, no weights."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from pg_envs.models.adapter_config import check_adapter_config
from pg_envs.models.base_config import check_base_config
from pg_envs.models.bases import ADAPTER_CONFIG, base_folder, first_lack, pinned, remedy
from pg_envs.models.noted_files import check_noted
from pg_envs.models.ref import ASSET_PREFIX, ModelRef, ModelRefError, loadable_name, local_path
from pg_envs.plain_json import read_capped
from pg_envs.storage import file_sha256

ADAPTER_WEIGHTS = "adapter_model.safetensors"
MAX_CONFIG_BYTES = 16 << 20
PEFT_RANK = 8
"""PEFT's own, where a configuration names none."""


def check_files(ref: ModelRef) -> None:
    """Check that the files behind ``ref`` exist, are whole, and belong together.

    A base that is a hub id is fetched if the cache lacks it, after all that can be checked without it.

    Raises:
        ModelRefError: Naming the ModelRef, the file and the reason.
    """
    of_adapter = {} if ref.adapter is None else adapter_shapes(ref, ref.adapter)
    folder = base_folder(ref)
    try:
        of_base = base_shapes(ref, folder)
    except ModelRefError as error:
        raise ModelRefError(f"{error}{remedy(ref)}") from error
    if ref.adapter is not None:
        _check_fit(ref, of_adapter, of_base, input_first=_may_be_input_first(ref))


def fingerprint(ref: ModelRef) -> str:
    """16 hexadecimal digits that change with the weights: SHA-256 over local safetensors files, or a hub id and its commit.

    Raises:
        ModelRefError: If neither the cache nor the hub knows a hub id's commit.
    """
    digest, revision = hashlib.sha256(), pinned(ref).revision
    for name in (ref.base, ref.adapter):
        path = local_path(name) if name else None
        if path is None:
            digest.update(str((name, revision)).encode())
            continue
        for file in sorted(path.glob("*.safetensors")):
            digest.update(file.name.encode())
            digest.update(bytes.fromhex(file_sha256(file)))
    return digest.hexdigest()[:16]


def adapter_key(ref: ModelRef) -> str:
    """32 hexadecimal digits that tell ``ref``'s adapter from all others: those of ``fingerprint``, and 16 of its configuration.

    The same weights change the base more with a larger ``lora_alpha``, or elsewhere with other ``target_modules``.

    Raises:
        ModelRefError: As ``fingerprint``.
        OSError: If the adapter has no configuration, which ``check_files`` finds.
    """
    folder = Path(loadable_name(str(ref.adapter)))
    return fingerprint(ref) + file_sha256(folder / ADAPTER_CONFIG)[:16]


def read_json(ref: ModelRef, path: Path) -> dict[str, Any]:
    """The JSON object in a file behind ``ref``.

    Raises:
        ModelRefError: If the file is missing or damaged.
    """
    try:
        data = json.loads(read_capped(path, MAX_CONFIG_BYTES, ValueError, "no configuration is so large"))
    except FileNotFoundError as error:
        raise ModelRefError(f"{ref}: no file {path}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelRefError(f"{ref}: {path} is damaged: {error}") from error
    if not isinstance(data, dict):
        raise ModelRefError(f"{ref}: {path} is damaged: expected a JSON object, found {type(data).__name__}")
    return data


def _shapes(ref: ModelRef, path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(path, framework="numpy") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise ModelRefError(f"{ref}: no file {path}; only safetensors are read") from error
    except (OSError, SafetensorError) as error:
        raise ModelRefError(f"{ref}: {path} is damaged: {error}") from error


def adapter_shapes(ref: ModelRef, name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights in ``ref``'s adapter, which lies in the folder ``name``.

    Raises:
        ModelRefError: If they are missing, damaged, not what was noted, do not fit each other, or are for another base.
    """
    adapter = local_path(name)
    if adapter is None or not os.path.isdir(adapter):
        raise ModelRefError(f"{ref}: no adapter folder at {name!r}; expected one with {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}")
    check_noted(ref, name)
    config = read_json(ref, adapter / ADAPTER_CONFIG)
    check_adapter_config(ref, adapter / ADAPTER_CONFIG, config)
    _check_base_name(ref, str(config.get("base_model_name_or_path") or ""))
    shapes = _shapes(ref, adapter / ADAPTER_WEIGHTS)
    _check_ranks(ref, shapes, None if config.get("rank_pattern") else config.get("r", PEFT_RANK))
    return shapes


def base_shapes(ref: ModelRef, base: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights in ``ref``'s base, whose files lie in the folder ``base``.

    Raises:
        ModelRefError: If files are missing or damaged, or the configuration says what it must not.
    """
    if not os.path.isdir(base):
        raise ModelRefError(f"{ref}: no model folder at {str(base)!r}; give a folder with config.json, or a hub id")
    read_json(ref, base / "config.json")
    lack = first_lack(base)
    if lack is not None:
        raise ModelRefError(f"{ref}: {base} has {lack}")
    return layers_shapes(ref, base)


def layers_shapes(ref: ModelRef, base: Path) -> dict[str, tuple[int, ...]]:
    """As ``base_shapes``, whether or not there is a tokenizer.

    Raises:
        ModelRefError: As ``base_shapes``.
    """
    check_noted(ref, ref.base)
    config = read_json(ref, base / "config.json")
    shapes: dict[str, tuple[int, ...]] = {}
    for file in sorted(base.glob("*.safetensors")):
        shapes.update(_shapes(ref, file))
    check_base_config(ref, base / "config.json", config, len(shapes))
    return shapes


def _check_base_name(ref: ModelRef, trained_on: str) -> None:
    """Refuse an adapter that says it was trained on another base than ``ref``'s."""
    if not trained_on or trained_on == ref.base:
        return
    ours, theirs = local_path(ref.base), local_path(trained_on)
    # A folder may have moved since; only two places that both exist, or two hub ids, can be told apart.
    if theirs is None and (ours is None or ref.base.startswith(ASSET_PREFIX)):
        # What is bundled lies where it always does, under the name that its adapters give it.
        differ = trained_on != ref.base.removeprefix(ASSET_PREFIX)
    else:
        differ = ours is not None and theirs is not None and os.path.isdir(theirs) and ours.resolve() != theirs.resolve()
    if differ:
        raise ModelRefError(f"{ref}: the adapter was trained on another base, {trained_on!r}")


def _check_ranks(ref: ModelRef, adapter: dict[str, tuple[int, ...]], rank: int | None) -> None:
    """Refuse matrices that are none, or are not of one rank (LoRA: A is (r, in), B is (out, r)): ``rank``, unless layers may differ."""
    ranks: dict[str, int] = {}
    for name, shape in adapter.items():
        for part, axis in ((".lora_A.", 0), (".lora_B.", 1)):
            if part not in name:
                continue
            if len(shape) != 2:
                raise ModelRefError(f"{ref}: the adapter is damaged: {name} has shape {shape}; expected two axes")
            expected = ranks.setdefault(name.split(part)[0], rank or shape[axis])
            if shape[axis] != expected:
                raise ModelRefError(f"{ref}: the adapter is damaged: {name} has shape {shape}; expected rank {expected}")


def _may_be_input_first(ref: ModelRef) -> bool:
    """Whether the adapter is for layers whose matrices are (in, out), as GPT-2's are; PEFT writes so when it meets one."""
    return read_json(ref, Path(loadable_name(str(ref.adapter))) / ADAPTER_CONFIG).get("fan_in_fan_out") is True


def _check_fit(ref: ModelRef, adapter: dict[str, tuple[int, ...]], base: dict[str, tuple[int, ...]], input_first: bool) -> None:
    """Refuse an adapter whose matrices do not fit the base's (LoRA: A is (r, in), B is (out, r); the base's matrices are (out, in)).

    Args:
        ref: For messages.
        adapter: Names and shapes of its weights.
        base: Names and shapes of the base's.
        input_first: Whether the base's matrices may be (in, out) too.
    """
    for name, shape in adapter.items():
        for part, axis in ((".lora_A.", 1), (".lora_B.", 0)):
            if part not in name:
                continue
            module = name.split(part)[0].removeprefix("base_model.model.") + ".weight"
            # GPT-2 as published, and whatever was saved without its head, leaves the first part of every name out.
            matrix = base.get(module) or base.get(module.partition(".")[2])
            if matrix is None:
                raise ModelRefError(f"{ref}: the adapter is for another base: it changes {module!r}, which this base does not have")
            sizes = (matrix[axis], matrix[1 - axis]) if len(matrix) == 2 else ()
            if shape[axis] not in sizes[: 1 + input_first]:
                raise ModelRefError(f"{ref}: the adapter is for another base: {name} has shape {shape}, the base's {module} has {matrix}")
