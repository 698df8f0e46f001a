"""Whether anything has moved since a picture was analysed, judged by a thumbnail of its brightness.

A picture is reduced to 64 by 36 cells, each the mean of some of its pixels, which takes sensor noise of 10 levels down
to about 2; in a noisy picture more change is asked for. What is compared is the picture that was analysed last, not
the one before: however slowly something moves, its way adds up until it counts.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.base import Polygon
from vedette.contracts.manifest import Motion
from vedette.core import geometry

COLUMNS: Final = 64
ROWS: Final = 36
#: Samples taken across each side of a cell, at most: more only cost time.
_SAMPLES: Final = 6

#: A cell of 2,304 is by chance this many standard deviations away once in ten thousand pictures.
_SIGMAS: Final = 6.0
#: The median of a normal variable's absolute value, as a share of its standard deviation, inverted.
_MAD_TO_SIGMA: Final = 1.4826
#: Change that is never taken for noise, of 255: else something that fills the picture would hide itself.
_MOST_NOISE: Final = 15.0

Thumbnail = NDArray[np.float32]


def thumbnail(luma: NDArray[np.uint8]) -> Thumbnail:
    """Mean brightness of 64 by 36 cells.

    Args:
        luma: uint8 (height, width); what is left over at the right and bottom after whole cells is not looked at.

    Returns:
        float32 (rows, columns), 0..255; fewer cells where the picture has fewer pixels.
    """
    height, width = luma.shape
    rows, columns = min(ROWS, height), min(COLUMNS, width)
    cell_height, cell_width = height // rows, width // columns
    step_y, step_x = max(1, cell_height // _SAMPLES), max(1, cell_width // _SAMPLES)
    down, across = cell_height // step_y, cell_width // step_x
    total = np.zeros((rows, columns), np.uint16)
    # Sum of whole sampled planes: a reduction over the inner axes of a strided view takes ten times as long.
    for dy in range(down):
        for dx in range(across):
            total += luma[
                dy * step_y : rows * cell_height : cell_height, dx * step_x : columns * cell_width : cell_width
            ]
    return total.astype(np.float32) / np.float32(down * across)


class MotionGate:
    """Decides picture by picture. Used by one thread at a time; pictures in the order of their time.

    Args:
        settings: thresholds.
        region: cells with their centre outside do not count, normalised.
        masks: cells with their centre in one do not count, normalised.
    """

    def __init__(self, settings: Motion, region: Polygon | None = None, masks: tuple[Polygon, ...] = ()) -> None:
        self._settings = settings
        self._region = region
        self._masks = masks
        self._counted: NDArray[np.bool_] | None = None

    def moved(self, now: Thumbnail, analysed: Thumbnail | None, since_s: float) -> bool:
        """Whether the picture must be analysed.

        Args:
            now: of the picture.
            analysed: of the picture that was analysed last; None where there is none.
            since_s: time since that one.
        """
        if analysed is None or analysed.shape != now.shape or not 0.0 <= since_s < self._settings.floor_s:
            return True
        counted = self._cells(now.shape)
        change = np.abs(now - analysed)
        noise = min(_SIGMAS * _MAD_TO_SIGMA * float(np.median(change)), _MOST_NOISE)
        changed = (change > max(self._settings.threshold, noise)) & counted
        least = max(1.0, self._settings.min_area * float(np.count_nonzero(counted)))
        return bool(np.count_nonzero(changed) >= least)

    def _cells(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which cells count, bool (rows, columns)."""
        if self._counted is None or self._counted.shape != shape:
            rows, columns = shape
            y, x = np.mgrid[:rows, :columns]
            centres = np.stack(((x.ravel() + 0.5) / columns, (y.ravel() + 0.5) / rows), axis=1)
            counted = np.ones(len(centres), np.bool_)
            if self._region is not None:
                counted &= geometry.inside(centres, self._region)
            for mask in self._masks:
                counted &= ~geometry.inside(centres, mask)
            if not counted.any():  # a region smaller than a cell
                counted[:] = True
            self._counted = counted.reshape(shape)
        return self._counted
