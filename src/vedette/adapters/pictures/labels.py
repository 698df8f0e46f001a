"""A word in a picture that can be read on any ground."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

#: Blue, green, red.
INK: Final = (80, 220, 80)
_GROUND: Final = (0, 0, 0)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_SIZE: Final = 0.5


def write_label(canvas: NDArray[np.uint8], text: str, corner: tuple[int, int]) -> None:
    """Write a text, on a ground of its own, wholly inside the picture.

    Args:
        canvas: uint8 (height, width, 3), blue, green, red; written into.
        text: what the font does not have (it has ASCII) becomes a question mark.
        corner: where the text begins, at its foot, pixels.
    """
    words = text.encode("ascii", "replace").decode()
    (wide, high), base = cv2.getTextSize(words, _FONT, _SIZE, 1)
    left = min(max(corner[0], 0), max(canvas.shape[1] - wide - 4, 0))
    bottom = min(max(corner[1], high + base + 2), canvas.shape[0])
    cv2.rectangle(canvas, (left, bottom - high - base - 2), (left + wide + 4, bottom), _GROUND, cv2.FILLED)
    cv2.putText(canvas, words, (left + 2, bottom - base), _FONT, _SIZE, INK, 1, cv2.LINE_AA)
