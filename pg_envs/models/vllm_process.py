"""Starting vLLM with what the ``vllm`` engine needs, and ending it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pg_envs.models.bases import base_folder
from pg_envs.models.checks import base_shapes
from pg_envs.models.engine import EngineError
from pg_envs.models.loading import default_device, inference_dtype
from pg_envs.models.ref import ModelRef
from pg_envs.models.resident import MAX_ADAPTERS
from pg_envs.models.vllm_settings import VLLMSettings

if TYPE_CHECKING:
    import torch

GIB = 2**30
PROCESSOR_KV_CACHE_GIB = 2.0
"""Small beside the weights of a large model, and enough for one prompt of 8,192 tokens to an 8B Llama in float32."""
ENVIRONMENT = {
    # By default vLLM tells its makers about each start.
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    # A process forked after torch has used OpenMP or CUDA hangs or fails.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}
"""Set before vLLM is imported, unless the user has set them."""


def start(base: ModelRef, settings: VLLMSettings) -> Any:
    """A running ``vllm.LLM``.

    Args:
        base: What it runs, without an adapter.
        settings: How. Always in eager mode: CUDA graphs take long to record, and speed up nothing but replies.

    Raises:
        EngineError: If vLLM does not start.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from vllm import LLM

    device = default_device()
    cache_gib = PROCESSOR_KV_CACHE_GIB if settings.kv_cache_gib is None and device.type == "cpu" else settings.kv_cache_gib
    try:
        return LLM(
            model=str(base_folder(base)),
            load_format="safetensors",
            trust_remote_code=False,
            dtype=dtype_name(settings, device),
            max_model_len=settings.max_model_len,
            kv_cache_memory_bytes=None if cache_gib is None else int(cache_gib * GIB),
            gpu_memory_utilization=settings.gpu_memory_utilization,
            tensor_parallel_size=settings.tensor_parallel_size,
            enable_prefix_caching=True,
            enforce_eager=True,
            **(_adapter_arguments(base, settings) if settings.max_lora_rank else {}),
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise EngineError(
            f"{base}: vLLM does not start: {error}; what its process wrote above says more. Scripts need "
            "'if __name__ == \"__main__\":'; a smaller max_model_len in the engine's name needs a smaller kv_cache_gib"
        ) from error


def dtype_name(settings: VLLMSettings, device: torch.device) -> str:
    """The type of numbers that vLLM is started with."""
    return str(inference_dtype(device)).removeprefix("torch.") if settings.dtype == "auto" else settings.dtype


def shut_down(llm: Any) -> None:
    """End vLLM's process and wait for its end."""
    llm.llm_engine.engine_core.shutdown()


def adaptable_layers(base: ModelRef) -> list[str]:
    """The last names of the weight matrices within a base's numbered layers, e.g. ``q_proj``: where adapters may change it."""
    names = [name.split(".") for name, shape in base_shapes(base, base_folder(base)).items() if len(shape) == 2]
    return sorted({parts[-2] for parts in names if any(part.isdigit() for part in parts)})


def _adapter_arguments(base: ModelRef, settings: VLLMSettings) -> dict[str, Any]:
    """What lets ``vllm.LLM`` run adapters on layers only.

    With an output matrix that adapters may change, vLLM 0.32 computes the log-probabilities of prompts without that
    change, and on a processor fails at them (vllm-project/vllm#51594, #29955).
    """
    return {
        "enable_lora": True,
        "lora_target_modules": adaptable_layers(base),
        "max_lora_rank": settings.max_lora_rank,
        "max_loras": 1,
        "max_cpu_loras": MAX_ADAPTERS,
    }
