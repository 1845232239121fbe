"""Means over seeds with their 95% intervals, as all reports give them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy.special import stdtrit


def half_width(values: Sequence[float]) -> float:
    """Half of the 95% interval of the mean (Student's t); at least two values."""
    return float(stdtrit(len(values) - 1, 0.975)) * statistics.stdev(values) / math.sqrt(len(values))


def interval(values: Sequence[float]) -> str:
    """``mean ± half width``, or the one value and that it is one."""
    mean = statistics.mean(values)
    return f"{mean:.3f} ± {half_width(values):.3f}" if len(values) > 1 else f"{mean:.3f} (one seed)"
