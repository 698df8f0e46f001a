"""Whether something grows: the slope of Theil and Sen, which single outliers do not move."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Slope:
    """Per unit of x; ``low`` to ``high`` is the interval at 95 %."""

    low: float
    median: float
    high: float


def theil_sen(xs: Sequence[float], ys: Sequence[float]) -> Slope:
    """The median of the slopes between all pairs, with the interval of Sen (JASA 63, 1968, 1379).

    Raises:
        ValueError: fewer than two different x.
    """
    slopes = sorted(
        (ys[j] - ys[i]) / (xs[j] - xs[i]) for i in range(len(xs)) for j in range(i + 1, len(xs)) if xs[j] != xs[i]
    )
    if not slopes:
        raise ValueError(f"a slope needs two different x: {len(xs)} values found.")
    n, count = len(xs), len(slopes)
    spread = 1.96 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, math.floor((count - spread) / 2))
    high = min(count - 1, math.ceil((count + spread) / 2))
    return Slope(slopes[low], statistics.median(slopes), slopes[high])
