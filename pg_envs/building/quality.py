"""How good a family of historical models is: the measures of its report and of the test of the shipped weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from peft import PeftModel

from pg_envs.data.histtext import Passage
from pg_envs.models.loading import load_base, load_tokenizer
from pg_envs.models.ref import ModelRef, loadable_name

FLAT_RANGE = 0.15
"""A dimension whose planted values move less than this over all centuries counts as flat."""
WINDOW_TOKENS = 256


@dataclass(frozen=True)
class Agreement:
    """Planted against measured values, both (N, 19).

    Attributes:
        correlation: Pearson's, over all N * 19 numbers.
        mean_difference: Mean absolute difference over all numbers.
        rank_correlations: (19,) Spearman's over centuries per dimension; NaN for flat dimensions.
    """

    correlation: float
    mean_difference: float
    rank_correlations: np.ndarray


def agreement(planted: np.ndarray, measured: np.ndarray) -> Agreement:
    """Compare (N, 19) planted with (N, 19) measured values."""
    moving = np.ptp(planted, axis=0) >= FLAT_RANGE
    ranks = np.full(planted.shape[1], np.nan)
    for d in np.flatnonzero(moving):
        ranks[d] = np.corrcoef(_ranks(planted[:, d]), _ranks(measured[:, d]))[0, 1]
    correlation = np.corrcoef(planted.ravel(), measured.ravel())[0, 1]
    return Agreement(float(correlation), float(np.abs(planted - measured).mean()), ranks)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, ties sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def distance_closed(before: np.ndarray, after: np.ndarray, target: np.ndarray) -> float:
    """Which part of the Euclidean distance to ``target`` a training has closed: 0 none, 1 all, negative: moved away."""
    return float(1 - np.linalg.norm(after - target) / np.linalg.norm(before - target))


def perplexity(ref: ModelRef, passages: Sequence[Passage], max_windows: int = 64) -> float:
    """Perplexity per token on up to ``max_windows`` windows of 256 tokens, evenly taken from the passages; float32."""
    tokenizer = load_tokenizer(ref)
    model = load_model(ref)
    windows: list[list[int]] = []
    for passage in passages:
        ids = tokenizer(passage.content, add_special_tokens=False, truncation=True, max_length=WINDOW_TOKENS).input_ids
        if len(ids) == WINDOW_TOKENS:
            windows.append(ids)
    if not windows:
        raise ValueError(f"none of {len(passages)} passages has {WINDOW_TOKENS} tokens; give longer ones")
    chosen = [windows[i] for i in np.linspace(0, len(windows) - 1, min(max_windows, len(windows))).astype(int)]
    losses = []
    with torch.inference_mode():
        for start in range(0, len(chosen), 8):
            ids = torch.tensor(chosen[start : start + 8])
            losses.append(model(input_ids=ids, labels=ids).loss.item() * len(ids))
    return float(np.exp(sum(losses) / len(chosen)))


def load_model(ref: ModelRef) -> Any:
    """The model with its adapter, in float32 on the processor."""
    model = load_base(ref, torch.float32, torch.device("cpu"))
    if ref.adapter is not None:
        model = PeftModel.from_pretrained(model, loadable_name(ref.adapter))
    return model
