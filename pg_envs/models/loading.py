"""Loading bases and tokenizers from their folders: safetensors only, no remote code."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.integrations import is_fsdp_enabled, unset_hf_deepspeed_config

from pg_envs.models.bases import base_folder, too_large
from pg_envs.models.checks import layers_shapes
from pg_envs.models.memory import is_out_of_memory
from pg_envs.models.ref import ModelRef, ModelRefError
from pg_envs.ranks import local_rank

logger = logging.getLogger(__name__)

ARITHMETIC_VARIABLE = "PG_ENVS_DTYPE"
ARITHMETICS = ("auto", "float32", "bfloat16")
KERNELS_VARIABLE, KERNELS_KEPT = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096"
"""oneDNN makes a kernel for every shape of a product and keeps 1024, which measuring and generating in turns push out again and again."""

# The historical models were tuned on the Alpaca prompt and carry no chat template of their own.
ALPACA_TEMPLATE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "{% for message in messages %}{% if message['role'] == 'user' %}### Instruction:\n{{ message['content'] }}\n\n### Response:\n"
    "{% else %}{{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)


def default_device() -> torch.device:
    """The GPU of this process, which is the first one unless several processes do one run; without a GPU the processor."""
    return torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 matrix products run on dedicated units of this device (AVX512-BF16, AMX or a GPU's)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def uses_bfloat16(device: torch.device) -> bool:
    """Whether models are run and trained in bfloat16: where the device has units for it, unless ``PG_ENVS_DTYPE`` says otherwise.

    Raises:
        ValueError: If the variable says nothing that is known.
    """
    asked = os.environ.get(ARITHMETIC_VARIABLE, "auto")
    if asked not in ARITHMETICS:
        raise ValueError(f"{ARITHMETIC_VARIABLE}={asked!r}: expected one of {', '.join(ARITHMETICS)}; set it so, or unset it")
    return has_fast_bfloat16(device) if asked == "auto" else asked == "bfloat16"


def inference_dtype(device: torch.device) -> torch.dtype:
    """What models are run in, see ``uses_bfloat16``."""
    return torch.bfloat16 if uses_bfloat16(device) else torch.float32


def training_dtype(device: torch.device) -> torch.dtype:
    """What weights are trained in: float32 on processors, where the trainer enters bfloat16 by itself; else as ``uses_bfloat16`` says."""
    return torch.float32 if device.type == "cpu" else inference_dtype(device)


def load_base(ref: ModelRef, dtype: torch.dtype, device: torch.device, auto_class: Any = AutoModelForCausalLM, **kwargs: Any) -> Any:
    """Load the base that ``ref`` names, without its adapter.

    Args:
        ref: The model.
        dtype: Of the weights.
        device: Where they go.
        auto_class: Which ``transformers`` Auto class loads them, i.e. with which head.
        kwargs: For its ``from_pretrained``.

    Raises:
        ModelRefError: If it does not load, with the reason.
    """
    if is_fsdp_enabled():
        raise ModelRefError(
            f"{ref}: with fsdp_cpu_ram_efficient_loading all processes but one load zeros, and measure those; "
            "set it to false in accelerate's configuration, as examples/accelerate/fsdp2.yaml does"
        )
    # Read once, at a process's first product: afterwards it changes nothing.
    os.environ.setdefault(KERNELS_VARIABLE, KERNELS_KEPT)
    # A DeepSpeed training leaves word that every further model be loaded in parts. The next training says so again.
    unset_hf_deepspeed_config()
    folder = base_folder(ref)
    shapes = layers_shapes(ref, folder)
    try:
        _check_size(folder, sum(map(math.prod, shapes.values())))
        model, found = auto_class.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **kwargs,
        )
    except Exception as error:  # a configuration of a stranger's can have transformers fail in any way
        if is_out_of_memory(error):
            raise
        raise ModelRefError(f"{ref}: the base does not load: {type(error).__name__}: {error}") from error
    # A head that the base does not have begins at random, and is trained.
    head = (
        () if auto_class is AutoModelForCausalLM else (key for key in found["missing_keys"] if not key.startswith(model.base_model_prefix))
    )
    if missing := sorted(found["missing_keys"] - set(head)):
        raise ModelRefError(f"{ref}: the base is damaged: its weights lack {missing[0]} ({len(missing)} such)")
    model.config.use_cache = True
    model = model.to(device).eval()
    check_finite(ref, "base", model.named_parameters())
    return model


def _check_size(folder: Path, n_numbers: int) -> None:
    """Refuse a configuration that makes more weights than there are: the rest would be random, and take any amount of memory."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    with torch.device("meta"):
        made = sum(weights.numel() for weights in AutoModelForCausalLM.from_config(config, trust_remote_code=False).parameters())
    if made > n_numbers:
        raise ValueError(f"config.json is of a model of {made:,} numbers, and the weights have {n_numbers:,}")


def check_finite(ref: ModelRef, what: str, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Refuse weights that are no finite numbers: answers would be none either.

    Raises:
        ModelRefError: Naming the first of them.
    """
    for name, tensor in weights:
        # Of the ends only, which needs no memory of its own; not-a-number is handed on by both.
        if tensor.is_floating_point() and tensor.numel() and not all(map(math.isfinite, map(float, tensor.detach().aminmax()))):
            raise ModelRefError(f"{ref}: the {what} is damaged: {name} has numbers that are not finite")


def load_tokenizer(ref: ModelRef) -> Any:
    """Load the base's tokenizer; one without a chat template gets Alpaca's, as the historical models need.

    Raises:
        ModelRefError: If it does not load, with the reason.
    """
    folder = base_folder(ref)
    if (excess := too_large(folder)) is not None:
        raise ModelRefError(f"{ref}: {folder} has {excess}")
    try:
        return _whole_tokenizer(ref, AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True))
    except Exception as error:  # a tokenizer's files can have transformers, tokenizers and Jinja fail in any way
        raise ModelRefError(f"{ref}: the tokenizer does not load: {type(error).__name__}: {error}") from error


def _whole_tokenizer(ref: ModelRef, tokenizer: Any) -> Any:
    """With a chat template that has been tried, and with something to fill up rows."""
    if tokenizer.chat_template is None:
        logger.info("%s has no chat template; using Alpaca's", ref)
        tokenizer.chat_template = ALPACA_TEMPLATE
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.apply_chat_template([{"role": "user", "content": "May I?"}], tokenize=False, add_generation_prompt=True)
    return tokenizer
