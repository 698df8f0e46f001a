"""Made-up pictures for the tests of engines and inference."""

from __future__ import annotations

import numpy as np

from vedette.core.pixels import Pixels, i420_size

WHITE, BLACK = 235, 16


def picture(width: int, height: int, rectangle: tuple[int, int, int, int] | None = None, luma: int = WHITE) -> Pixels:
    """Black, with a rectangle ``x1, y1, x2, y2`` of the given luma."""
    buffer = np.full(i420_size(width, height), 128, np.uint8)
    pixels = Pixels.from_buffer(buffer, width, height)
    pixels.y[:] = BLACK
    if rectangle is not None:
        x1, y1, x2, y2 = rectangle
        pixels.y[y1:y2, x1:x2] = luma
    return pixels
