"""What a fine-tuning trains, and how it is kept: a LoRA adapter on a frozen base, or all weights of a model of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from pg_envs.models.adapters import put_adapter
from pg_envs.models.loading import default_device, load_base, training_dtype
from pg_envs.models.ref import ModelRef, Weights
from pg_envs.ranks import by_first, weights_in_parts
from pg_envs.storage import naming

if TYPE_CHECKING:
    from pg_envs.models.tuning_config import TuningConfig

ADAPTER_NAME = "default"


class Trained(Protocol):
    """A way of training what a ModelRef names."""

    def load(self, ref: ModelRef, config: TuningConfig, scratch: Path) -> Any:
        """The model to train; ``scratch`` is there until training has ended."""
        ...

    def save(self, model: Any, weights: dict[str, Any], tokenizer: Any, ref: ModelRef, folder: Path) -> None:
        """Write what was trained of the model, whose whole weights are ``weights``, into ``folder``, as safetensors."""
        ...

    def name(self, ref: ModelRef, folder: Path) -> ModelRef:
        """The ModelRef of what lies in ``folder``."""
        ...


class Adapter:
    """A LoRA adapter; its ModelRef is on the same base."""

    def load(self, ref: ModelRef, config: TuningConfig, scratch: Path) -> PeftModel:
        """The model that ``ref`` names with one trainable adapter called ``default``: its own, or a new one."""
        base = load_to_train(ref)
        base.config.use_cache = False
        if ref.adapter is not None:
            return put_adapter(base, ref, ADAPTER_NAME, is_trainable=True)
        lora = LoraConfig(
            r=config.lora_rank, lora_alpha=config.lora_alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        return get_peft_model(base, lora, adapter_name=ADAPTER_NAME)

    def save(self, model: Any, weights: dict[str, Any], tokenizer: Any, ref: ModelRef, folder: Path) -> None:
        """The adapter alone."""
        save_adapter(model, ref, folder, weights)

    def name(self, ref: ModelRef, folder: Path) -> ModelRef:
        """The same base with the new adapter."""
        return ref.with_adapter(folder)


class WholeModel:
    """All weights; its ModelRef is a base of its own, with its tokenizer."""

    def load(self, ref: ModelRef, config: TuningConfig, scratch: Path) -> Any:
        """The model that ``ref`` names, an adapter added in, all of it trainable.

        TRL holds a model without adapters to the one that its config's name leads to, so an adapter's sum is written to
        ``scratch`` and loaded from there.
        """
        if ref.adapter is not None:
            by_first(lambda: _write_sum(ref, scratch / "start"))
            ref = ModelRef(str(scratch / "start"))
        model = load_to_train(ref)
        model.config.use_cache = False
        return model.train()

    def save(self, model: Any, weights: dict[str, Any], tokenizer: Any, ref: ModelRef, folder: Path) -> None:
        """The whole model and its tokenizer."""
        model.config.use_cache = True
        model.save_pretrained(folder, state_dict=weights)
        tokenizer.save_pretrained(folder)

    def name(self, ref: ModelRef, folder: Path) -> ModelRef:
        """A base without an adapter."""
        return ModelRef(str(folder))


def load_to_train(ref: ModelRef, auto_class: Any = AutoModelForCausalLM, **kwargs: Any) -> Any:
    """A base as trainings want it; where weights will be put in parts on several GPUs, it waits in main memory.

    Args:
        ref: The model.
        auto_class: As in ``load_base``.
        kwargs: As in ``load_base``.
    """
    device = default_device()
    return load_base(ref, training_dtype(device), torch.device("cpu") if weights_in_parts() else device, auto_class, **kwargs)


def _write_sum(ref: ModelRef, folder: Path) -> None:
    """The base with the adapter added in, as a model folder."""
    merged: Any = put_adapter(load_to_train(ref), ref, ADAPTER_NAME).merge_and_unload()
    with naming(folder):
        merged.save_pretrained(folder)


WEIGHTS: dict[Weights, Trained] = {"lora": Adapter(), "full": WholeModel()}
"""By the name that configurations have for it."""


def save_adapter(model: Any, ref: ModelRef, folder: Path, weights: dict[str, Any] | None = None) -> None:
    """Save the adapter called ``default`` of a PEFT model on ``ref``'s base, as safetensors.

    Args:
        model: The ``PeftModel``.
        ref: Names the base in the adapter's configuration.
        folder: For the adapter.
        weights: The model's, where ``model`` itself holds a part of them only.
    """
    # The name the adapter's config keeps is the ModelRef's, which means the same on every machine.
    model.peft_config[ADAPTER_NAME].base_model_name_or_path = ref.base
    # The adapters here never touch the embeddings, and looking for changed ones would need the base's folder.
    model.save_pretrained(
        folder, state_dict=weights, selected_adapters=[ADAPTER_NAME], safe_serialization=True, save_embedding_layers=False
    )
    (folder / "README.md").unlink(missing_ok=True)
    # PEFT keeps the modules in a set, whose order is another one in every process; the same adapter shall be the same files.
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
