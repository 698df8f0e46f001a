"""Draws a heat map over a picture: where it glows, people were."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.core.insights.heat_sum import HeatSum

Picture = NDArray[np.uint8]

#: Smallest and largest width of the drawing, pixels.
WIDTHS: Final = (640, 1920)
#: What is left of the picture's own light: the glow is to be seen.
DIMMED: Final = 0.55
#: Most of the picture that the glow covers.
COVERED: Final = 0.85
#: Below 1, places with little presence are lifted out of the dark.
GAMMA: Final = 0.6
#: Below this share of the largest value nothing is drawn.
FAINT: Final = 0.01

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_WHITE: Final = (235, 235, 235)
_GREY: Final = (150, 150, 150)


def draw_heat_map(background: Picture, heat: HeatSum) -> Picture:
    """The picture, dimmed, with the heat over it and a legend below.

    Args:
        background: uint8 (height, width, 3), blue, green, red; of any size.
        heat: what to show.

    Returns:
        uint8, blue, green, red; the background's shape with a strip below.
    """
    height, width = background.shape[:2]
    scale = min(max(width, WIDTHS[0]), WIDTHS[1]) / width
    size = (round(width * scale), max(1, round(height * scale)))
    canvas = cv2.resize(background, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    grey = cv2.cvtColor(canvas, cv2.COLOR_BGR2GRAY)[:, :, None].astype(np.float32)
    dimmed = (0.5 * canvas.astype(np.float32) + 0.5 * grey) * DIMMED
    share = _spread(heat, size)
    colours = _colours(share).astype(np.float32)
    cover = (COVERED * np.clip(share * 4.0, 0.0, 1.0) * (share > FAINT))[:, :, None]
    shown = np.clip(dimmed * (1.0 - cover) + colours * cover, 0, 255).astype(np.uint8)
    return np.vstack([shown, _legend(heat, size[0])])


def _spread(heat: HeatSum, size: tuple[int, int]) -> NDArray[np.float32]:
    """Presence as a share of the largest, (height, width), 0..1: cells run into each other as the eye expects."""
    columns, rows = heat.grid
    cells = np.asarray(heat.seconds, np.float32).reshape(rows, columns)
    # A border of one repeated cell, so that what is at the edge of the picture does not fade there.
    cells = cv2.copyMakeBorder(cells, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    cells = cv2.GaussianBlur(cells, (3, 3), 0.6)
    width, height = size
    large = cv2.resize(
        cells, (width * (columns + 2) // columns, height * (rows + 2) // rows), interpolation=cv2.INTER_CUBIC
    )
    left, top = (large.shape[1] - width) // 2, (large.shape[0] - height) // 2
    inner = np.clip(large[top : top + height, left : left + width], 0.0, None)
    most = float(inner.max(initial=0.0))
    shares = np.zeros_like(inner) if most <= 0.0 else (inner / most) ** GAMMA
    return np.asarray(shares, np.float32)


def _colours(share: NDArray[np.float32]) -> Picture:
    """Dark violet over red to pale yellow: brightness alone tells the order, also in print and to the colour blind."""
    # The darkest third of the scale would be lost on a dimmed picture.
    levels = np.clip(80 + share * 175, 0, 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), np.uint8)


def _legend(heat: HeatSum, width: int) -> Picture:
    unit = width / 1280
    strip = np.full((round(96 * unit), width, 3), 18, np.uint8)
    margin, bar = round(24 * unit), (round(360 * unit), round(16 * unit))
    ramp = np.linspace(0.0, 1.0, bar[0], dtype=np.float32)[None, :] ** GAMMA
    top = round(20 * unit)
    strip[top : top + bar[1], margin : margin + bar[0]] = np.repeat(_colours(ramp), bar[1], axis=0)
    most_s = max(heat.seconds, default=0.0)
    for at, text in ((0.0, "0"), (0.5, _time(most_s / 2)), (1.0, _time(most_s))):
        wide = cv2.getTextSize(text, _FONT, 0.5 * unit, 1)[0][0]
        x = margin + round(at * bar[0]) - round(at * wide)
        _write(strip, text, (x, top + bar[1] + round(22 * unit)), 0.5 * unit, _GREY)
    _write(strip, "presence in a cell", (margin, top + bar[1] + round(46 * unit)), 0.45 * unit, _GREY)
    left = margin + bar[0] + round(48 * unit)
    title = f"{heat.insight} - {heat.camera}"
    _write(strip, title, (left, round(36 * unit)), 0.75 * unit, _WHITE)
    span = f"{heat.start:%Y-%m-%d %H:%M:%S} to {_end(heat)} UTC"
    told = f"{_time(sum(heat.seconds))} of presence in {_time(heat.analysed_s)} analysed"
    withheld = f", {heat.suppressed} reports withheld" if heat.suppressed else ""
    _write(strip, span, (left, round(60 * unit)), 0.5 * unit, _GREY)
    _write(strip, told + withheld, (left, round(82 * unit)), 0.5 * unit, _GREY)
    return strip


def _write(picture: Picture, text: str, place: tuple[int, int], size: float, colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, place, _FONT, size, colour, max(1, round(size * 1.6)), cv2.LINE_AA)


def _end(heat: HeatSum) -> str:
    same_day = heat.start.date() == heat.end.date()
    return f"{heat.end:%H:%M:%S}" if same_day else f"{heat.end:%Y-%m-%d %H:%M:%S}"


def _time(seconds: float) -> str:
    """Seconds, minutes or hours, as fits; ASCII, which is all the font has."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 or seconds == 0 else f"{seconds:.1f} s"
    if seconds < 6000:
        return f"{seconds / 60:.1f} min" if seconds < 600 else f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
