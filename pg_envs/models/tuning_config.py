"""What every fine-tuning is told, in this package's words and in those of Hugging Face's trainers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_envs.models.loading import default_device, uses_bfloat16
from pg_envs.models.ref import Weights
from pg_envs.ranks import share_of


@dataclass(frozen=True)
class TuningConfig:
    """What every fine-tuning needs to be told. Rates and sizes are histtiny's; larger models want smaller rates."""

    learning_rate: float = 1e-3
    """Peak learning rate of AdamW; linear warm-up over the first twentieth, then linear decay."""
    n_epochs: float = 1.0
    """Passes over the data."""
    batch_size: int = 16
    """Examples per step, of all processes together."""
    max_length_tokens: int = 512
    """Longer examples are cut."""
    lora_rank: int = 8
    """Rank of a new adapter (an existing adapter keeps its own)."""
    lora_alpha: int = 16
    """Scale of a new adapter."""
    weights: Weights = "lora"
    """What is trained: a LoRA adapter, or all weights (``full``)."""
    save_every_steps: int | None = None
    """Write a checkpoint so often; the same call then goes on where a killed one stopped. None: it begins anew."""
    gradient_checkpointing: bool = False
    """Compute most activations anew when gradients need them, instead of keeping them: a third more work, a fraction of the memory."""


def trainer_arguments(config: TuningConfig, scratch: Path, seed: int) -> dict[str, Any]:
    """Arguments that every Hugging Face trainer here takes: quiet and seeded.

    Raises:
        ValueError: If a step's examples cannot be shared out evenly over the processes of this run.
    """
    device = default_device()
    return {
        "output_dir": str(scratch),
        "learning_rate": config.learning_rate,
        "num_train_epochs": config.n_epochs,
        "per_device_train_batch_size": share_of(config.batch_size),
        # The data come in the order in which they are to be read; see ``batches_of_similar_length``.
        "train_sampling_strategy": "sequential",
        "warmup_steps": 0.05,
        "lr_scheduler_type": "linear",
        "seed": seed,
        "use_cpu": device.type == "cpu",
        "bf16": uses_bfloat16(device),
        "gradient_checkpointing": config.gradient_checkpointing,
        "save_strategy": "no" if config.save_every_steps is None else "steps",
        "save_steps": config.save_every_steps or 0,
        # They are removed once the next one is sealed; see ``SealCheckpoints``.
        "save_total_limit": None,
        "report_to": [],
        "disable_tqdm": True,
        "logging_strategy": "no",
        # Every weight that is trained is used in every step.
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": device.type == "cuda",
    }


def trl_arguments(config: TuningConfig, scratch: Path, seed: int) -> dict[str, Any]:
    """``trainer_arguments`` and what TRL's trainers take besides, who turn text into tokens themselves."""
    return {
        **trainer_arguments(config, scratch, seed),
        "max_length": config.max_length_tokens,
        # Few different shapes: processors compile, and keep, a kernel for every new one.
        "pad_to_multiple_of": 32,
    }
