"""Whether a training's losses are finite, of any Hugging Face trainer's, without waiting for the device in every step."""

from __future__ import annotations

import functools
from typing import Any

import torch


class Losses:
    """Watches the losses of a trainer, which computes the same as without.

    Weights alone do not tell: after a step that was far too large they may be finite, and what the model makes of them not.
    """

    def __init__(self, trainer: Any) -> None:
        """Watch ``trainer``, which is not training yet."""
        self._trainer = trainer
        self._compute, self._last_batch = trainer.compute_loss, None
        self._lost: Any = False

        @functools.wraps(self._compute)
        def compute_loss(*args: Any, **kwargs: Any) -> Any:
            loss = self._compute(*args, **kwargs)
            self._last_batch = (args, kwargs)
            # Kept on the device until it is asked for.
            self._lost = self._lost | ~_finite(loss)
            return loss

        trainer.compute_loss = compute_loss

    @property
    def all_finite(self) -> bool:
        """Whether all so far were; this waits for the device."""
        return not bool(self._lost)

    def last_is_still_finite(self) -> bool:
        """Whether the last batch's loss is finite under the weights as they are now; True where there was no batch.

        All processes of a run must call it together. A step is judged by the loss of the next one, and the last step has no next.
        """
        if self._last_batch is None:
            return True
        args, kwargs = self._last_batch
        with torch.no_grad(), self._trainer.compute_loss_context_manager():
            return bool(_finite(self._compute(*args, **kwargs)))


def _finite(loss: Any) -> torch.Tensor:
    """Whether a loss is finite, that a trainer returned alone or with outputs."""
    return torch.isfinite(loss[0] if isinstance(loss, tuple) else loss).all()
