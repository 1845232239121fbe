"""Means over seeds with their 95% intervals, as all reports and pictures give them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy.stats import t as student


def half_width(values: Sequence[float], level: float = 0.95) -> float:
    """Half of the interval of the mean (Student's t) at a level in (0, 1); at least two values."""
    return float(student.ppf((1 + level) / 2, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))


def interval(values: Sequence[float], level: float = 0.95) -> str:
    """``mean ± half width`` at a level in (0, 1), or the one value and that it is one."""
    mean = statistics.mean(values)
    return f"{mean:.3f} ± {half_width(values, level):.3f}" if len(values) > 1 else f"{mean:.3f} (one seed)"
