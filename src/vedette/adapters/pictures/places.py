"""Draws the places an application speaks of into a picture of its camera."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.contracts.base import Point
from vedette.core.places import Place, PlaceKind

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

#: Smallest and largest width of the drawing, pixels.
WIDTHS: Final = (960, 1920)
#: A picture for a camera of which there is none.
_EMPTY: Final = (540, 960)
#: Share of an area's own colour in what is seen of it.
_FILL: Final = 0.22
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_WHITE: Final = (245, 245, 245)
_SHADE: Final = (24, 24, 24)
#: Blue, green, red. Told apart in print and by the colour blind: by brightness as well as by hue.
_COLOURS: Final[dict[PlaceKind, Colour]] = {
    PlaceKind.RULE: (60, 120, 255),
    PlaceKind.INSIGHT: (230, 190, 70),
    PlaceKind.REGION: (140, 220, 120),
    PlaceKind.MASK: (90, 90, 90),
    PlaceKind.GROUND: (210, 130, 210),
}


def empty_picture() -> Picture:
    """A dark picture with a grid every tenth of its width and height, numbered as coordinates in a manifest are."""
    height, width = _EMPTY
    picture = np.full((height, width, 3), 40, np.uint8)
    for tenth in range(1, 10):
        x, y = round(width * tenth / 10), round(height * tenth / 10)
        cv2.line(picture, (x, 0), (x, height), (58, 58, 58), 1)
        cv2.line(picture, (0, y), (width, y), (58, 58, 58), 1)
        cv2.putText(picture, f".{tenth}", (x + 3, height - 6), _FONT, 0.4, (120, 120, 120), 1, cv2.LINE_AA)
        cv2.putText(picture, f".{tenth}", (4, y - 4), _FONT, 0.4, (120, 120, 120), 1, cv2.LINE_AA)
    return picture


def draw_places(background: Picture, places: Sequence[Place], title: str) -> Picture:
    """The picture with the places in it, and their names.

    Args:
        background: uint8 (height, width, 3), blue, green, red; of any size.
        places: what is underneath first.
        title: of the picture.

    Returns:
        uint8, blue, green, red, of the same proportions.
    """
    height, width = background.shape[:2]
    scale = min(max(width, WIDTHS[0]), WIDTHS[1]) / width
    size = (round(width * scale), max(1, round(height * scale)))
    resized = cv2.resize(background, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    canvas: Picture = np.ascontiguousarray(resized, np.uint8)
    unit = size[0] / 1280
    areas = {place.points: place for place in places if not place.is_line}  # what several rules watch is filled once
    for place in areas.values():
        canvas = _filled(canvas, _pixels(place.points, size), _COLOURS[place.kind], unit)
    for place in places:
        if place.is_line:
            _line(canvas, place, size, unit)
    taken: list[tuple[int, int, int, int]] = []
    _label(canvas, title, (round(10 * unit), round(10 * unit)), _WHITE, unit, taken)
    for place in places:
        _label(canvas, place.title, _place_of_name(place, size), _COLOURS[place.kind], unit, taken)
    return canvas


def _pixels(points: Sequence[Point], size: tuple[int, int]) -> NDArray[np.int32]:
    scaled = np.asarray(points, np.float64) * size
    return np.asarray(np.rint(scaled), np.int32)


def _filled(canvas: Picture, polygon: NDArray[np.int32], colour: Colour, unit: float) -> Picture:
    over = canvas.copy()
    cv2.fillPoly(over, [polygon], colour)
    mixed = cv2.addWeighted(over, _FILL, canvas, 1.0 - _FILL, 0.0)
    cv2.polylines(mixed, [polygon], True, colour, max(2, round(2 * unit)), cv2.LINE_AA)
    return np.asarray(mixed, np.uint8)


def _line(canvas: Picture, place: Place, size: tuple[int, int], unit: float) -> None:
    colour = _COLOURS[place.kind]
    (x1, y1), (x2, y2) = _pixels(place.points, size).tolist()
    cv2.line(canvas, (x1, y1), (x2, y2), colour, max(3, round(4 * unit)), cv2.LINE_AA)
    middle, along = ((x1 + x2) / 2, (y1 + y2) / 2), math.hypot(x2 - x1, y2 - y1) or 1.0
    across = ((y1 - y2) / along, (x2 - x1) / along)
    ways: tuple[float, ...] = (1.0, -1.0)
    if place.direction is not None:
        ways = (math.copysign(1.0, across[0] * place.direction[0] + across[1] * place.direction[1]),)
    for way in ways:
        end = (round(middle[0] + way * across[0] * 48 * unit), round(middle[1] + way * across[1] * 48 * unit))
        begin = (round(middle[0]), round(middle[1]))
        cv2.arrowedLine(canvas, begin, end, colour, max(2, round(3 * unit)), cv2.LINE_AA, tipLength=0.4)


def _place_of_name(place: Place, size: tuple[int, int]) -> tuple[int, int]:
    """Where a name begins: at the topmost corner, so that it lies within its area or beside its line."""
    points = _pixels(place.points, size)
    x, y = points[int(np.argmin(points[:, 1] * 4 + points[:, 0]))].tolist()
    return x + 6, y + 6


def _label(
    canvas: Picture,
    text: str,
    at: tuple[int, int],
    colour: Colour,
    unit: float,
    taken: list[tuple[int, int, int, int]],
) -> None:
    """Write on a shaded ground, moved down where another name is, and into the picture where it would leave it."""
    shown = text.encode("ascii", "replace").decode()  # all the font has
    size, pad = max(0.42, 0.55 * unit), round(5 * max(unit, 0.7))
    thick = max(1, round(1.3 * unit))
    (wide, high), _ = cv2.getTextSize(shown, _FONT, size, thick)
    width, height = wide + 2 * pad, high + 2 * pad
    left = min(max(at[0], 0), max(canvas.shape[1] - width, 0))
    top = min(max(at[1], 0), max(canvas.shape[0] - height, 0))
    for _ in taken:
        hit = next((box for box in taken if _meet(box, (left, top, left + width, top + height))), None)
        if hit is None or hit[3] + height > canvas.shape[0]:
            break
        top = hit[3] + 1
    taken.append((left, top, left + width, top + height))
    ground = canvas[top : top + height, left : left + width]
    ground[:] = (ground * 0.35 + np.asarray(_SHADE) * 0.65).astype(np.uint8)
    cv2.putText(canvas, shown, (left + pad, top + pad + high), _FONT, size, colour, thick, cv2.LINE_AA)


def _meet(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
