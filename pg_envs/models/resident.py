"""The models in memory: one base; LoRA adapters are swapped on it, or merged into a copy if it is small."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig

from pg_envs.models.adapters import put_adapter
from pg_envs.models.checks import adapter_key
from pg_envs.models.loading import load_base, load_tokenizer
from pg_envs.models.ref import ModelRef
from pg_envs.progress import report

MAX_ADAPTERS = 32
"""Adapters kept on the base; the least recently used one leaves first."""
MERGED_UP_TO_BYTES = 2**28
"""Bases up to this size are copied and the adapter merged into the copy: on small layers LoRA's own products cost as much again."""
PLAIN_ATTENTION_UP_TO_TOKENS = 2048
"""Models that read longer texts keep fused attention, whose memory does not grow with the square of their length."""


class Resident:
    """Whatever model is asked for, nine centuries and a policy must not mean ten copies of their base."""

    def __init__(self, device: torch.device, dtype: torch.dtype, merged_up_to_bytes: int) -> None:
        """Nothing is loaded yet; see ``TransformersEngine`` for the arguments."""
        self.device, self.dtype, self.merged_up_to_bytes = device, dtype, merged_up_to_bytes
        self.tokenizer: Any = None
        """The resident base's."""
        self._base: tuple[str, str | None] | None = None
        self._model: Any = None
        self._peft: Any = None
        self._adapters: dict[str, str] = {}
        self._merged: tuple[str, Any] = ("", None)

    @contextmanager
    def running(self, ref: ModelRef) -> Iterator[Any]:
        """The loaded model that ``ref`` names, without gradients: what is not resident is loaded, adapters are switched.

        Raises:
            ModelRefError: If it does not load.
        """
        if self._base != (ref.base, ref.revision):
            # Let go of the old base before the new one is loaded: both need not fit.
            self._base, self._model, self._peft, self._adapters, self._merged = None, None, None, {}, ("", None)
            report(f"loading {ModelRef(ref.base, ref.revision)}", 0, 1)
            self.tokenizer = load_tokenizer(ref)
            self._model = load_base(ref, self.dtype, self.device)
            self._model.generation_config = _ends_only(self._model.generation_config)
            if self.dtype == torch.bfloat16 and self.device.type == "cpu" and self._is_small_with_short_texts():
                # torch's fused attention hardly uses a processor's bfloat16 units; plain products do, but keep all pairs of tokens.
                self._model.set_attn_implementation("eager")
            self._base = (ref.base, ref.revision)
        with torch.inference_mode():
            if ref.adapter is not None and self.is_small(self._model):
                yield self._merge(ref)
            elif ref.adapter is not None:
                self._use_adapter(ref)
                yield self._peft
            elif self._peft is not None:
                with self._peft.disable_adapter():
                    yield self._peft
            else:
                yield self._model

    def is_small(self, model: Any) -> bool:
        """Whether a loaded model is one of those that are merged."""
        return bool(model.get_memory_footprint() <= self.merged_up_to_bytes)

    def _is_small_with_short_texts(self) -> bool:
        return self.is_small(self._model) and 0 < getattr(self._model.config, "max_position_embeddings", 0) <= PLAIN_ATTENTION_UP_TO_TOKENS

    def _merge(self, ref: ModelRef) -> Any:
        """A copy of the base with the adapter's changes added in, rounded once."""
        key = adapter_key(ref)
        if self._merged[0] != key:
            wide = copy.deepcopy(self._model).float()
            merged: Any = put_adapter(wide, ref, "default", autocast_adapter_dtype=False).merge_and_unload()
            self._merged = (key, merged.to(self.dtype).eval())
        return self._merged[1]

    def _use_adapter(self, ref: ModelRef) -> None:
        # Content, not paths, says whether an adapter is resident: a folder may have been written anew.
        key = adapter_key(ref)
        if key in self._adapters:
            self._adapters[key] = self._adapters.pop(key)
        else:
            self._load_adapter(ref, key)
        self._peft.set_adapter(self._adapters[key], inference_mode=True)

    def _load_adapter(self, ref: ModelRef, key: str) -> None:
        if len(self._adapters) >= MAX_ADAPTERS:
            self._peft.delete_adapter(self._adapters.pop(next(iter(self._adapters))))
        name = f"adapter_{key}"
        self._peft = put_adapter(self._model if self._peft is None else self._peft, ref, name, autocast_adapter_dtype=False)
        self._peft.to(dtype=self.dtype).eval()
        self._adapters[key] = name


def _ends_only(defaults: GenerationConfig) -> GenerationConfig:
    """How a base begins, ends and fills up texts, without its habits of sampling: other engines sample from the model as it is."""
    return GenerationConfig(**{name: getattr(defaults, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")})
