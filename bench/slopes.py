"""Whether something grows: the slope of Theil and Sen, which single outliers do not move."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.result import Figure


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


def growth(name: str, unit: str, slope: Slope, limit: float, *, told: bool = True) -> Figure:
    """The slope as a figure. What is likely is not enough to call something flat: the upper end has to meet the limit.

    Args:
        told: whether the run was long enough to tell; without, nothing is judged.
    """
    met = slope.high <= limit if told else None
    return Figure(name, unit, (slope.low, slope.median, slope.high), f"upper end ≤ {limit:g}", met)


def course(figure: Figure, values: Sequence[float]) -> str:
    """Where what grows too much began and where it ended, for people."""
    low, _, high = figure.samples
    part = max(1, len(values) // 4)
    first, last = statistics.median(values[:part]), statistics.median(values[-part:])
    return (
        f"{figure.name}: {low:.3g} to {high:.3g} {figure.unit} at 95 %; the median of the first quarter of the samples "
        f"is {first:.4g}, that of the last {last:.4g}."
    )
