"""A report of insights: figures of one interval, without track number, picture or anything else about a person."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from vedette.contracts.alert import Direction
from vedette.contracts.base import Contract, Identifier, Seconds

#: Largest report: nucleus lite takes messages of 10,000 bytes, and the payload travels as base64 inside JSON.
MAX_REPORT_BYTES: Final = 7_000
#: What a cell of a heat map counts in, seconds.
CELL_UNIT_S: Final = 0.1

#: Columns or rows of a heat map.
GridSide = Annotated[int, Field(ge=1, le=128)]
_Count = Annotated[int, Field(ge=0)]


class _Values(Contract):
    """What every insight's figures begin with."""

    analysed_s: Annotated[Seconds, Field(description="Time of the interval that was analysed for this insight.")]
    suppressed: Annotated[
        bool, Field(description="Figures are left out because they are about fewer objects than `min_people`.")
    ] = False


class CrossingsValues(_Values):
    """How many objects went over a line."""

    type: Literal["crossings"] = "crossings"
    counts: Annotated[dict[Direction, _Count] | None, Field(description="Direction → crossings.")] = None
    inward: Annotated[_Count | None, Field(description="Crossings in the direction that is called inward.")] = None
    outward: Annotated[_Count | None, Field(description="Crossings against it.")] = None


class OccupancyValues(_Values):
    """How many objects were in a zone at a time."""

    type: Literal["occupancy"] = "occupancy"
    min: Annotated[_Count | None, Field(description="Least number at a time.")] = None
    mean: Annotated[float | None, Field(ge=0, description="Mean over the analysed time.")] = None
    max: Annotated[_Count | None, Field(description="Greatest number at a time.")] = None
    occupied_s: Annotated[Seconds | None, Field(description="Time with at least one.")] = None
    presence_s: Annotated[Seconds | None, Field(description="Sum of the times of all: `mean` times `analysed_s`.")] = (
        None
    )


class Waits(Contract):
    """Waiting times, whole seconds; percentiles by nearest rank."""

    count: Annotated[int, Field(ge=0, description="How many waited and were served in the interval.")]
    mean_s: Seconds | None = None
    p50_s: Seconds | None = None
    p90_s: Seconds | None = None
    max_s: Seconds | None = None


class QueueValues(_Values):
    """How many objects waited, and how long."""

    type: Literal["queue"] = "queue"
    mean_length: Annotated[float | None, Field(ge=0, description="Mean over the analysed time.")] = None
    max_length: Annotated[_Count | None, Field(description="Greatest number of those waiting at a time.")] = None
    waits: Annotated[Waits | None, Field(description="Of those who were served in the interval.")] = None
    left: Annotated[
        _Count | None, Field(description="Waited and went away unserved; where there is a serving zone.")
    ] = None
    longest_now_s: Annotated[
        Seconds | None, Field(description="Longest wait of those still waiting at the end; absent where nobody is.")
    ] = None


class DwellValues(_Values):
    """How long objects stayed: those whose stay ended in the interval."""

    type: Literal["dwell"] = "dwell"
    edges_s: Annotated[tuple[float, ...], Field(max_length=16, description="Edges between the classes, rising.")]
    counts: Annotated[
        tuple[_Count, ...] | None,
        Field(max_length=17, description="Stays below the first edge, from each edge to the next, from the last on."),
    ] = None


class HeatMapValues(_Values):
    """Where objects were."""

    type: Literal["heat_map"] = "heat_map"
    grid: Annotated[tuple[GridSide, GridSide], Field(description="[columns, rows].")]
    cells: Annotated[
        tuple[int, ...] | None,
        Field(
            max_length=16_384,
            description="Tenths of a second of presence, row by row from the top left; -n stands for n cells of 0.",
        ),
    ] = None

    @model_validator(mode="after")
    def _as_many_cells_as_the_grid(self) -> Self:
        columns, rows = self.grid
        if self.cells is not None and sum(-cell if cell < 0 else 1 for cell in self.cells) != columns * rows:
            raise ValueError(f"the cells are not those of a grid of {columns} by {rows}")
        return self


InsightValues = Annotated[
    CrossingsValues | OccupancyValues | QueueValues | DwellValues | HeatMapValues, Field(discriminator="type")
]


class InsightReport(Contract):
    """The insights of one application on one camera and pipeline over one interval."""

    report_id: Annotated[
        str,
        Field(
            pattern=r"^[0-9a-f]{32}$",
            description="Hash of device, application, pipeline, camera, start, first picture: a repeat has the same.",
        ),
    ]
    device: Annotated[str, Field(description="IoT thing name of the device.")]
    application: Identifier
    pipeline: Identifier
    camera: Annotated[Identifier, Field(description="The application's name of the camera.")]
    device_camera: Annotated[Identifier, Field(description="The device's name of the camera.")]
    start: Annotated[AwareDatetime, Field(description="RFC 3339, by the device's clock.")]
    end: Annotated[
        AwareDatetime,
        Field(description="Not included. More than one interval after `start` where several had no picture at all."),
    ]
    analysed_s: Annotated[Seconds, Field(description="Time between start and end of which pictures were analysed.")]
    values: dict[Identifier, InsightValues]


def pack_cells(cells: tuple[int, ...]) -> tuple[int, ...]:
    """Cells of a heat map with runs of zeros as one negative number; a single 0 stays, being shorter."""
    packed: list[int] = []
    zeros = 0
    for cell in (*cells, 1):
        if cell == 0:
            zeros += 1
            continue
        if zeros:
            packed.append(0 if zeros == 1 else -zeros)
        zeros = 0
        packed.append(cell)
    return tuple(packed[:-1])


def unpack_cells(packed: tuple[int, ...]) -> tuple[int, ...]:
    """All cells of a heat map, row by row, in units of ``CELL_UNIT_S``."""
    cells: list[int] = []
    for cell in packed:
        cells.extend([cell] if cell >= 0 else [0] * -cell)
    return tuple(cells)
