"""What rules and insights have in common: which objects they are about, and the point of a box that is tested."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from vedette.contracts.alert import Direction
from vedette.contracts.base import Confidence, Contract, Identifier, Point, Title


class Anchor(StrEnum):
    """The point of a box that is tested against zones and lines."""

    BOTTOM_CENTER = "bottom_center"
    CENTER = "center"
    TOP_CENTER = "top_center"


class Watching(Contract):
    """Which objects of which cameras something is about."""

    title: Title = ""
    pipeline: Annotated[Identifier | None, Field(description="May be left out where there is only one.")] = None
    cameras: Annotated[tuple[Identifier, ...] | None, Field(description="The pipeline's cameras where absent.")] = None
    labels: Annotated[tuple[str, ...] | None, Field(description="Classes it is about; all where absent.")] = None
    min_confidence: Confidence = 0.0
    where: Annotated[
        dict[Identifier, tuple[str, ...]] | None,
        Field(description="Attribute of the pipeline → values: only objects that have one of them count."),
    ] = None
    anchor: Anchor = Anchor.BOTTOM_CENTER


def check_line(line: tuple[Point, Point], direction: Direction | None) -> None:
    """See that a line can be crossed in a direction.

    Raises:
        ValueError: its ends are the same point, or the direction runs along it.
    """
    (x1, y1), (x2, y2) = line
    if (x1, y1) == (x2, y2):
        raise ValueError("the two ends of the line are the same point")
    if x1 == x2 and direction in (Direction.TOP_TO_BOTTOM, Direction.BOTTOM_TO_TOP):
        raise ValueError("a vertical line is crossed left_to_right or right_to_left")
    if y1 == y2 and direction in (Direction.LEFT_TO_RIGHT, Direction.RIGHT_TO_LEFT):
        raise ValueError("a horizontal line is crossed top_to_bottom or bottom_to_top")
