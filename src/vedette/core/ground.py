"""From points of the picture to metres on the ground: a plane homography.

Four correspondences fix the eight numbers of the projective map of a plane (R. Hartley, A. Zisserman, "Multiple View
Geometry in Computer Vision", 2nd edition, section 4.1).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.manifest import GroundPlane

Floats = NDArray[np.float64]

#: Points nearer to the horizon than this share of the four points' depth are nowhere: their error is without bound.
_HORIZON: Final = 1e-3


class Ground:
    """The ground as one camera sees it.

    Args:
        plane: four points in the picture and in metres.
    """

    def __init__(self, plane: GroundPlane) -> None:
        picture, metres = np.array(plane.picture, np.float64), np.array(plane.metres, np.float64)
        # Each pair gives two equations in the eight numbers; the ninth is 1. Metres are centred, which keeps the
        # system well conditioned wherever the site's origin lies.
        self._origin = metres.mean(axis=0)
        target = metres - self._origin
        rows = []
        for (x, y), (u, v) in zip(picture, target, strict=True):
            rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
            rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
        numbers = np.linalg.solve(np.array(rows), target.reshape(-1))
        self._matrix = np.append(numbers, 1.0).reshape(3, 3)
        depth = picture @ self._matrix[2, :2] + 1.0
        if depth[0] < 0:  # all four have one sign: the contract sees to it
            self._matrix = -self._matrix
        self._least = _HORIZON * float(np.abs(depth).min())

    def metres(self, points: Floats) -> Floats:
        """Places on the ground.

        Args:
            points: float64 (n, 2), normalised points of the picture.

        Returns:
            float64 (n, 2), metres; NaN for points at or above the horizon.
        """
        projected = points @ self._matrix[:, :2].T + self._matrix[:, 2]
        depth = projected[:, 2:]
        with np.errstate(divide="ignore", invalid="ignore"):
            places = projected[:, :2] / depth + self._origin
        places[depth[:, 0] <= self._least] = np.nan
        result: Floats = places
        return result


def distances_to_segments(points: Floats, segments: Floats) -> Floats:
    """Distance of each point from the nearest point of each segment.

    Args:
        points: float64 (n, 2).
        segments: float64 (m, 2, 2), two ends each.

    Returns:
        float64 (n, m); NaN where one of the two is nowhere.
    """
    run = segments[:, 1] - segments[:, 0]
    away = points[:, None, :] - segments[None, :, 0, :]
    length = np.maximum((run**2).sum(axis=1), 1e-300)
    share = np.clip((away * run).sum(axis=2) / length, 0.0, 1.0)
    distance: Floats = np.hypot(*np.moveaxis(away - share[:, :, None] * run, 2, 0))
    return distance
