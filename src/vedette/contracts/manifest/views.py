"""What part of a picture a pipeline looks at, how closely, and when it need not look at all."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vedette.contracts.base import Contract, Seconds


class Tiles(Contract):
    """The picture in overlapping parts, each at the model's full resolution: for objects that are small in it."""

    columns: Annotated[int, Field(ge=1, le=8, description="Parts side by side.")] = 2
    rows: Annotated[int, Field(ge=1, le=8, description="Parts one above the other.")] = 2
    overlap: Annotated[
        float,
        Field(
            ge=0,
            le=0.5,
            description="Share of a part's side that its neighbour sees too; more than the largest object that the "
            "parts are for.",
        ),
    ] = 0.2
    whole: Annotated[
        bool, Field(description="The picture is analysed as a whole, too, for objects larger than a part.")
    ] = True


class Motion(Contract):
    """Pictures in which nothing has moved since the last analysed one are not analysed: what was seen still holds."""

    floor_s: Annotated[
        Seconds, Field(gt=0, le=60, description="Analysed at least this often, whatever moves, in seconds.")
    ] = 2.0
    threshold: Annotated[
        float, Field(ge=1, le=100, description="Change of brightness that counts, of 255, mean of a cell.")
    ] = 6.0
    min_area: Annotated[
        float,
        Field(
            ge=0, le=0.5, description="Share of the picture's cells (64 by 36) that must have changed, at least one."
        ),
    ] = 0.0
