"""Scoring labelled positions only, where TRL's fused head would score every position."""

from __future__ import annotations

import functools
import types
from typing import Any

import torch


def score_labelled_only(model: Any) -> None:
    """Let a causal model that carries TRL's fused head project only the states whose next token is labelled.

    TRL (1.x, ``add_fused_lm_head``) leaves unlabelled positions out where it has Triton, and scores them all
    elsewhere. With one-letter answers that is a hundred positions for one: about two thirds of a DPO training on
    a processor. Here the labelled states are gathered before the head, their labels handed over as the head's
    documented ``shift_labels``, and its per-token outputs put back where they belong, so the trainer sees the same
    numbers in the same places. Calls without ``fused_lm_head=True`` go through unchanged.

    Args:
        model: Changed in place; a ``transformers`` causal language model, without a PEFT wrapper around it.
    """
    scored_everywhere = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, fused_lm_head: bool = False, labels: torch.Tensor | None = None, **kwargs: Any) -> Any:
        if not fused_lm_head:
            return scored_everywhere(*args, labels=labels, **kwargs)
        if labels is None:
            return scored_everywhere(*args, fused_lm_head=True, **kwargs)
        next_labels = labels[:, 1:]
        places = labelled_places(next_labels != -100)

        def gather(_: Any, __: Any, output: Any) -> Any:
            states = output.last_hidden_state
            output.last_hidden_state = states.gather(1, places[..., None].expand(-1, -1, states.shape[-1]))
            return output

        hook = self.base_model.register_forward_hook(gather)
        try:
            scored = scored_everywhere(*args, shift_labels=next_labels.gather(1, places), fused_lm_head=True, **kwargs)
        finally:
            hook.remove()
        for name, values in scored.items():
            if values.shape == places.shape:
                scored[name] = torch.zeros(next_labels.shape, dtype=values.dtype, device=values.device).scatter(1, places, values)
        return scored

    model.forward = types.MethodType(forward, model)


def labelled_places(labelled: torch.Tensor) -> torch.Tensor:
    """(B, K) indices of the marked positions of a (B, T) bool mask in their order, K being the most in a row.

    Rows with fewer are filled up with unmarked positions; no row names a position twice. K is at least 1.
    """
    most = max(1, int(labelled.sum(1).max()))
    return torch.argsort((~labelled).int(), dim=1, stable=True)[:, :most]
