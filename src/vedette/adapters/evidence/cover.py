"""Fills parts of a picture so that nothing of them is left."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

#: Blue, green, red. One colour, no mosaic and no blur: those can be undone in part, and faces be told by them.
FILL: Final = (24, 24, 24)
#: Chroma is stored for blocks of two by two pixels; a region that ended inside one would let its colour out.
_BLOCK_PX: Final = 2


def fill(picture: Picture, boxes: NDArray[np.float64], cells: NDArray[np.bool_] | None = None) -> Picture:
    """A copy of a picture with parts filled.

    Args:
        picture: uint8 (height, width, 3), blue, green, red.
        boxes: float64 (n, 4), ``x1, y1, x2, y2`` as shares of the picture; rounded outwards.
        cells: bool (rows, columns) over the whole picture.
    """
    height, width = picture.shape[:2]
    covered = picture.copy()
    if cells is not None:
        grid = cv2.resize(cells.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        covered[grid > 0] = FILL
    if len(boxes):
        scaled = boxes * (width, height, width, height)
        low = np.floor(scaled[:, :2] / _BLOCK_PX).astype(np.int64) * _BLOCK_PX
        high = np.ceil(scaled[:, 2:] / _BLOCK_PX).astype(np.int64) * _BLOCK_PX
        for (x1, y1), (x2, y2) in zip(np.maximum(low, 0).tolist(), np.maximum(high, 0).tolist(), strict=True):
            covered[y1:y2, x1:x2] = FILL
    return covered


def fill_all(picture: Picture) -> Picture:
    """A picture of the same size with nothing in it."""
    return np.full_like(picture, FILL[0])
