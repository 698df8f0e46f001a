"""What goes wrong with a bracket: scratches and dents, as changes of height and tone. A missing hole is a shape."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.testing.belt.settings import Kind
from vedette.testing.belt.shapes import relief
from vedette.testing.belt.surface import Canvas

Floats = NDArray[np.float32]

_TRIES: Final = 200
#: Least depth of metal around the middle of a dent, and around the middle of a scratch, pixels.
_DENT_INSIDE_PX: Final = 7.0
_SCRATCH_INSIDE_PX: Final = 3.0


def dent(canvas: Canvas, random: np.random.Generator) -> None:
    """A blow: a hollow with a raised, broken rim. It shows by its shading and by the grain that it interrupts."""
    centre = _place(random, _DENT_INSIDE_PX)
    radius = random.uniform(6.5, 10.0)
    depth = radius * random.uniform(0.38, 0.55)
    turn, squeeze = random.uniform(0, np.pi), random.uniform(0.75, 1.0)
    x, y = canvas.x - np.float32(centre[0]), canvas.y - np.float32(centre[1])
    along = x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))
    across = (y * np.float32(np.cos(turn)) - x * np.float32(np.sin(turn))) / np.float32(squeeze)
    wobble = 1.0 + np.float32(0.10) * np.sin(3 * np.arctan2(across, along) + np.float32(random.uniform(0, 6.28)))
    r = np.hypot(along, across) / (np.float32(radius) * wobble)
    hollow = -np.float32(depth) * np.exp(-(r**2) * 2.2)
    rim = np.float32(0.22 * depth) * np.exp(-((r - 1.05) ** 2) * 30)
    canvas.height += hollow + rim
    canvas.tone *= 1.0 - 0.12 * np.exp(-(r**2) * 3.0)


def scratch(canvas: Canvas, random: np.random.Generator) -> None:
    """A groove that something hard has torn: bent, of uneven depth, with a bright burr; sometimes a second one."""
    length = random.uniform(32.0, 60.0)
    turn = random.uniform(0, 2 * np.pi)
    points = _torn_line(random, _place(random, _SCRATCH_INSIDE_PX), length, turn)
    _groove(canvas, random, points, width_px=random.uniform(1.3, 2.0))
    if random.random() < 0.35:
        beside = points[: max(4, int(len(points) * random.uniform(0.3, 0.6)))] + random.uniform(2.5, 4.0, 2)
        _groove(canvas, random, beside, width_px=random.uniform(0.8, 1.1))


def _place(random: np.random.Generator, inside_px: float) -> tuple[float, float]:
    """A point on a bracket that is so far from every edge."""
    for _ in range(_TRIES):
        x, y = random.uniform(-50, 50), random.uniform(-31, 31)
        at = np.array([x], np.float32), np.array([y], np.float32)
        if relief(Kind.BRACKET, *at).distance[0] < -inside_px:
            return float(x), float(y)
    return 0.0, -16.0


def _torn_line(
    random: np.random.Generator, middle: tuple[float, float], length: float, turn: float
) -> NDArray[np.float64]:
    """Points a pixel apart, about ``middle``, that bend a little; float64 (n, 2), the part's coordinates."""
    count = max(8, int(length))
    bends = np.cumsum(random.normal(0, 0.035, count)) + random.uniform(-0.008, 0.008) * np.arange(count)
    steps = np.stack((np.cos(turn + bends), np.sin(turn + bends)), axis=1) * (length / count)
    points: NDArray[np.float64] = np.cumsum(steps, axis=0)
    points += np.asarray(middle) - points.mean(axis=0)
    return points


def _groove(canvas: Canvas, random: np.random.Generator, points: NDArray[np.float64], width_px: float) -> None:
    """Cut a line into the surface; deepest in the middle, fading to its ends."""
    strength = np.sin(np.linspace(0.25, np.pi - 0.25, len(points))) ** 0.5
    strength *= 1.0 + 0.3 * np.sin(np.linspace(0, random.uniform(6, 14), len(points)) + random.uniform(0, 6.28))
    here = _to_samples(canvas, points)
    drawn = np.zeros(canvas.tone.shape, np.uint8)
    for (start, end), force in zip(pairwise(here), strength[1:], strict=True):
        thickness = max(1, round(width_px * canvas.scale * float(np.clip(force, 0.5, 1.1))))
        cv2.line(drawn, start, end, float(np.clip(force, 0.35, 1.2)) * 200, thickness, cv2.LINE_AA)
    cut = cv2.GaussianBlur(drawn.astype(np.float32) / 200, (0, 0), 0.22 * canvas.scale)
    burr = np.clip(cv2.GaussianBlur(cut, (0, 0), 0.5 * canvas.scale) - 0.75 * cut, 0, None)
    deep = random.uniform(0.36, 0.54)
    sign = -1.0 if random.random() < 0.6 else 1.0  # most grooves look dark, some throw the light back
    canvas.tone *= 1.0 + np.float32(sign * deep) * cut - np.float32(sign * 0.55) * burr
    canvas.height -= np.float32(0.5) * cut


def _to_samples(canvas: Canvas, points: NDArray[np.float64]) -> list[tuple[int, int]]:
    """The part's coordinates as columns and rows of the canvas, which is turned and moved but not bent."""
    origin = float(canvas.x[0, 0]), float(canvas.y[0, 0])
    side = canvas.x.shape[0] - 1
    along = (float(canvas.x[0, -1]) - origin[0]) / side, (float(canvas.y[0, -1]) - origin[1]) / side
    down = (float(canvas.x[-1, 0]) - origin[0]) / side, (float(canvas.y[-1, 0]) - origin[1]) / side
    matrix = np.array([[along[0], down[0]], [along[1], down[1]]])
    samples = np.linalg.solve(matrix, (points - np.asarray(origin)).T).T
    return [(round(column), round(row)) for column, row in samples.tolist()]
