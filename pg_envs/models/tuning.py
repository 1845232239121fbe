"""Fine-tuning: ModelRef in, new ModelRef out, nothing overwritten."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import DistributedType
from peft import PeftModel
from torch.distributed.tensor import DTensor
from transformers import PrinterCallback, TrainerCallback, set_seed

from pg_envs.models.checkpoints import SealCheckpoints, last_checkpoint
from pg_envs.models.checks import check_files
from pg_envs.models.full_steps import FullSteps
from pg_envs.models.labelled_only import score_labelled_only
from pg_envs.models.loading import default_device, load_tokenizer
from pg_envs.models.losses import Losses
from pg_envs.models.ref import ModelRef
from pg_envs.models.repeated_prompts import read_repeated_prompts_once
from pg_envs.models.trained import WEIGHTS, Trained
from pg_envs.models.tuning_config import TuningConfig, trl_arguments
from pg_envs.models.work_folder import TRAINER, check_work, in_words, prepare_work, remove_work
from pg_envs.progress import report
from pg_envs.ranks import by_all, by_first, in_any, is_first, rank
from pg_envs.storage import naming

if TYPE_CHECKING:
    from datasets import Dataset


class TrainingError(RuntimeError):
    """A training that gave no usable model, such as one whose loss is not finite."""


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
    Where several processes do one run, all must call this with the same arguments: they train together, and the first one saves.

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
        FileExistsError: If ``out`` exists, or a folder ``out.tmp`` that no training has made, or one of other settings.
        FileNotFoundError: If this process does not see what the first one saved.
        TrainingError: If a loss is not finite, the last batch's once more after the last step included, or training leaves weights that
            are not finite; nothing is saved then.
    """
    out = Path(out)
    scratch = out.with_name(f"{out.name}.tmp")
    # All look before the first one writes anything.
    training = in_words(what, seed, config)
    by_all(lambda: _check(ref, out, scratch, training))
    by_first(lambda: prepare_work(scratch, training, goes_on=config.save_every_steps is not None))
    set_seed(seed)
    trained = trained or WEIGHTS[config.weights]
    tokenizer = load_tokenizer(ref)
    try:
        model = trained.load(ref, config, scratch)
        trainer = make_trainer(model, tokenizer, scratch / TRAINER)
        if _can_save_work(trainer, model, config):
            score_labelled_only(_inner(model))
            read_repeated_prompts_once(_inner(model))
        # Progress goes through reports; the printer would put metrics between them.
        trainer.remove_callback(PrinterCallback)
        losses = Losses(trainer)
        trainer.add_callback(_Watching(what, ref, losses))
        trainer.add_callback(SealCheckpoints())
        with naming(scratch):
            trainer.train(resume_from_checkpoint=last_checkpoint(scratch / TRAINER))
        if in_any(not losses.last_is_still_finite()):
            raise TrainingError(
                f"{what} from {ref} left a model whose loss is not finite after step {trainer.state.global_step}, the last one; "
                "try a lower learning rate"
            )
        # Gathered by all, where each holds a part.
        weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)

        def save() -> None:
            shutil.rmtree(scratch / "made", ignore_errors=True)
            with naming(out):
                trained.save(trainer.accelerator.unwrap_model(trainer.model), weights, tokenizer, ref, scratch / "made")
                (scratch / "made").rename(out)
            remove_work(scratch)

        by_first(save)
    finally:
        if is_first() and config.save_every_steps is None:
            remove_work(scratch)
    if not out.exists():
        raise FileNotFoundError(
            f"{out}, which the first process has written, is not there for process {rank()}; choose a folder that all machines share"
        )
    return trained.name(ref, out)


def _check(ref: ModelRef, out: Path, scratch: Path, training: str) -> None:
    if os.path.lexists(out):
        raise FileExistsError(f"{out} exists and is never overwritten; name another folder or remove it")
    check_work(scratch, training)
    check_files(ref)


def _inner(model: Any) -> Any:
    """The model without a PEFT wrapper around it."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _can_save_work(trainer: Any, model: Any, config: TuningConfig) -> bool:
    """Whether the processor's savings apply.

    They go over a module more than once in a step and keep its cache: neither suits weights that are in parts, which are put together
    for one pass, nor activations that are computed anew.
    """
    whole = trainer.accelerator.distributed_type in (DistributedType.NO, DistributedType.MULTI_CPU)
    on_processor = default_device().type == "cpu"
    return on_processor and whole and not config.gradient_checkpointing and _inner(model).get_output_embeddings() is not None


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

    class SFTInFullSteps(FullSteps, SFTTrainer):
        """TRL's trainer, which learns the same in several processes."""

    config = config or TuningConfig()
    rows = batches_of_similar_length(dataset, config.batch_size, seed)

    def make_trainer(model: Any, tokenizer: Any, scratch: Path) -> Any:
        arguments = SFTConfig(**trl_arguments(config, scratch, seed))
        return SFTInFullSteps(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)

    return finetune(ref, out, make_trainer, seed, config, what="supervised fine-tuning")


class _Watching(TrainerCallback):
    """Turns trainer steps into progress reports, and ends a training whose loss or weights are lost."""

    def __init__(self, what: str, ref: ModelRef, losses: Losses) -> None:
        self.what, self.ref, self.losses = what, ref, losses

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        report(self.what, state.global_step, state.max_steps)
        # At once: a policy without finite weights cannot go on to sample answers. And in all processes: the others would wait for it.
        lost = [name for name, p in model.named_parameters() if p.requires_grad and not bool(torch.isfinite(_held_here(p)).all())]
        if in_any(not self.losses.all_finite):
            raise TrainingError(
                f"{self.what} from {self.ref} had a loss that is not finite in step {state.global_step} of {state.max_steps}; "
                "try a lower learning rate"
            )
        if in_any(bool(lost)):
            raise TrainingError(
                f"{self.what} from {self.ref} left weights that are not finite in {lost[0] if lost else 'another process'} after step "
                f"{state.global_step} of {state.max_steps}; try a lower learning rate"
            )


def _held_here(parameter: Any) -> torch.Tensor:
    """What this process holds of a parameter: of one in parts, FSDP's or DeepSpeed's, its own."""
    return parameter.to_local() if isinstance(parameter, DTensor) else getattr(parameter, "ds_tensor", parameter)
