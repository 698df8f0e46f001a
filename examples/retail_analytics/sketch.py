"""Draws shop.png, a sketch of the shop as the camera sees it: figures can be shown without anybody in the picture.

python examples/retail_analytics/sketch.py examples/retail_analytics/shop.png
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import cv2
import numpy as np

WIDTH, HEIGHT = 960, 540
#: Drawn so many times larger and made smaller afterwards: smooth edges.
LARGER = 3

Point = tuple[float, float]
Colour = tuple[int, int, int]

WALL: Colour = (206, 210, 214)
FLOOR: Colour = (168, 182, 196)
LINE: Colour = (96, 104, 112)
SHELF: Colour = (132, 160, 150)
SHELF_TOP: Colour = (158, 184, 174)
COUNTER: Colour = (176, 150, 132)
COUNTER_TOP: Colour = (206, 190, 178)
GOODS: Colour = (120, 140, 190)
CHAIR: Colour = (110, 110, 118)
GLASS: Colour = (214, 204, 190)


class Sketch:
    """A picture with shares of its sides as coordinates."""

    def __init__(self) -> None:
        self.size = (WIDTH * LARGER, HEIGHT * LARGER)
        self.picture = np.full((self.size[1], self.size[0], 3), WALL, np.uint8)

    def area(self, corners: Sequence[Point], colour: Colour) -> None:
        points = np.array([(x * self.size[0], y * self.size[1]) for x, y in corners], np.int32)
        cv2.fillPoly(self.picture, [points], colour, cv2.LINE_AA)
        cv2.polylines(self.picture, [points], isClosed=True, color=LINE, thickness=2 * LARGER, lineType=cv2.LINE_AA)

    def between(self, start: Sequence[Point], end: Sequence[Point], lines: int) -> None:
        """Lines that share out the way from one edge to another: boards, doors, bricks."""
        for index in range(1, lines):
            share = index / lines
            a, b = (
                tuple(round((s + share * (e - s)) * side) for s, e, side in zip(p, q, self.size, strict=True))
                for p, q in zip(start, end, strict=True)
            )
            cv2.line(self.picture, a, b, LINE, LARGER, cv2.LINE_AA)

    def save(self, path: str) -> None:
        cv2.imwrite(path, cv2.resize(self.picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))


def draw() -> Sketch:
    sketch = Sketch()
    floor = [(0.0, 0.62), (0.16, 0.46), (0.36, 0.30), (0.62, 0.10), (0.84, 0.10), (1.0, 0.30), (1.0, 1.0), (0.0, 1.0)]
    sketch.area(floor, FLOOR)
    fridges = [(0.0, 0.40), (0.17, 0.24), (0.17, 0.48), (0.0, 0.66)]
    sketch.area(fridges, GLASS)
    sketch.between([(0.0, 0.40), (0.0, 0.66)], [(0.17, 0.24), (0.17, 0.48)], 4)
    fruit = [(0.0, 0.74), (0.09, 0.68), (0.19, 1.0), (0.0, 1.0)]
    sketch.area(fruit, GOODS)
    island_top = [(0.09, 0.37), (0.30, 0.20), (0.42, 0.34), (0.20, 0.54)]
    sketch.area([(0.20, 0.54), (0.42, 0.34), (0.42, 0.54), (0.28, 0.73)], SHELF)
    sketch.between([(0.20, 0.54), (0.42, 0.34)], [(0.28, 0.73), (0.42, 0.54)], 4)
    sketch.area(island_top, SHELF_TOP)
    sketch.area([(0.21, 0.17), (0.56, 0.02), (0.60, 0.06), (0.60, 0.22), (0.50, 0.42), (0.25, 0.24)], SHELF)
    sketch.between([(0.21, 0.17), (0.56, 0.02)], [(0.25, 0.24), (0.60, 0.22)], 4)
    sketch.area([(0.84, 0.0), (0.96, 0.0), (0.96, 0.22), (0.84, 0.16)], GLASS)
    sketch.area([(0.55, 0.54), (0.86, 0.64), (0.85, 0.80), (0.57, 0.66)], COUNTER)
    sketch.area([(0.55, 0.54), (0.70, 0.20), (0.74, 0.22), (0.68, 0.44), (0.87, 0.54), (0.86, 0.64)], COUNTER_TOP)
    for x, y in ((0.58, 0.72), (0.69, 0.78)):
        sketch.area([(x - 0.04, y), (x + 0.03, y - 0.02), (x + 0.05, y + 0.05), (x - 0.02, y + 0.07)], CHAIR)
        sketch.area([(x - 0.01, y - 0.14), (x + 0.05, y - 0.12), (x + 0.04, y - 0.02), (x - 0.005, y - 0.01)], CHAIR)
    sketch.area([(0.86, 0.56), (1.0, 0.50), (1.0, 1.0), (0.80, 1.0)], GOODS)
    sketch.between([(0.86, 0.56), (1.0, 0.50)], [(0.80, 1.0), (1.0, 1.0)], 5)
    return sketch


if __name__ == "__main__":
    draw().save(sys.argv[1])
