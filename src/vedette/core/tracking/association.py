"""Which box belongs to which track: overlap and optimal assignment, vectorised."""

from __future__ import annotations

import lap
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]


def overlaps(first: Floats, second: Floats) -> Floats:
    """Intersection over union of every pair of boxes.

    Args:
        first: float64 (n, 4), ``x1, y1, x2, y2``.
        second: float64 (m, 4).

    Returns:
        float64 (n, m), 0..1; 0 where a box has no area.
    """
    shared = _shared(first, second)
    area_first = (first[:, 2] - first[:, 0]) * (first[:, 3] - first[:, 1])
    area_second = (second[:, 2] - second[:, 0]) * (second[:, 3] - second[:, 1])
    union = area_first[:, None] + area_second[None, :] - shared
    np.maximum(union, 1e-12, out=union)
    shared /= union
    return shared


def shares(first: Floats, second: Floats) -> Floats:
    """Share of each first box's area that lies within each second box; as ``overlaps``."""
    area = (first[:, 2] - first[:, 0]) * (first[:, 3] - first[:, 1])
    return _shared(first, second) / np.maximum(area, 1e-12)[:, None]


def _shared(first: Floats, second: Floats) -> Floats:
    """Area that each pair of boxes shares."""
    width = np.minimum(first[:, None, 2], second[None, :, 2]) - np.maximum(first[:, None, 0], second[None, :, 0])
    height = np.minimum(first[:, None, 3], second[None, :, 3]) - np.maximum(first[:, None, 1], second[None, :, 1])
    np.maximum(width, 0.0, out=width)
    np.maximum(height, 0.0, out=height)
    width *= height
    return width


def assign(similarity: Floats, least: float) -> tuple[Integers, Integers]:
    """Pair rows with columns so that the sum of ``similarity - least`` over the pairs is greatest.

    Pairs below ``least`` are never made. A row and a column that have only each other are paired at once; the
    others, which compete, go through the Jonker-Volgenant algorithm. The result is the same as without that
    short cut, because such a pair is a component of its own in the graph of allowed pairs.

    Args:
        similarity: float64 (n, m), larger is better, at most 1.
        least: smallest similarity of a pair, above 0.

    Returns:
        Rows and columns of the pairs, two arrays of the same length.
    """
    allowed = similarity >= least
    rows, columns = allowed.nonzero()
    rivals_in_row = np.bincount(rows, minlength=allowed.shape[0])[rows]
    rivals_in_column = np.bincount(columns, minlength=allowed.shape[1])[columns]
    alone = rivals_in_row + rivals_in_column == 2
    if alone.all():
        return rows, columns
    # What is left after the pairs that compete with nobody.
    open_rows = np.unique(rows[~alone])
    open_columns = np.unique(columns[~alone])
    cost = 1.0 - similarity[open_rows[:, None], open_columns]
    # Leaving a row and a column single costs ``cost_limit`` together, so a dearer pair is never made.
    choice, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1.0 - least + 1e-9, return_cost=False)
    paired = choice >= 0
    return (
        np.concatenate((rows[alone], open_rows[paired])),
        np.concatenate((columns[alone], open_columns[choice[paired]])),
    )
