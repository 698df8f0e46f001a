"""Points, polygons and lines, normalised 0..1, origin top left, y down; vectorised over points."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vedette.contracts.manifest import Anchor

Floats = NDArray[np.float64]

#: Distance within which a point is on an edge, normalised: rounding, not a tolerance for people.
EDGE: Final = 1e-9


def anchors(boxes: ArrayLike, anchor: Anchor, width: float, height: float) -> Floats:
    """The point of each box that is tested against zones and lines.

    Args:
        boxes: (n, 4), ``x1, y1, x2, y2`` in pixels of the picture.
        anchor: which point.
        width: width of the picture, pixels, above 0.
        height: height of the picture, pixels, above 0.

    Returns:
        float64 (n, 2), normalised. Boxes may reach over the border of the picture; their points may, too.
    """
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    points = np.empty((len(corners), 2))
    points[:, 0] = (corners[:, 0] + corners[:, 2]) * 0.5
    match anchor:
        case Anchor.BOTTOM_CENTER:
            points[:, 1] = corners[:, 3]
        case Anchor.CENTER:
            points[:, 1] = (corners[:, 1] + corners[:, 3]) * 0.5
        case Anchor.TOP_CENTER:
            points[:, 1] = corners[:, 1]
    points /= (width, height)
    return points


def inside(points: Floats, polygon: ArrayLike) -> NDArray[np.bool_]:
    """Which points lie in a polygon, its edges included.

    Counts the edges a ray to the right crosses (even-odd rule), so the winding does not matter; an edge counts for
    the half-open span of its y, so that a ray through a corner is counted once.

    Args:
        points: float64 (n, 2).
        polygon: (k, 2), at least three corners, closed by itself.

    Returns:
        bool (n,).
    """
    start = np.asarray(polygon, np.float64)
    end = np.roll(start, -1, axis=0)
    edge = end - start
    away = points[:, None, :] - start[None, :, :]
    cross = edge[:, 0] * away[:, :, 1] - edge[:, 1] * away[:, :, 0]
    spans = (start[:, 1] > points[:, 1:]) != (end[:, 1] > points[:, 1:])
    # The edge is to the right of the point: the sign of the cross product turns with the way the edge runs.
    right = (cross > 0) == (edge[:, 1] > 0)
    odd = np.count_nonzero(spans & right, axis=1) % 2 == 1
    # Distance from the nearest point of each edge; an edge without length is its corner.
    length = np.maximum((edge**2).sum(axis=1), 1e-300)
    share = np.clip((away * edge).sum(axis=2) / length, 0.0, 1.0)
    rest = away - share[:, :, None] * edge
    near = (rest**2).sum(axis=2) <= EDGE**2
    result: NDArray[np.bool_] = odd | near.any(axis=1)
    return result


def sides(points: Floats, line: ArrayLike) -> Floats:
    """Signed distance of points from the line through two points, extended without end.

    Args:
        points: float64 (n, 2).
        line: (2, 2), its two ends.

    Returns:
        float64 (n,): above 0 where, seen along the line, the point is to the right (y points down).
    """
    ends = np.asarray(line, np.float64)
    run = ends[1] - ends[0]
    away = points - ends[0]
    distance: Floats = (run[0] * away[:, 1] - run[1] * away[:, 0]) / np.hypot(run[0], run[1])
    return distance


def normal(line: ArrayLike) -> tuple[float, float]:
    """Unit vector at a right angle to a line, to the side where ``sides`` is above 0."""
    ends = np.asarray(line, np.float64)
    run = ends[1] - ends[0]
    length = float(np.hypot(run[0], run[1]))
    return -float(run[1]) / length, float(run[0]) / length


def passes(before: ArrayLike, after: ArrayLike, line: ArrayLike, tolerance: float) -> bool:
    """Whether a step goes through the line between its two ends.

    Args:
        before: (2,), a point on one side.
        after: (2,), a point on the other side, or on the line.
        line: (2, 2), its two ends.
        tolerance: how far beyond an end the step may pass, normalised.
    """
    ends = np.asarray(line, np.float64)
    points = np.array((before, after), np.float64)
    first, second = sides(points, ends)
    if first == second:
        return False
    share = first / (first - second)
    if not 0.0 <= share <= 1.0:
        return False
    crossing = points[0] + share * (points[1] - points[0])
    run = ends[1] - ends[0]
    length = float(np.hypot(run[0], run[1]))
    along = float((crossing - ends[0]) @ run) / length
    return -tolerance <= along <= length + tolerance
