"""How vLLM is started; all of it stands in the engine's name."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pg_envs.models.engine import VLLM, EngineError
from pg_envs.models.settings import read_settings

KINDS: dict[str, type] = {
    "max_model_len": int,
    "kv_cache_gib": float,
    "gpu_memory_utilization": float,
    "max_lora_rank": int,
    "tensor_parallel_size": int,
    "dtype": str,
}
"""What an engine's name may set, and what kind of value it is."""
DTYPES = ("auto", "float32", "bfloat16", "float16")
LORA_RANKS = (0, 1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks that vLLM has kernels for; 0 starts it without them."""


@dataclass(frozen=True)
class VLLMSettings:
    """How vLLM is started. Names and meanings are vLLM's own where it has the setting.

    Attributes:
        max_model_len: Tokens of prompt and reply together; 1 or more, None for what the model's config says.
        kv_cache_gib: Size of the key-value cache in GiB; above 0. None leaves 2 GiB on a processor, and on a GPU what
            ``gpu_memory_utilization`` allows beside the weights.
        gpu_memory_utilization: Share of a GPU's memory that vLLM takes; above 0, at most 1. Half, so that agents can
            train on the same GPU.
        max_lora_rank: The largest rank of adapters, one of ``LORA_RANKS``; 0 for models that vLLM runs without adapters only.
        tensor_parallel_size: Over how many GPUs the weights are split; 1 or more.
        dtype: One of ``DTYPES``; "auto" is bfloat16 where the device has units for it, else float32.
    """

    max_model_len: int | None = None
    kv_cache_gib: float | None = None
    gpu_memory_utilization: float = 0.5
    max_lora_rank: int = 16
    tensor_parallel_size: int = 1
    dtype: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            EngineError: Naming the setting, its value and what was expected.
        """
        for name in ("max_model_len", "tensor_parallel_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise EngineError(f"{name}={value}: expected a whole number from 1 up")
        if self.kv_cache_gib is not None and not 0 < self.kv_cache_gib < math.inf:
            raise EngineError(f"kv_cache_gib={self.kv_cache_gib}: expected a number of GiB above 0")
        if not 0 < self.gpu_memory_utilization <= 1:
            raise EngineError(f"gpu_memory_utilization={self.gpu_memory_utilization}: expected a share above 0, at most 1")
        if self.max_lora_rank not in LORA_RANKS:
            raise EngineError(f"max_lora_rank={self.max_lora_rank}: expected one of {', '.join(map(str, LORA_RANKS))}")
        if self.dtype not in DTYPES:
            raise EngineError(f"dtype={self.dtype!r}: expected one of {', '.join(DTYPES)}")

    @classmethod
    def parse(cls, name: str) -> VLLMSettings:
        """The settings in an engine's name, e.g. ``vllm`` or ``vllm?max_model_len=2048&kv_cache_gib=1``.

        Raises:
            EngineError: If a setting is unknown, given twice, or of the wrong kind.
        """
        return cls(**read_settings(VLLM, name.partition("?")[2], KINDS))
