"""Which box belongs to which track: overlap and optimal assignment, vectorised."""

from __future__ import annotations

import lap
import numpy as np
from numpy.typing import NDArray

from vedette.core.nms import intersections

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]


def shares(first: Floats, second: Floats) -> Floats:
    """Share of each first box's area that lies within each second box; as ``nms.iou``."""
    area = (first[:, 2] - first[:, 0]) * (first[:, 3] - first[:, 1])
    return intersections(first, second) / np.maximum(area, 1e-12)[:, None]


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
