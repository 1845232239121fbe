"""Computing only what a loss on labelled tokens needs, where TRL's fused head would score every position."""

from __future__ import annotations

import functools
import types
from dataclasses import dataclass
from typing import Any

import torch

from pg_envs.models.reuse import along_features, going_on, inside, last_feed_forward_at

NO_LABEL = -100
"""What Hugging Face's losses take for "no label here"."""
OUTSIDE = -1
"""Marks positions behind a prompt while prompts are compared."""
WIDTH_STEP = 16
"""Prompts are padded to a multiple of this: processors compile a kernel for every new shape, so few are fast."""


def score_labelled_only(model: Any) -> None:
    """Let a causal model that carries TRL's fused head read shared prompts once and score labelled positions only.

    TRL (1.x, ``add_fused_lm_head``) leaves unlabelled positions out where it has Triton, and scores them all elsewhere:
    with one-letter answers a hundred positions for one. And it reads a preference pair's prompt twice, for the chosen
    and for the rejected answer. Here the labels are handed over as the head's documented ``shift_labels`` for the states
    that were gathered, prompts that occur again in a batch are read once and gone on from their cache, and the per-token
    outputs are put back where they belong, so the trainer sees the same numbers in the same places. Calls without
    ``fused_lm_head=True`` go through unchanged.

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
        parts = None if args else _take_apart(labels, **kwargs)
        if parts is None:
            return _score_in_one_go(self, scored_everywhere, labels, *args, **kwargs)
        return _score_after_prompts(parts, self, scored_everywhere, labels, **kwargs)

    model.forward = types.MethodType(forward, model)


def labelled_places(labelled: torch.Tensor) -> torch.Tensor:
    """(B, K) indices of the marked positions of a (B, T) bool mask in their order, K being the most in a row.

    Rows with fewer are filled up with unmarked positions; no row names a position twice. K is at least 1.
    """
    most = max(1, int(labelled.sum(1).max()))
    return torch.argsort((~labelled).int(), dim=1, stable=True)[:, :most]


def _score_in_one_go(model: Any, scored_everywhere: Any, labels: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    next_labels = labels[:, 1:]
    places = labelled_places(next_labels != NO_LABEL)

    def gather(_: Any, __: Any, output: Any) -> Any:
        states = output.last_hidden_state
        output.last_hidden_state = states.gather(1, along_features(places, states))
        return output

    hook = model.base_model.register_forward_hook(gather)
    try:
        with last_feed_forward_at(model, places):
            scored = scored_everywhere(*args, shift_labels=next_labels.gather(1, places), fused_lm_head=True, **kwargs)
    finally:
        hook.remove()
    return _put_back(scored, places, next_labels.shape)


@dataclass(frozen=True)
class _Parts:
    """A batch of B rows, taken apart where labels begin.

    Attributes:
        prompts: (U, W) the different prompts, padded on the right.
        prompt_lengths: (U,) how long each is.
        owners: (B,) which prompt each row begins with.
        rests: (B, C) what follows up to the last label, padded on the right.
        rest_labels: (B, C) its labels.
        rest_places: (B, C) where it stands in the row; padding may stand behind the row's end.
    """

    prompts: torch.Tensor
    prompt_lengths: torch.Tensor
    owners: torch.Tensor
    rests: torch.Tensor
    rest_labels: torch.Tensor
    rest_places: torch.Tensor


def _take_apart(labels: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> _Parts | None:
    """The batch's parts; None if no prompt occurs twice, or a row has no label or no prompt."""
    labelled = labels != NO_LABEL
    n_tokens = labels.shape[1]
    # Rows may begin with padding, as generated ones do. It is cut off: distances between tokens stay what they were.
    begins = torch.zeros_like(labels[:, 0]) if attention_mask is None else attention_mask.int().argmax(1)
    starts = labelled.int().argmax(1)
    prompt_lengths = starts - begins
    if not bool((labelled.any(1) & (prompt_lengths > 0)).all()):
        return None
    width = min(n_tokens, -(-int(prompt_lengths.max()) // WIDTH_STEP) * WIDTH_STEP)
    rows = _cut(input_ids, begins, width).masked_fill(~inside(prompt_lengths, width), OUTSIDE)
    prompts, owners = torch.unique(rows, dim=0, return_inverse=True)
    if len(prompts) == len(rows):
        return None
    rest_lengths = n_tokens - labelled.flip(1).int().argmax(1) - starts
    n_rest = int(rest_lengths.max())
    return _Parts(
        prompts=prompts.clamp(min=0),
        prompt_lengths=(prompts != OUTSIDE).sum(1),
        owners=owners,
        rests=_cut(input_ids, starts, n_rest),
        rest_labels=_cut(labels, starts, n_rest).masked_fill(~inside(rest_lengths, n_rest), NO_LABEL),
        rest_places=_from(starts, n_rest),
    )


def _from(begins: torch.Tensor, width: int) -> torch.Tensor:
    """(B, width) positions that follow each other from where each row begins."""
    return begins[:, None] + torch.arange(width, device=begins.device)


def _cut(rows: torch.Tensor, begins: torch.Tensor, width: int) -> torch.Tensor:
    """(B, width) pieces of (B, T) rows; behind a row's end its last element is repeated."""
    return rows.gather(1, _from(begins, width).clamp(max=rows.shape[1] - 1))


def _score_after_prompts(parts: _Parts, model: Any, scored_everywhere: Any, labels: torch.Tensor, **kwargs: Any) -> Any:
    """Read every prompt once: its last state predicts a rest's first token, and the rest goes on from its cache."""
    more = {name: value for name, value in kwargs.items() if name not in ("input_ids", "attention_mask", "use_cache")}
    ends = (parts.prompt_lengths - 1)[:, None]
    with last_feed_forward_at(model, ends):
        read = model.base_model(input_ids=parts.prompts, use_cache=True, **more)
    first = read.last_hidden_state.gather(1, along_features(ends, read.last_hidden_state)).index_select(0, parts.owners)
    cache = read.past_key_values
    for layer in cache.layers:
        # Not the cache's own batch_select_indices: the gradient of plain indexing adds up in no fixed order on several
        # threads, and the same seed would not give the same weights.
        layer.keys, layer.values = layer.keys.index_select(0, parts.owners), layer.values.index_select(0, parts.owners)

    def put_first(_: Any, __: Any, output: Any) -> Any:
        output.last_hidden_state = torch.cat([first, output.last_hidden_state[:, :-1]], dim=1)
        return output

    seen = inside(parts.prompt_lengths, parts.prompts.shape[1])[parts.owners]
    after = going_on(seen, parts.rests.shape[1])
    hook = model.base_model.register_forward_hook(put_first)
    try:
        scored = scored_everywhere(
            input_ids=parts.rests, past_key_values=cache, shift_labels=parts.rest_labels, fused_lm_head=True, **after, **more
        )
    finally:
        hook.remove()
    return _put_back(scored, parts.rest_places - 1, labels[:, 1:].shape)


def _put_back(scored: Any, places: torch.Tensor, shape: torch.Size) -> Any:
    """The per-token outputs, (B, K) at ``places``, where they stand among all positions; zero elsewhere."""
    n_columns = max(shape[1], int(places.max()) + 1)
    for name, values in scored.items():
        if values.shape == places.shape:
            everywhere = torch.zeros(shape[0], n_columns, dtype=values.dtype, device=values.device)
            scored[name] = everywhere.scatter(1, places, values)[:, : shape[1]]
    return scored
