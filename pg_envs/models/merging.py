"""Mixing LoRA adapters: ModelRefs and weights in, a new ModelRef out, nothing overwritten."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pg_envs.models.bases import base_folder
from pg_envs.models.checks import ADAPTER_CONFIG, ADAPTER_WEIGHTS, check_files, read_json
from pg_envs.models.ref import ModelRef, ModelRefError, local_path
from pg_envs.storage import file_sha256

if TYPE_CHECKING:
    from peft import PeftModel

PLAIN_LORA: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "lora_bias": (False, None),
    "use_dora": (False, None),
    "use_rslora": (False, None),
    "use_qalora": (False, None),
    "use_bdlora": (False, None),
    "alora_invocation_tokens": (None, []),
    "layer_replication": (None, []),
    "modules_to_save": (None, []),
    "target_parameters": (None, []),
    "trainable_token_indices": (None, []),
}
"""What an adapter's configuration has to say for its change of the base to be ``alpha / r * B A`` and nothing else."""
SCALE_SETTINGS = ("r", "lora_alpha", "rank_pattern", "alpha_pattern")
"""Settings that change what an adapter's weights mean."""


def check_mergeable(adapters: Sequence[ModelRef]) -> None:
    """Check that the adapters can be mixed. Reads headers only, no weights.

    Raises:
        ValueError: If there are none.
        ModelRefError: If they differ in base or revision, or one has no adapter, does not load, or is no plain LoRA.
    """
    if not adapters:
        raise ValueError("no adapters to mix: expected at least one ModelRef")
    first = adapters[0]
    for ref in adapters:
        if (ref.base, ref.revision) != (first.base, first.revision):
            raise ModelRefError(f"{ref}: only adapters of one base can be mixed, and {first} is on another")
        if ref.adapter is None:
            raise ModelRefError(f"{ref}: expected a ModelRef with an adapter; the bare base is the mixture whose weights are all 0")
        check_files(ref)
        config = read_json(ref, _folder(ref) / ADAPTER_CONFIG)
        for setting, allowed in PLAIN_LORA.items():
            if config.get(setting, allowed[0]) not in allowed:
                raise ModelRefError(f"{ref}: only plain LoRA adapters can be mixed; this one has {setting}={config[setting]!r}")


def mixture_name(adapters: Sequence[ModelRef], weights: Sequence[float]) -> str:
    """A folder name that stands for a mixture: it changes with base, adapters' contents, their order and the weights."""
    parts: list[Any] = [adapters[0].base, adapters[0].revision, [float(weight) for weight in weights]]
    for ref in adapters:
        config = read_json(ref, _folder(ref) / ADAPTER_CONFIG)
        parts.append([file_sha256(_folder(ref) / ADAPTER_WEIGHTS), {setting: config.get(setting) for setting in SCALE_SETTINGS}])
    return "mixture-" + hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def merge_adapters(adapters: Sequence[ModelRef], weights: Sequence[float], out: str | Path) -> ModelRef:
    """Save the weighted sum of LoRA adapters as one adapter.

    An adapter k changes a layer by s_k B_k A_k, s_k being its alpha / r. The new one changes it by sum_k w_k s_k B_k A_k,
    exactly up to float32 rounding: A is the w_k s_k A_k one below the other, B the B_k side by side, alpha / r is 1, and
    the rank is the sum of the ranks (PEFT's ``add_weighted_adapter`` with ``combination_type="cat"``; its ``"linear"``
    adds up A and B separately, which gives cross terms B_j A_k besides). Weights need not sum to 1 and may be negative; all
    0 gives the base.

    Args:
        adapters: At least one, all of one base.
        weights: (K,) finite, one an adapter.
        out: Folder for the new adapter; must not exist.

    Returns:
        ModelRef of the same base with the new adapter.

    Raises:
        ModelRefError: As ``check_mergeable``.
        ValueError: If the weights are not finite or not as many as the adapters.
        FileExistsError: If ``out`` exists, or another process makes it in the meantime.
    """
    from pg_envs.models.trained import save_adapter

    out = Path(out)
    if len(weights) != len(adapters) or not all(map(math.isfinite, weights)):
        raise ValueError(f"weights={list(weights)!r}: expected {len(adapters)} finite numbers, one an adapter")
    if out.exists():
        raise FileExistsError(f"{out} exists and is never overwritten; name another folder or remove it")
    check_mergeable(adapters)
    out.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: other processes may be making the same mixture.
    scratch = Path(tempfile.mkdtemp(prefix=f"{out.name}.tmp-", dir=out.parent))
    try:
        save_adapter(_mixed(adapters, weights), adapters[0], scratch / "adapter")
        _move(scratch / "adapter", out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return adapters[0].with_adapter(out)


def _mixed(adapters: Sequence[ModelRef], weights: Sequence[float]) -> PeftModel:
    """The adapters on layers without weights, and their mixture as the adapter called ``default``."""
    from pg_envs.models.adapters import put_adapter

    # Not bare numbers: PEFT leaves out of a saved adapter whatever has another adapter's name between two dots, as layers have.
    names = [f"source-{k}" for k in range(len(adapters))]
    model: Any = None
    for name, ref in zip(names, adapters, strict=True):
        model = put_adapter(_layers_without_weights(ref) if model is None else model, ref, name, torch_device="cpu")
    model.base_model.add_weighted_adapter(names, [float(weight) for weight in weights], "default", combination_type="cat")
    return model


def _layers_without_weights(ref: ModelRef) -> Any:
    """The base's layers in float32 with whatever their memory holds: mixing reads adapters only, and a large base costs nothing."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(base_folder(ref), trust_remote_code=False, local_files_only=True)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
        # Memory is reserved but never touched, so that none of it is used.
        return model.to_empty(device="cpu")
    except Exception as error:  # a configuration of a stranger's can have transformers fail in any way
        raise ModelRefError(f"{ref}: the base's config does not load: {type(error).__name__}: {error}") from error


def _folder(ref: ModelRef) -> Path:
    folder = local_path(ref.adapter or "")
    if folder is None:
        raise ModelRefError(f"{ref}: no adapter folder at {ref.adapter!r}")
    return folder


def _move(made: Path, out: Path) -> None:
    try:
        made.rename(out)
    except OSError as error:
        if out.exists():
            raise FileExistsError(f"{out} was made by another process in the meantime and is left as it is") from error
        raise
