"""``insights`` of a manifest: what is counted and measured, minute by minute, without anybody being named."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from vedette.contracts.alert import Direction
from vedette.contracts.base import Line, Polygon, Seconds
from vedette.contracts.insight import GridSide
from vedette.contracts.manifest.watching import Watching, check_line

HOUR_S: Final = 3600


def _divides_an_hour(value: int) -> int:
    if HOUR_S % value:
        raise ValueError(f"an hour is no multiple of {value} s; use a divisor of 3600, such as 30, 60, 300 or 900")
    return value


def _rising(edges: tuple[float, ...]) -> tuple[float, ...]:
    if any(low >= high for low, high in pairwise(edges)):
        raise ValueError("each edge must be above the one before it")
    return edges


#: Length of an interval, aligned to the wall clock.
IntervalSeconds = Annotated[int, Field(ge=10, le=HOUR_S), AfterValidator(_divides_an_hour)]
_Edge = Annotated[float, Field(gt=0, le=86400)]


class InsightBase(Watching):
    """What every insight has."""

    min_people: Annotated[
        int, Field(ge=0, le=100, description="Figures about fewer different objects than this are withheld.")
    ] = 0


class Crossings(InsightBase):
    """How many objects went over a line, each way."""

    type: Literal["crossings"]
    line: Line
    inward: Annotated[Direction | None, Field(description="The way that is reported as `inward` too.")] = None
    hysteresis: Annotated[
        float, Field(ge=0, le=0.2, description="Distance from the line, normalised, before a side counts.")
    ] = 0.01

    @model_validator(mode="after")
    def _a_line_with_sides(self) -> Self:
        check_line(self.line, self.inward)
        return self


class Occupancy(InsightBase):
    """How many objects are in a zone at a time."""

    type: Literal["occupancy"]
    zone: Polygon | None = None


class Queue(InsightBase):
    """How many objects wait in a zone, and how long."""

    type: Literal["queue"]
    zone: Polygon
    serving_zone: Annotated[
        Polygon | None,
        Field(description="Who gets here was served. Where absent, whoever leaves the queue's zone was."),
    ] = None
    min_wait_s: Annotated[
        Seconds, Field(le=600, description="Who has been in the zone for less than this does not wait.")
    ] = 3.0


class DwellTimes(InsightBase):
    """How long objects stay in a zone: a histogram of the stays that ended."""

    type: Literal["dwell"]
    zone: Polygon
    edges_s: Annotated[
        tuple[_Edge, ...],
        Field(min_length=1, max_length=16, description="Edges between the classes, rising, in seconds."),
        AfterValidator(_rising),
    ] = (5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class HeatMap(InsightBase):
    """Where objects are: seconds of presence in each cell of a grid over the picture."""

    type: Literal["heat_map"]
    grid: Annotated[tuple[GridSide, GridSide], Field(description="[columns, rows].")] = (32, 18)


Insight = Annotated[Crossings | Occupancy | Queue | DwellTimes | HeatMap, Field(discriminator="type")]
