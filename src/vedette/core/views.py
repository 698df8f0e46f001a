"""What part of a picture is shown to a model, and in how many pieces. Pure geometry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from vedette.contracts.base import Polygon
from vedette.contracts.manifest import Tiles
from vedette.core import geometry
from vedette.core.detections import Detections

#: Windows begin and end between blocks of chroma, pixels.
ALIGNMENT_PX: Final = 2
#: A window is never smaller: it would hold nothing a model could see, pixels.
MIN_WINDOW_PX: Final = 32
#: Sizes and views whose windows are remembered.
_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a picture, pixels; all numbers even.

    Attributes:
        x: left edge.
        y: top edge.
        width: width.
        height: height.
        whole: whether it shows all there is to see, rather than one of several parts.
    """

    x: int
    y: int
    width: int
    height: int
    whole: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """How a pipeline looks at a picture. Equal views of one picture need one analysis.

    Attributes:
        region: only this part is looked at, normalised; the whole picture where None.
        masks: parts that are painted over before the model sees them, normalised.
        tiles: part by part, or None.
    """

    region: Polygon | None = None
    masks: tuple[Polygon, ...] = ()
    tiles: Tiles | None = None

    def windows(self, width: int, height: int) -> tuple[Window, ...]:
        """The parts of a picture of this size (pixels) that are shown to the model, the whole one first."""
        return _windows(self, width, height)

    def hidden(self, window: Window, width: int, height: int) -> tuple[Polygon, ...]:
        """The masks as shares of a window; corners may lie outside of it."""
        return tuple(
            tuple(((x * width - window.x) / window.width, (y * height - window.y) / window.height) for x, y in polygon)
            for polygon in self.masks
        )

    def keep(self, detections: Detections, width: int, height: int) -> Detections:
        """Objects whose centre is in the region and in no mask.

        Args:
            detections: in pixels of the original picture.
            width: of the original picture, pixels.
            height: the same.
        """
        if not len(detections) or (self.region is None and not self.masks):
            return detections
        boxes = detections.boxes.astype(np.float64)
        centres = (boxes[:, :2] + boxes[:, 2:]) / (2.0 * width, 2.0 * height)
        good = np.ones(len(detections), np.bool_)
        if self.region is not None:
            good &= geometry.inside(centres, self.region)
        for mask in self.masks:
            good &= ~geometry.inside(centres, mask)
        return detections if good.all() else detections.where(good)


#: The whole picture, as it is.
WHOLE: Final = View()


@lru_cache(maxsize=_REMEMBERED)
def _windows(view: View, width: int, height: int) -> tuple[Window, ...]:
    left, top, right, bottom = 0.0, 0.0, float(width), float(height)
    if view.region is not None:
        xs, ys = [x for x, _ in view.region], [y for _, y in view.region]
        left, right = min(xs) * width, max(xs) * width
        top, bottom = min(ys) * height, max(ys) * height
    x, across = _span(left, right, width)
    y, down = _span(top, bottom, height)
    if view.region is None:
        across, down = width, height  # odd sizes, too: nothing of the picture is left out
    whole = Window(x, y, across, down)
    if view.tiles is None or view.tiles.columns * view.tiles.rows == 1:
        return (whole,)
    parts = [
        Window(part_x, part_y, part_width, part_height, whole=False)
        for part_y, part_height in _parts(y, down, view.tiles.rows, view.tiles.overlap, height)
        for part_x, part_width in _parts(x, across, view.tiles.columns, view.tiles.overlap, width)
    ]
    return (whole, *parts) if view.tiles.whole else tuple(parts)


def _parts(start: int, length: int, count: int, overlap: float, limit: int) -> list[tuple[int, int]]:
    """A side cut into ``count`` parts of equal length that overlap by a share of it: (start, length) each."""
    part = length / (count - (count - 1) * overlap)
    step = part * (1.0 - overlap)
    return [_span(start + index * step, start + index * step + part, limit) for index in range(count)]


def _span(start: float, end: float, limit: int) -> tuple[int, int]:
    """A stretch of a side of ``limit`` pixels as (start, length), widened to whole blocks and to a least length."""
    if end - start < MIN_WINDOW_PX:
        middle = (start + end) / 2
        start, end = middle - MIN_WINDOW_PX / 2, middle + MIN_WINDOW_PX / 2
    even = limit if limit < ALIGNMENT_PX else limit // ALIGNMENT_PX * ALIGNMENT_PX
    least = min(MIN_WINDOW_PX, even)
    first = max(0, math.floor(start / ALIGNMENT_PX) * ALIGNMENT_PX)
    first = max(0, min(first, even - least))  # a stretch pushed over the far edge by its least length is taken back
    last = min(even, math.ceil(end / ALIGNMENT_PX) * ALIGNMENT_PX)
    return first, max(last, first + least) - first
