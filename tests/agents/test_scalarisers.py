"""The seven scalarisers: per sample, finite, with gradients, and each what its name says."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.scalarisers import SCALARISERS

scores = st.integers(1, 6).flatmap(
    lambda k: st.lists(st.lists(st.floats(-50, 50, width=32), min_size=k, max_size=k), min_size=1, max_size=5)
)
every = pytest.mark.parametrize("name", SCALARISERS)


@every
@given(rows=scores)
def test_each_row_counts_for_itself(name, rows):
    batch = torch.tensor(rows, dtype=torch.float64)
    whole = SCALARISERS[name](batch)
    assert whole.shape == (len(rows),)
    alone = torch.cat([SCALARISERS[name](row[None]) for row in batch])
    torch.testing.assert_close(whole, alone)


@every
@given(rows=scores, seed=st.integers(0, 99))
def test_the_order_of_principles_does_not_matter(name, rows, seed):
    batch = torch.tensor(rows, dtype=torch.float64)
    shuffled = batch[:, torch.randperm(batch.shape[1], generator=torch.Generator().manual_seed(seed))]
    torch.testing.assert_close(SCALARISERS[name](shuffled), SCALARISERS[name](batch))


@every
@given(rows=scores)
def test_values_and_gradients_are_finite(name, rows):
    batch = torch.tensor(rows, dtype=torch.float32, requires_grad=True)
    out = SCALARISERS[name](batch)
    assert torch.isfinite(out).all()
    (gradient,) = torch.autograd.grad(out.sum(), batch)
    assert torch.isfinite(gradient).all()
    # Of scores far below 0 the geometric mean has a slope that is smaller than single precision tells from 0.
    flat = (batch < -30).all(1) if name == "bernoulli_nash" else torch.zeros(len(rows), dtype=torch.bool)
    assert ((gradient.abs().sum(1) > 0) | flat).all()


@every
@given(value=st.floats(-20, 20), k=st.integers(1, 6))
def test_what_all_principles_agree_on(name, value, k):
    expected = {"linear": k * value, "bernoulli_nash": math.log1p(math.exp(value)) + 1e-6}.get(name, value)
    out = SCALARISERS[name](torch.full((1, k), value, dtype=torch.float64))
    assert out.item() == pytest.approx(expected, abs=1e-6)


ROW = (2.0, -3.0, 10.0, 0.0, 1.0, -1.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear", 9.0),
        ("max_min", -3.0),
        ("uncertainty_weighted", 1.5 - 0.5 * 101.5 / 6),
        ("lower_quantile", -2.0),
        ("max_median", 0.5),
        ("soft_max_min", sum(s * math.exp(-s) for s in ROW) / sum(math.exp(-s) for s in ROW)),
        ("bernoulli_nash", math.prod(math.log1p(math.exp(s)) for s in ROW) ** (1 / 6)),
    ],
)
def test_a_hand_made_case(name, expected):
    # Sorted: -3, -1, 0, 1, 2, 10; the sum of squares is 115, and 115 - 6 * 1.5^2 = 101.5.
    row = torch.tensor([ROW], dtype=torch.float64)
    assert SCALARISERS[name](row).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("row", "expected"), [((3.0, -2.0, 5.0, 0.0, -4.0), -4.0), ((3.0, -2.0), -2.0)])
def test_the_lower_third_is_rounded_down_to_at_least_one(row, expected):
    """Of five scores one, where rounding up or to the nearest would take two."""
    assert SCALARISERS["lower_quantile"](torch.tensor([row])).item() == expected


def test_soft_max_min_lies_between_the_worst_and_the_mean():
    row = torch.tensor([[2.0, -1.0, 5.0]], dtype=torch.float64)
    soft = SCALARISERS["soft_max_min"]
    assert -1.0 < soft(row).item() < 2.0
    assert soft(row, 1e-3).item() == pytest.approx(-1.0)
    assert soft(row, 1e6).item() == pytest.approx(2.0, abs=1e-4)
