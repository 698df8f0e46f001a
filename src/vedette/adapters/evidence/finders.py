"""Looks for faces and for people in the very pictures that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.contracts.manifest import Tiles
from vedette.core.pixels import Pixels
from vedette.core.views import View
from vedette.ports.detector import Detector

Boxes = NDArray[np.float64]

#: A picture with more pixels than this a side is looked at in parts too: what is small in it would be lost.
_LARGE_PX: Final = 640
_PARTS: Final = View(tiles=Tiles(columns=2, rows=2, overlap=0.2))
#: Bodies that are looked at one by one, at most, the largest first.
_MOST_BODIES: Final = 12
#: The part of a body that holds the face, from the top.
_UPPER: Final = 0.5
_LEAST_PX: Final = 24


def pixels_of(picture: NDArray[np.uint8]) -> Pixels:
    """The planes of a picture, for detectors.

    Args:
        picture: uint8 (height, width, 3), blue, green, red.
    """
    height, width = picture.shape[:2]
    even = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    packed = np.ascontiguousarray(cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420)).reshape(-1)
    return Pixels.from_buffer(packed, even.shape[1], even.shape[0])


def find_all(detector: Detector, picture: Pixels, classes: frozenset[int] | None = None) -> Boxes:
    """Objects of a picture, looked at as a whole and, where it is large, in parts.

    Args:
        detector: the model.
        picture: all of it.
        classes: only these; all where None.

    Returns:
        float64 (n, 4), ``x1, y1, x2, y2``, pixels of the picture.

    Raises:
        ModelError: it did not run, or gave no answer that can be used.
    """
    found = [_find(detector, picture, classes)]
    if max(picture.width, picture.height) > _LARGE_PX:
        for part in _PARTS.windows(picture.width, picture.height):
            if not part.whole:
                window = picture.window(part.x, part.y, part.width, part.height)
                found.append(_find(detector, window, classes, part.x, part.y))
    return np.concatenate(found)


def find_in_bodies(detector: Detector, picture: Pixels, bodies: Boxes) -> Boxes:
    """Faces in the upper halves of bodies, each looked at closely.

    Args:
        detector: a model that finds faces.
        picture: all of it.
        bodies: float64 (n, 4), shares of the picture.

    Returns:
        float64 (m, 4), pixels of the picture.

    Raises:
        ModelError: as ``find_all``.
    """
    found = [np.empty((0, 4))]
    scaled = bodies * (picture.width, picture.height, picture.width, picture.height)
    order = np.argsort(-(scaled[:, 3] - scaled[:, 1]), kind="stable")[:_MOST_BODIES]
    for x1, y1, x2, y2 in scaled[order].tolist():
        left, top = int(max(0, x1)) // 2 * 2, int(max(0, y1)) // 2 * 2
        right = min(picture.width, int(np.ceil(x2)))
        bottom = min(picture.height, int(np.ceil(y1 + max(_UPPER * (y2 - y1), x2 - x1))))
        if right - left >= _LEAST_PX and bottom - top >= _LEAST_PX:
            part = picture.window(left, top, (right - left) // 2 * 2, (bottom - top) // 2 * 2)
            found.append(_find(detector, part, None, left, top))
    return np.concatenate(found)


def classes_of(detector: Detector, wanted: Sequence[str]) -> frozenset[int]:
    """Numbers of the labels that mean one of these, without regard to case."""
    names = {name.lower() for name in wanted}
    return frozenset(number for number, label in enumerate(detector.labels) if label.strip().lower() in names)


def _find(detector: Detector, pixels: Pixels, classes: frozenset[int] | None, x: int = 0, y: int = 0) -> Boxes:
    """Objects of a part whose corner is at (x, y) of the picture, in the picture's pixels."""
    found = detector.detect(pixels)
    kept = found.boxes if classes is None else found.boxes[np.isin(found.classes, list(classes))]
    return kept.astype(np.float64) + np.array((x, y, x, y), np.float64)
