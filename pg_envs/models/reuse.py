"""Not computing twice, or for nothing: shared beginnings are read once, and states that nobody reads are not finished.

Two exact savings that scoring (``transformers_engine``) and training (``labelled_only``) share. Both rest on causal
attention: a token's state depends on what stands before it, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def last_feed_forward_at(model: Any, places: torch.Tensor) -> Iterator[None]:
    """Within the context, the last layer's feed-forward block runs at some positions only.

    Nothing after that block looks at other positions, so the final states at ``places`` are what they always are; those
    elsewhere are meaningless. Of a model with three layers about a quarter of the work is saved.

    Args:
        model: A ``transformers`` causal language model without a PEFT wrapper. Unless its last layer has a gated block as
            Llama's (``layers[-1].mlp.down_proj``), nothing is saved and nothing changes.
        places: (B, K) positions.
    """
    layers = getattr(model.base_model, "layers", None)
    block: Any = getattr(layers[-1], "mlp", None) if layers is not None else None
    if not hasattr(block, "down_proj"):
        yield
        return
    n_tokens = 0

    def gather(_: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        nonlocal n_tokens
        states = arguments[0]
        n_tokens = states.shape[1]
        return (states.gather(1, along_features(places, states)),)

    def scatter(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        everywhere = output.new_zeros(output.shape[0], n_tokens, output.shape[2])
        return everywhere.scatter(1, along_features(places, output), output)

    handles = [block.register_forward_pre_hook(gather), block.register_forward_hook(scatter)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def along_features(places: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """(B, K, D) index that takes (B, K) places of (B, T, D) states."""
    return places[..., None].expand(-1, -1, states.shape[-1])


def inside(lengths: torch.Tensor, width: int) -> torch.Tensor:
    """(B, width) bool: which positions of rows padded on the right are tokens."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]


def going_on(seen: torch.Tensor, n_more: int) -> dict[str, torch.Tensor]:
    """What a model must be told to read on after a cache with gaps.

    Args:
        seen: (B, W) bool, which of the cached positions are tokens.
        n_more: How many positions follow.

    Returns:
        ``attention_mask`` (B, W + n_more) and ``position_ids`` (B, n_more), as keyword arguments.
    """
    more = torch.ones(len(seen), n_more, dtype=torch.bool, device=seen.device)
    positions = seen.sum(1, keepdim=True) + torch.arange(n_more, device=seen.device)
    return {"attention_mask": torch.cat([seen, more], dim=1).long(), "position_ids": positions}
