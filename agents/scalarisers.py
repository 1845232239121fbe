"""From many scores to one: the seven scalarisers of MORLAIF (arXiv 2406.07295) as pure functions.

Each takes scores of shape (B, K), a row per sample and a column per principle, already multiplied by their weights, and returns (B,).
A row's result depends on that row alone, for any B; all are differentiable (where a minimum or a median changes hands, from one side).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

VARIANCE_PRICE = 0.5
"""lambda of ``uncertainty_weighted``."""
SMALLEST_SHIFT = 1e-6
"""Keeps the logarithms of ``bernoulli_nash`` finite."""

Scalariser = Callable[[Tensor], Tensor]


def linear(scores: Tensor) -> Tensor:
    """The sum."""
    return scores.sum(1)


def max_min(scores: Tensor) -> Tensor:
    """The worst-served principle's score: maximising it is fair in Rawls's sense."""
    return scores.min(1).values


def soft_max_min(scores: Tensor, temperature: float = 1.0) -> Tensor:
    """A mean that leans towards the worst served: sum_k softmax(-s / T)_k s_k; T to 0 gives ``max_min``, T to infinity the mean."""
    return (torch.softmax(-scores / temperature, dim=1) * scores).sum(1)


def uncertainty_weighted(scores: Tensor) -> Tensor:
    """The mean less 0.5 times the variance over principles (of the K numbers, not an estimate for more)."""
    return scores.mean(1) - VARIANCE_PRICE * scores.var(1, correction=0)


def lower_quantile(scores: Tensor) -> Tensor:
    """The mean of the floor(K / 3) smallest scores, of at least one."""
    n = max(1, scores.shape[1] // 3)
    return scores.topk(n, dim=1, largest=False).values.mean(1)


def max_median(scores: Tensor) -> Tensor:
    """The median; of an even number the mean of the middle two."""
    ordered = scores.sort(dim=1).values
    k = scores.shape[1]
    return (ordered[:, (k - 1) // 2] + ordered[:, k // 2]) / 2


def bernoulli_nash(scores: Tensor) -> Tensor:
    """Nash's product as a geometric mean, (prod_k p_k)^(1/K), of positive scores p = softplus(s)."""
    positive = torch.nn.functional.softplus(scores) + SMALLEST_SHIFT
    return positive.log().mean(1).exp()


SCALARISERS: dict[str, Scalariser] = {
    function.__name__: function
    for function in (linear, max_min, soft_max_min, uncertainty_weighted, lower_quantile, max_median, bernoulli_nash)
}
"""By name."""
