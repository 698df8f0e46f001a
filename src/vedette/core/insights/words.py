"""An insight's figures in a few words, for a terminal."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from vedette.contracts.alert import Direction
from vedette.contracts.insight import (
    CELL_UNIT_S,
    CrossingsValues,
    DwellValues,
    HeatMapValues,
    InsightValues,
    OccupancyValues,
    QueueValues,
    unpack_cells,
)

_ARROWS: Final = {
    Direction.LEFT_TO_RIGHT: "→",
    Direction.RIGHT_TO_LEFT: "←",
    Direction.TOP_TO_BOTTOM: "↓",
    Direction.BOTTOM_TO_TOP: "↑",
}


def in_words(values: InsightValues) -> str:
    """One line of at most about 80 characters."""
    if values.analysed_s == 0.0:
        return "not analysed"
    match values:
        case CrossingsValues():
            text = _crossings(values)
        case OccupancyValues():
            text = "" if values.mean is None else f"{values.mean:.1f} at a time ({values.min} to {values.max})"
            text += "" if values.occupied_s is None else f", occupied {values.occupied_s:.0f} s"
        case QueueValues():
            text = _queue(values)
        case DwellValues():
            text = "" if values.counts is None else _dwell(values.edges_s, values.counts)
        case HeatMapValues():
            presence_s = None if values.cells is None else sum(unpack_cells(values.cells)) * CELL_UNIT_S
            text = "" if presence_s is None else f"{presence_s:.0f} s of presence"
    withheld = "too few people to tell" if values.suppressed else ""
    return "; ".join(part for part in (text, withheld) if part)


def _crossings(values: CrossingsValues) -> str:
    if values.inward is not None:
        return f"in {values.inward}, out {values.outward}"
    return "  ".join(f"{_ARROWS[direction]} {number}" for direction, number in (values.counts or {}).items())


def _queue(values: QueueValues) -> str:
    parts = []
    if values.mean_length is not None:
        parts.append(f"{values.mean_length:.1f} waiting (at most {values.max_length})")
    if values.waits is not None:
        waits = values.waits
        parts.append(f"{waits.count} served" + (f" after {waits.mean_s:.0f} s" if waits.mean_s is not None else ""))
    if values.left:
        parts.append(f"{values.left} left")
    if values.longest_now_s is not None:
        parts.append(f"longest {values.longest_now_s:.0f} s")
    return ", ".join(parts)


def _dwell(edges_s: tuple[float, ...], counts: tuple[int, ...]) -> str:
    """Classes that are not empty."""
    names = [f"< {edges_s[0]:g} s"]
    names += [f"{low:g} to {high:g} s" for low, high in pairwise(edges_s)]
    names.append(f"≥ {edges_s[-1]:g} s")
    told = [f"{count} × {name}" for name, count in zip(names, counts, strict=True) if count]
    return ", ".join(told) or "no stay ended"
