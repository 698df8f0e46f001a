"""What parts look like from above: signed distances and outlines.

Coordinates are those of the part: pixels from its centre, x to the right, y down, before it is turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.testing.belt.settings import Kind

Floats = NDArray[np.float32]

#: No part reaches farther from its centre than this, pixels.
REACH_PX: Final = 72.0
_OUTLINE_POINTS: Final = 1440

_BRACKET_HALF: Final = (57.0, 37.0)
_BRACKET_CORNER: Final = 8.0
_SLOT: Final = (13.0, 8.0)
#: Bore holes of a bracket: x, y, radius. The first four stand in the corners.
BRACKET_HOLES: Final = (
    (-42.0, -23.0, 6.8),
    (42.0, -23.0, 6.8),
    (42.0, 23.0, 6.8),
    (-42.0, 23.0, 6.8),
)
_NUT_APOTHEM: Final = 36.0
_GEAR_RADIUS: Final = 42.0
_GEAR_TOOTH: Final = 4.5


@dataclass(frozen=True, slots=True)
class Relief:
    """A part's shape.

    Attributes:
        distance: float32, pixels to the nearest edge of the metal, negative inside the metal.
        height: float32, height of the surface above the plate, pixels, without the rounding of the edges.
        edge_px: how wide the rounding of the edges is.
    """

    distance: Floats
    height: Floats
    edge_px: float


def relief(kind: Kind, x: Floats, y: Floats, size: float = 1.0, missing: int | None = None) -> Relief:
    """The shape of a part at the given points.

    Args:
        kind: what it is.
        x: float32, any shape.
        y: float32, the same shape.
        size: scale, 1 for the drawing's size.
        missing: for a bracket, the number of the hole that was not bored.
    """
    x, y = x / np.float32(size), y / np.float32(size)
    flat = np.zeros_like(x)
    if kind is Kind.BRACKET:
        found = Relief(_bracket(x, y, missing), flat, 2.2)
    elif kind is Kind.WASHER:
        radius = np.hypot(x, y)
        found = Relief(np.maximum(radius - 43.0, 20.0 - radius), flat, 4.0)
    elif kind is Kind.NUT:
        found = _nut(x, y)
    else:
        found = _gear(x, y)
    return Relief(found.distance * np.float32(size), found.height, found.edge_px)


def outline(kind: Kind, angle: float, size: float = 1.0) -> NDArray[np.float64]:
    """Points on the outer edge of a part turned by ``angle`` (radians, clockwise as seen): float64 (n, 2)."""
    turn = np.linspace(0.0, 2 * np.pi, _OUTLINE_POINTS, endpoint=False)
    if kind is Kind.BRACKET:
        points = _bracket_outline(turn)
    elif kind is Kind.WASHER:
        points = 43.0 * np.stack((np.cos(turn), np.sin(turn)), axis=1)
    elif kind is Kind.NUT:
        wedge = (turn + np.pi / 6) % (np.pi / 3) - np.pi / 6
        radius = _NUT_APOTHEM / np.cos(wedge)
        points = radius[:, None] * np.stack((np.cos(turn), np.sin(turn)), axis=1)
    else:
        radius = _GEAR_RADIUS + _GEAR_TOOTH * np.tanh(3.0 * np.cos(16 * turn))
        points = radius[:, None] * np.stack((np.cos(turn), np.sin(turn)), axis=1)
    cosine, sine = np.cos(angle), np.sin(angle)
    turned: NDArray[np.float64] = size * points @ np.array([[cosine, sine], [-sine, cosine]])
    return turned


def _rounded_box(x: Floats, y: Floats, half: tuple[float, float], corner: float) -> Floats:
    over_x, over_y = np.abs(x) - np.float32(half[0] - corner), np.abs(y) - np.float32(half[1] - corner)
    outside = np.hypot(np.maximum(over_x, 0), np.maximum(over_y, 0))
    result: Floats = outside + np.minimum(np.maximum(over_x, over_y), 0) - np.float32(corner)
    return result


def _bracket(x: Floats, y: Floats, missing: int | None) -> Floats:
    distance = _rounded_box(x, y, _BRACKET_HALF, _BRACKET_CORNER)
    slot = np.hypot(np.maximum(np.abs(x) - np.float32(_SLOT[0]), 0), y) - np.float32(_SLOT[1])
    distance = np.maximum(distance, -slot)
    for number, (left, top, radius) in enumerate(BRACKET_HOLES):
        if number != missing:
            distance = np.maximum(distance, np.float32(radius) - np.hypot(x - np.float32(left), y - np.float32(top)))
    return distance


def _bracket_outline(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """A quarter circle of each corner; the straight sides reach no farther."""
    middle_x = (_BRACKET_HALF[0] - _BRACKET_CORNER) * np.where(np.cos(turn) >= 0, 1.0, -1.0)
    middle_y = (_BRACKET_HALF[1] - _BRACKET_CORNER) * np.where(np.sin(turn) >= 0, 1.0, -1.0)
    return np.stack(
        (middle_x + _BRACKET_CORNER * np.cos(turn), middle_y + _BRACKET_CORNER * np.sin(turn)),
        axis=1,
    )


def _nut(x: Floats, y: Floats) -> Relief:
    radius = np.hypot(x, y)
    distance = np.full_like(x, -1e3)
    for number in range(6):
        turn = number * np.pi / 3
        distance = np.maximum(distance, x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn)))
    distance = distance - np.float32(_NUT_APOTHEM)
    # Corners are turned off in a cone; the thread shows as rings at the edge of the hole.
    cone = -0.9 * np.maximum(radius - np.float32(_NUT_APOTHEM - 1.5), 0)
    thread = np.where(radius < 22.0, 0.7 * np.sin(radius * np.float32(2.4)) - (22.0 - radius) * 0.8, 0)
    return Relief(np.maximum(distance, 16.5 - radius), (cone + thread).astype(np.float32), 1.6)


def _gear(x: Floats, y: Floats) -> Relief:
    radius, turn = np.hypot(x, y), np.arctan2(y, x)
    edge = np.float32(_GEAR_RADIUS) + np.float32(_GEAR_TOOTH) * np.tanh(3.0 * np.cos(16 * turn)).astype(np.float32)
    distance = np.maximum(radius - edge, 9.0 - radius)
    for number in range(5):
        left, top = 24.0 * np.cos(number * 1.2566), 24.0 * np.sin(number * 1.2566)
        distance = np.maximum(distance, 5.6 - np.hypot(x - np.float32(left), y - np.float32(top)))
    hub = 0.8 - 0.8 * np.tanh((radius - 15.0) * 0.9)
    rim = 0.6 + 0.6 * np.tanh((radius - 33.0) * 0.9)
    return Relief(distance.astype(np.float32), (hub + rim).astype(np.float32), 1.8)
