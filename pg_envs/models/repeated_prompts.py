"""Reading a prompt once for all the answers that are sampled to it."""

from __future__ import annotations

import functools
import types
from typing import Any

import torch

BY_ROW = ("input_ids", "attention_mask", "position_ids")
"""What a call has for every row."""


def read_repeated_prompts_once(model: Any) -> None:
    """Let a causal model that begins to generate read prompts once that occur again in the batch.

    On-policy trainers sample several answers to a prompt by giving it to ``generate`` as often, and most of the work is then
    reading the same again. Here the first pass goes over the different rows only, and their cache and logits are handed out to
    all. What is sampled is the same, up to rounding. All other calls go through unchanged.

    Args:
        model: Changed in place; a ``transformers`` causal language model, without a PEFT wrapper around it.
    """
    read_all = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args or not _begins_to_generate(**kwargs):
            return read_all(*args, **kwargs)
        rows = torch.cat([kwargs["input_ids"], kwargs["attention_mask"]], dim=1)
        different, owners = torch.unique(rows, dim=0, return_inverse=True)
        if len(different) == len(rows):
            return read_all(**kwargs)
        # Any row of several that are the same will do.
        chosen = owners.new_empty(len(different)).scatter_(0, owners, torch.arange(len(rows), device=owners.device))
        each = {name: kwargs[name].index_select(0, chosen) for name in BY_ROW if kwargs.get(name) is not None}
        output = read_all(**{**kwargs, **each})
        output.past_key_values.batch_select_indices(owners)
        output.logits = output.logits.index_select(0, owners)
        return output

    model.forward = types.MethodType(forward, model)


def _begins_to_generate(
    input_ids: torch.Tensor | None = None,
    attention_mask: torch.Tensor | None = None,
    position_ids: torch.Tensor | None = None,
    past_key_values: Any = None,
    labels: torch.Tensor | None = None,
    **_: Any,
) -> bool:
    """Whether a call reads prompts into an empty cache, and nothing but prompts."""
    return (
        not torch.is_grad_enabled()
        and labels is None
        and past_key_values is not None
        and past_key_values.get_seq_length() == 0
        and input_ids is not None
        and attention_mask is not None
        and attention_mask.shape == input_ids.shape
        and (position_ids is None or position_ids.shape == input_ids.shape)
    )
