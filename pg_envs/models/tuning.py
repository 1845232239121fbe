"""Fine-tuning: ModelRef in, new ModelRef out, nothing overwritten."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from peft import PeftModel
from transformers import PrinterCallback, TrainerCallback, set_seed

from pg_envs.models.checks import check_files
from pg_envs.models.labelled_only import score_labelled_only
from pg_envs.models.loading import default_device, has_fast_bfloat16, load_tokenizer
from pg_envs.models.ref import ModelRef, Weights
from pg_envs.models.repeated_prompts import read_repeated_prompts_once
from pg_envs.models.trained import WEIGHTS, Trained
from pg_envs.progress import report

if TYPE_CHECKING:
    from datasets import Dataset


class TrainingError(RuntimeError):
    """A training that gave no usable model, such as one whose loss is not finite."""


@dataclass(frozen=True)
class TuningConfig:
    """What every fine-tuning needs to be told. Rates and sizes are histtiny's; larger models want smaller rates."""

    learning_rate: float = 1e-3
    """Peak learning rate of AdamW; linear warm-up over the first twentieth, then linear decay."""
    n_epochs: float = 1.0
    """Passes over the data."""
    batch_size: int = 16
    """Examples per step."""
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


def trainer_arguments(config: TuningConfig, scratch: Path, seed: int) -> dict[str, Any]:
    """Arguments that every Hugging Face trainer here takes: quiet and seeded."""
    device = default_device()
    return {
        "output_dir": str(scratch),
        "learning_rate": config.learning_rate,
        "num_train_epochs": config.n_epochs,
        "per_device_train_batch_size": config.batch_size,
        # The data come in the order in which they are to be read; see ``batches_of_similar_length``.
        "train_sampling_strategy": "sequential",
        "warmup_steps": 0.05,
        "lr_scheduler_type": "linear",
        "seed": seed,
        "use_cpu": device.type == "cpu",
        "bf16": has_fast_bfloat16(device),
        "gradient_checkpointing": False,
        "save_strategy": "no" if config.save_every_steps is None else "steps",
        "save_steps": config.save_every_steps or 0,
        "save_total_limit": 1,
        "report_to": [],
        "disable_tqdm": True,
        "logging_strategy": "no",
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


MakeTrainer = Callable[[Any, Any, Path], Any]
"""Given a model, a tokenizer and a scratch folder, returns a Hugging Face trainer ready to ``train()``."""


def finetune(
    ref: ModelRef,
    out: str | Path,
    make_trainer: MakeTrainer,
    seed: int,
    config: TuningConfig,
    what: str,
    trained: Trained | None = None,
) -> ModelRef:
    """Train an adapter, or all weights, with any Hugging Face trainer and save what came of it.

    The model starts as ``ref``: with an adapter, that adapter is trained on; without one, a new one.

    Args:
        ref: Where to start.
        out: Folder for what is trained; must not exist.
        make_trainer: See ``MakeTrainer``.
        seed: For a new adapter's weights and the trainer; the same seed gives the same weights.
        config: ``weights`` says what is trained; also the LoRA rank and scale of a new adapter.
        what: How the work is called in progress reports.
        trained: What is trained instead of the language model that ``config`` asks for.

    Returns:
        ModelRef of the same base with the new adapter; of a base of its own, if all weights were trained.

    Raises:
        ModelRefError: If ``ref`` does not load.
        FileExistsError: If ``out`` exists.
        TrainingError: If training leaves weights that are not finite; nothing is saved then.
    """
    out = Path(out)
    if out.exists():
        raise FileExistsError(f"{out} exists and is never overwritten; name another folder or remove it")
    check_files(ref)
    set_seed(seed)
    trained = trained or WEIGHTS[config.weights]
    tokenizer = load_tokenizer(ref)
    scratch = out.with_name(f"{out.name}.tmp")
    if config.save_every_steps is None:
        shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        model = trained.load(ref, config, scratch)
        trainer = make_trainer(model, tokenizer, scratch / "trainer")
        inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
        if default_device().type == "cpu" and inner.get_output_embeddings() is not None:
            score_labelled_only(inner)
            read_repeated_prompts_once(inner)
        # Progress goes through reports; the printer would put metrics between them.
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Watching(what, ref))
        trainer.train(resume_from_checkpoint=last_checkpoint(scratch / "trainer"))
        shutil.rmtree(scratch / "made", ignore_errors=True)
        trained.save(trainer.accelerator.unwrap_model(trainer.model), tokenizer, ref, scratch / "made")
        (scratch / "made").rename(out)
    finally:
        if config.save_every_steps is None or out.exists():
            shutil.rmtree(scratch, ignore_errors=True)
    return trained.name(ref, out)


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint of a trainer's folder, or None."""
    # Written last, so that a checkpoint that has it is whole.
    states = folder.glob("checkpoint-*/trainer_state.json")
    steps = {int(state.parent.name.removeprefix("checkpoint-")): str(state.parent) for state in states}
    return steps[max(steps)] if steps else None


def batches_of_similar_length(dataset: Dataset, batch_size: int, seed: int) -> Dataset:
    """The rows in an order in which every ``batch_size`` in a row are about equally long, batches in random order.

    Read in this order (``train_sampling_strategy="sequential"``), batches are padded little; a few long prompts
    would otherwise make every batch of short ones almost twice as long. Rows left over come last.
    """
    rng = np.random.default_rng(seed)
    # A random order first, so that equal lengths do not keep the order they came in.
    order = rng.permutation(len(dataset))
    order = order[np.argsort([-len(str(dataset[int(i)])) for i in order], kind="stable")]
    n_whole = len(order) // batch_size * batch_size
    whole = rng.permutation(order[:n_whole].reshape(-1, batch_size))
    return dataset.select(np.concatenate([whole.ravel(), order[n_whole:]]))


def sft(ref: ModelRef, dataset: Dataset, out: str | Path, seed: int = 0, config: TuningConfig | None = None) -> ModelRef:
    """Supervised LoRA fine-tuning with TRL's ``SFTTrainer``.

    Args:
        ref: Where to start; see ``finetune``, also for what is raised.
        dataset: TRL's ``prompt``/``completion`` (the loss is on the completion), or ``text``.
        out: Folder for the new adapter; must not exist.
        seed: The same seed gives the same adapter.
        config: Rates and sizes.
    """
    from trl import SFTConfig, SFTTrainer

    config = config or TuningConfig()
    rows = batches_of_similar_length(dataset, config.batch_size, seed)

    def make_trainer(model: Any, tokenizer: Any, scratch: Path) -> Any:
        arguments = SFTConfig(**trl_arguments(config, scratch, seed))
        return SFTTrainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)

    return finetune(ref, out, make_trainer, seed, config, what="supervised fine-tuning")


class _Watching(TrainerCallback):
    """Turns trainer steps into progress reports, and ends a training whose weights are lost."""

    def __init__(self, what: str, ref: ModelRef) -> None:
        self.what, self.ref = what, ref

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        report(self.what, state.global_step, state.max_steps)
        # At once: a policy without finite weights cannot go on to sample answers.
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and not bool(torch.isfinite(parameter).all()):
                raise TrainingError(
                    f"{self.what} from {self.ref} left weights that are not finite in {name} after step {state.global_step} of "
                    f"{state.max_steps}; try a lower learning rate"
                )
