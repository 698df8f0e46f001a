"""``cameras`` of a manifest: what the application needs to know of each."""

from __future__ import annotations

from itertools import combinations
from typing import Annotated, Self

from pydantic import Field, model_validator

from vedette.contracts.base import Contract, Point, Title

Metres = Annotated[float, Field(ge=-10_000, le=10_000, allow_inf_nan=False)]
#: A place on the ground, metres, from any origin, along any two axes at a right angle.
GroundPoint = tuple[Metres, Metres]

#: Three points are on one line where the triangle is smaller than this share of the square of its longest side.
_FLAT = 1e-3


class GroundPlane(Contract):
    """Four points of the ground as the camera sees them, and where they are: distances become metres."""

    picture: Annotated[
        tuple[Point, Point, Point, Point],
        Field(description="Four points on the ground, normalised, as far apart as can be; no three on one line."),
    ]
    metres: Annotated[
        tuple[GroundPoint, GroundPoint, GroundPoint, GroundPoint],
        Field(description="The same points, in the same order, in metres, seen from above."),
    ]

    @model_validator(mode="after")
    def _seen_like_that(self) -> Self:
        """No three points on one line, and none behind the camera.

        A projective map changes the sign of a triangle's area by the signs of its corners' depths, so all four points
        are on the same side of the camera exactly where it turns all four triangles over, or none.
        """
        signs = []
        for corners in combinations(range(4), 3):
            areas = []
            for name, points in (("picture", self.picture), ("metres", self.metres)):
                a, b, c = (points[index] for index in corners)
                area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
                longest = max((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 for p, q in combinations((a, b, c), 2))
                if abs(area) <= _FLAT * longest:
                    raise ValueError(f"three of the four points of `{name}` lie on one line, or almost")
                areas.append(area)
            signs.append((areas[0] > 0) == (areas[1] > 0))
        if len(set(signs)) != 1:
            raise ValueError("the points of `picture` and `metres` are not in the same order")
        return self


class AbstractCamera(Contract):
    """A camera the application needs; which one it is, is said at deployment."""

    title: Title = ""
    ground: Annotated[
        GroundPlane | None, Field(description="Where the ground is, for rules about distance; none where absent.")
    ] = None
