"""Checkpoints of Hugging Face trainers, each with the SHA-256 of its files: one that is half written or has changed is not gone on with."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from pg_envs.ranks import by_all, by_first
from pg_envs.seals import ENDING, fault_in, seal, seal_beside

logger = logging.getLogger(__name__)

PREFIX = "checkpoint-"
"""How the trainers call a checkpoint's folder, before its step."""


class SealCheckpoints(TrainerCallback):
    """Seals every checkpoint, then removes the others.

    The trainer's own ``save_total_limit`` must be off: it would remove them before the new one is sealed.
    """

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """When a checkpoint has been written."""
        made = Path(args.output_dir) / f"{PREFIX}{state.global_step}"
        # Every process writes its part.
        by_all(lambda: None)
        by_first(lambda: _seal_alone(made))


def _seal_alone(made: Path) -> None:
    seal(made)
    for other in made.parent.glob(f"{PREFIX}*"):
        if other.is_dir() and other != made:
            # In this order, as without its seal it counts for nothing.
            seal_beside(other).unlink(missing_ok=True)
            shutil.rmtree(other)


def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint in a trainer's folder that is what it was when it was sealed; None to begin anew.

    Where several processes train, all must call it.
    """
    return by_first(lambda: _last_checkpoint(folder))


def _last_checkpoint(folder: Path) -> str | None:
    steps = [note.name.removeprefix(PREFIX).removesuffix(ENDING) for note in folder.glob(f"{PREFIX}*{ENDING}")]
    for step in sorted((int(step) for step in steps if step.isdecimal()), reverse=True):
        checkpoint = folder / f"{PREFIX}{step}"
        fault = fault_in(checkpoint, seal_beside(checkpoint), "this checkpoint is passed over, and the training goes on from one before it")
        if fault is None:
            return str(checkpoint)
        logger.warning("%s", fault)
    return None
