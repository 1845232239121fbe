"""The trajectories of value vectors: the published (planted) one, and smooth random ones."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable

import numpy as np

from pg_envs.history.base import CENTURIES
from pg_envs.values.dimensions import DIMENSIONS, N_DIMENSIONS, WORLDVIEWS

MAX_BYTES = 1 << 20
"""Most of a table's file: nineteen rows have a few thousand."""


@lru_cache(maxsize=1)
def planted() -> np.ndarray:
    """The (9, 19) planted trajectory, C013 to C021, from ``assets/histtiny/planted.csv``.

    Units are the instrument's: centred values in [-1, 1]. The array is read-only.
    """
    table = read_trajectory(resources.files("pg_envs") / "assets" / "histtiny" / "planted.csv", CENTURIES)
    table.setflags(write=False)
    return table


def read_trajectory(path: Traversable, periods: Sequence[str]) -> np.ndarray:
    """The (N, 19) values in a CSV with a column ``dimension``, a row a dimension, and a column a period.

    Raises:
        OSError: If the file cannot be read.
        KeyError: If it lacks a dimension or a period.
        ValueError: If it is too large, not UTF-8, or has something else than numbers.
        TypeError: If a row is too short.
        csv.Error: If it is no CSV.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES} bytes, found more")
    rows = {row["dimension"]: row for row in csv.DictReader(content.decode("utf-8").splitlines())}
    return np.array([[float(rows[dimension.key][period]) for dimension in DIMENSIONS] for period in periods])


def smooth_random(rng: np.random.Generator, n_centuries: int) -> np.ndarray:
    """A (n_centuries, 19) smooth trajectory: a level, a trend and one slow swing a dimension.

    v_d(u) = tanh(a + b (2u - 1) + c sin(2 pi (f u + p))), u in [0, 1] over the episode, with a ~ N(0, 0.4),
    b ~ N(0, 0.8), c ~ N(0, 0.3), f ~ U(0.3, 1), p ~ U(0, 1). Worldviews are softmax shares of such curves,
    so that they sum to nothing: v = (4P - 1) / 3.
    """
    u = np.arange(n_centuries)[:, None] / max(n_centuries - 1, 1)
    a, b, c = rng.standard_normal((3, N_DIMENSIONS)) * np.array([[0.4], [0.8], [0.3]])
    f, p = rng.random((2, N_DIMENSIONS))
    curves = a + b * (2 * u - 1) + c * np.sin(2 * np.pi * ((0.3 + 0.7 * f) * u + p))
    values = np.tanh(curves)
    shares = np.exp(curves[:, WORLDVIEWS.start :])
    values[:, WORLDVIEWS.start :] = (4 * shares / shares.sum(axis=1, keepdims=True) - 1) / 3
    return values
