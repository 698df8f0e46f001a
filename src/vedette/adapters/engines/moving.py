"""Goods in front of a background that stays: what is there and was not, whatever it is. No model file."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.contracts.base import Polygon
from vedette.contracts.manifest import Moving
from vedette.core.background import Background
from vedette.core.detections import Detections
from vedette.core.pixels import Pixels

#: What is looked at is made smaller to this size along its longer side, pixels: sensor noise and texture average out.
SIDE_PX: Final = 256
#: Gaps that are smaller are inside of one object, pixels of the small picture.
_CLOSE_PX: Final = 5
#: Objects of one picture.
MAX_OBJECTS: Final = 64
#: Views of one camera whose background is remembered.
MAX_VIEWS: Final = 8
#: Value that hides an area.
_GREY: Final = 128
_BLACK, _SPAN = 16.0, 219.0


class MovingDetector:
    """Implements ``vedette.ports.detector.SequenceDetector``.

    Args:
        settings: thresholds.
        label: class of all objects.
    """

    def __init__(self, settings: Moving, label: str) -> None:
        self._settings = settings
        self.labels = (label,)

    def open(self) -> MovingSequence:
        """The pictures of one camera."""
        return MovingSequence(self._settings)


class MovingSequence:
    """The backgrounds of one camera. Implements ``vedette.ports.detector.PictureSequence``."""

    def __init__(self, settings: Moving) -> None:
        self._settings = settings
        self._views: OrderedDict[object, Background] = OrderedDict()

    def detect_next(self, pixels: Pixels, hidden: tuple[Polygon, ...], place: object, t_s: float) -> Detections:
        """Objects in front of the background, in pixels of ``pixels``, largest first.

        The confidence is 0.5 where an object differs from the background just as much as counts, and 1 where it
        differs twice as much. Nothing is found while the background is learned.

        Args:
            pixels: a view of the picture; only its brightness is looked at.
            hidden: areas in which nothing is seen, as shares of it.
            place: tells one view of the camera from another.
            t_s: when the picture was taken.
        """
        key = (place, hidden, pixels.width, pixels.height)
        background = self._views.pop(key, None) or Background(self._settings.min_change, self._settings.absorb_s)
        self._views[key] = background
        while len(self._views) > MAX_VIEWS:
            self._views.popitem(last=False)
        change = background.compare(_small(pixels, hidden), t_s)
        return Detections.empty() if change is None else self._objects(change, pixels.width, pixels.height)

    def _objects(self, change: NDArray[np.float32], width: int, height: int) -> Detections:
        mask = (change >= 1).astype(np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((_CLOSE_PX, _CLOSE_PX), np.uint8))
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
        count, names, figures, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        least = self._settings.min_size * min(change.shape)
        wide = figures[1:, cv2.CC_STAT_WIDTH]
        high = figures[1:, cv2.CC_STAT_HEIGHT]
        rows = 1 + np.flatnonzero(np.minimum(wide, high) >= least)
        rows = rows[np.argsort(-figures[rows, cv2.CC_STAT_AREA], kind="stable")]
        truncated, rows = len(rows) > MAX_OBJECTS, rows[:MAX_OBJECTS]
        if not len(rows):
            return Detections.empty()
        amount = np.bincount(names.ravel(), change.ravel(), count)
        pixels = np.bincount(names.ravel(), (change.ravel() >= 1).astype(np.float64), count)
        scores = np.clip(amount[rows] / np.maximum(pixels[rows], 1) / 2, 0.5, 1)
        corner = figures[rows][:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]]
        size = figures[rows][:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
        scale = np.array((width / change.shape[1], height / change.shape[0]) * 2, np.float32)
        boxes = np.concatenate((corner, corner + size), axis=1).astype(np.float32) * scale
        found = Detections(boxes, scores.astype(np.float32), np.zeros(len(rows), np.int32), truncated)
        return found.where(_outermost(found.boxes))


def _small(pixels: Pixels, hidden: tuple[Polygon, ...]) -> NDArray[np.float32]:
    """Brightness 0..255 in full range, float32, at most ``SIDE_PX`` long."""
    share = min(1.0, SIDE_PX / max(pixels.width, pixels.height))
    size = (max(8, round(pixels.width * share)), max(8, round(pixels.height * share)))
    luma = cv2.resize(np.ascontiguousarray(pixels.y), size, interpolation=cv2.INTER_AREA)
    for area in hidden:
        cv2.fillPoly(luma, [np.rint(np.asarray(area) * size).astype(np.int32)], (_GREY,))
    small: NDArray[np.float32] = luma.astype(np.float32)
    if not pixels.full_range:
        small = np.clip((small - np.float32(_BLACK)) * np.float32(255 / _SPAN), 0, 255).astype(np.float32)
    return small


def _outermost(boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Boxes that lie in no other one, bool (n,): an outline and what is within it are one object."""
    inside = ((boxes[:, None, :2] >= boxes[None, :, :2]) & (boxes[:, None, 2:] <= boxes[None, :, 2:])).all(axis=2)
    same = (boxes[:, None] == boxes[None]).all(axis=2)
    result: NDArray[np.bool_] = ~(inside & ~same).any(axis=1)
    return result
