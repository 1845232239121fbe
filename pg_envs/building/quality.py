"""How good a family of historical models is: the measures of its report and of the test of the shipped weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pg_envs.models.adapters import put_adapter
from pg_envs.models.loading import load_base, load_tokenizer
from pg_envs.models.ref import ModelRef
from pg_envs.models.transformers_engine import TransformersEngine
from pg_envs.results import write_json
from pg_envs.values.dimensions import DIMENSIONS
from pg_envs.values.items import Item
from pg_envs.values.measure import measure

FILE = "quality.json"
"""In a period's folder."""
FLAT_RANGE = 0.15
"""A dimension whose values move less than this over all periods counts as flat."""
WINDOW_TOKENS = 256
MAX_WINDOWS = 64
LEAST_TOKENS = 32
BATCH_ROWS = 8


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


@dataclass(frozen=True)
class Measured:
    """What any model is measured to be.

    Attributes:
        values: (19,) centred values on the evaluation items.
        standard_errors: (19,) of them.
        order_bias: How much the place of an option moves its probability, see ``Answers.order_bias``.
    """

    values: np.ndarray
    standard_errors: np.ndarray
    order_bias: float


@dataclass(frozen=True)
class Quality(Measured):
    """What a period's model is measured to be.

    Attributes:
        perplexity: Of the model on its period's held-out text; None if there is none.
        base_perplexity: Of the base on the same.
    """

    perplexity: float | None
    base_perplexity: float | None

    def write(self, folder: Path) -> None:
        """Into a period's folder."""
        write_json(folder / FILE, {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()})


@dataclass(frozen=True)
class Movement:
    """How far a family's values move.

    Attributes:
        range: Between the highest and the lowest period, of the dimension that moves most.
        dimension: That one's label.
        lowest: Label of the period where it is lowest.
        highest: Label of the period where it is highest.
    """

    range: float
    dimension: str
    lowest: str
    highest: str

    @property
    def is_flat(self) -> bool:
        """Whether there is next to nothing to follow."""
        return self.range < FLAT_RANGE


@dataclass(frozen=True)
class BaseQuality(Measured):
    """What a base is measured to be.

    Attributes:
        perplexities: By period, on its held-out text; None where there is none.
    """

    perplexities: Mapping[str, float | None]


def base_quality_of(base: ModelRef, held_out: Mapping[str, Sequence[str]], items: Sequence[Item]) -> BaseQuality:
    """Measure a base.

    Args:
        base: The base.
        held_out: Passages of each period that it has not learnt from; may be none.
        items: Evaluation items.
    """
    perplexities = {label: perplexity(base, passages) if passages else None for label, passages in held_out.items()}
    return BaseQuality(*_values_and_bias(base, items), perplexities)


def quality_of(model: ModelRef, base: ModelRef, held_out: Sequence[str], items: Sequence[Item]) -> Quality:
    """Measure a model, and the base's perplexity beside its own.

    Args:
        model: A period's model.
        base: What it was made from.
        held_out: Passages of the period that it has not learnt from; may be none.
        items: Evaluation items.
    """
    perplexities = (perplexity(model, held_out), perplexity(base, held_out)) if held_out else (None, None)
    return Quality(*_values_and_bias(model, items), *perplexities)


def _values_and_bias(model: ModelRef, items: Sequence[Item]) -> tuple[np.ndarray, np.ndarray, float]:
    measured = measure(TransformersEngine(), model, items)
    return measured.centred, measured.standard_errors, measured.answers.order_bias


def movement(folder: Path, labels: Sequence[str]) -> Movement:
    """How far values move over the periods of the family in ``folder``."""
    values = np.array([json.loads((folder / label / FILE).read_text(encoding="utf-8"))["values"] for label in labels])
    most = int(np.ptp(values, axis=0).argmax())
    lowest, highest = labels[int(values[:, most].argmin())], labels[int(values[:, most].argmax())]
    return Movement(float(np.ptp(values[:, most])), DIMENSIONS[most].label, lowest, highest)


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


def perplexity(ref: ModelRef, passages: Sequence[str], max_windows: int = MAX_WINDOWS) -> float:
    """Perplexity per token on the first 256 tokens of up to ``max_windows`` passages, taken evenly; float32 on the processor.

    Raises:
        ValueError: If no passage has 32 tokens.
    """
    tokenizer = load_tokenizer(ref)
    encoded = tokenizer(list(passages), add_special_tokens=False, truncation=True, max_length=WINDOW_TOKENS).input_ids
    windows = [ids for ids in encoded if len(ids) >= LEAST_TOKENS]
    if not windows:
        raise ValueError(f"none of {len(passages)} passages has {LEAST_TOKENS} tokens; give longer ones")
    chosen = [windows[i] for i in np.linspace(0, len(windows) - 1, min(max_windows, len(windows))).astype(int)]
    model, losses = load_model(ref), []
    with torch.inference_mode():
        for _, alike in groupby(sorted(chosen, key=len), key=len):
            rows = torch.tensor(list(alike))
            for ids in rows.split(BATCH_ROWS):
                losses.append((model(input_ids=ids, labels=ids).loss.item(), ids.numel() - len(ids)))
    return float(np.exp(sum(loss * n for loss, n in losses) / sum(n for _, n in losses)))


def load_model(ref: ModelRef) -> Any:
    """The model with its adapter, in float32 on the processor."""
    model = load_base(ref, torch.float32, torch.device("cpu"))
    if ref.adapter is not None:
        model = put_adapter(model, ref, "default")
    return model
