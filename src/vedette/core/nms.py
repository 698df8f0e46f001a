"""Non-maximum suppression and the caps that keep one picture's objects bounded."""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Real = TypeVar("Real", np.float32, np.float64)

#: Boxes looked at, strongest first. A model that sees more than this sees nothing worth having.
MAX_CANDIDATES: Final = 1000
#: Boxes read out of a model's tensors, surest first: enough that those without area may go before the strongest are
#: chosen, few enough that a tensor full of boxes costs no more.
MAX_READ: Final = 3 * MAX_CANDIDATES
#: Objects of one picture that leave a detector.
MAX_OBJECTS: Final = 300

# Candidates compared with each other at once: small enough that the matrices stay in the processor's cache.
_BLOCK: Final = 96


def strongest(scores: NDArray[np.float32], limit: int) -> NDArray[np.intp]:
    """Indices of the ``limit`` highest scores, highest first; among equals the earlier one first.

    Args:
        scores: float32 (n,), finite.
        limit: most indices returned.

    Returns:
        intp (min(n, limit),).
    """
    n = len(scores)
    if n > limit:
        # Only what can be among the first is sorted: 1,000,000 scores take 10 ms instead of 100.
        edge = np.partition(scores, n - limit)[n - limit]
        above = np.flatnonzero(scores > edge)
        candidates = np.sort(np.concatenate((above, np.flatnonzero(scores == edge)[: limit - len(above)])))
    else:
        candidates = np.arange(n)
    return candidates[np.argsort(-scores[candidates], kind="stable")]


def intersections(a: NDArray[Real], b: NDArray[Real]) -> NDArray[Real]:
    """Area that every box of ``a``, (n, 4), shares with every box of ``b``, (m, 4): (n, m), in their type."""
    width = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    height = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    np.maximum(width, 0, out=width)
    np.maximum(height, 0, out=height)
    width *= height
    return width


def iou(a: NDArray[Real], b: NDArray[Real]) -> NDArray[Real]:
    """Intersection over union of every box of ``a`` with every box of ``b``.

    Args:
        a: float32 or float64 (n, 4), ``x1, y1, x2, y2``.
        b: of the same type (m, 4), likewise.

    Returns:
        Of the same type (n, m), 0..1; 0 where a box has no area.
    """
    ratio = intersections(a, b)
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a[:, None] + area_b[None, :] - ratio
    np.maximum(union, np.finfo(union.dtype).tiny, out=union)
    ratio /= union
    return ratio


def nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int32] | None,
    threshold: float,
    *,
    max_candidates: int = MAX_CANDIDATES,
    max_objects: int = MAX_OBJECTS,
) -> tuple[NDArray[np.intp], bool]:
    """Greedy suppression: the strongest box wins, weaker ones that overlap it by more than ``threshold`` go.

    Works in blocks of candidates, strongest first: a block is compared with what was kept before it, then with itself.

    Args:
        boxes: float32 (n, 4), ``x1, y1, x2, y2``, finite.
        scores: float32 (n,), finite.
        classes: int32 (n,); only boxes of the same class suppress each other. None: all do.
        threshold: overlap (intersection over union) above which the weaker box goes.
        max_candidates: strongest boxes looked at.
        max_objects: most boxes kept.

    Returns:
        Indices of the boxes kept, strongest first, intp (k,), and whether a cap left boxes out.
    """
    order = strongest(scores, max_candidates)
    truncated = len(order) < len(scores)
    boxes = boxes[order]
    kinds = None if classes is None else classes[order]
    kept = np.empty(0, np.intp)
    for start in range(0, len(order), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(order)))
        if len(kept):
            block = block[~_overlaps(boxes, kinds, block, kept, threshold).any(axis=1)]
        kept = np.concatenate((kept, block[_greedy(_overlaps(boxes, kinds, block, block, threshold))]))
        if len(kept) > max_objects:
            return order[kept[:max_objects]], True
    return order[kept], truncated


def _overlaps(
    boxes: NDArray[np.float32],
    kinds: NDArray[np.int32] | None,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    threshold: float,
) -> NDArray[np.bool_]:
    """Which of ``rows`` overlap which of ``columns`` too much, bool (rows, columns)."""
    result: NDArray[np.bool_] = iou(boxes[rows], boxes[columns]) > threshold
    if kinds is not None:
        result &= kinds[rows][:, None] == kinds[columns][None, :]
    return result


def _greedy(overlaps: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of a block's boxes, strongest first, stay; ``overlaps`` is bool (n, n)."""
    alive = np.ones(len(overlaps), np.bool_)
    np.fill_diagonal(overlaps, False)
    for i in np.flatnonzero(overlaps.any(axis=1)):
        if alive[i]:
            alive[i + 1 :] &= ~overlaps[i, i + 1 :]
    return alive
