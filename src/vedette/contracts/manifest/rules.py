"""``rules`` of a manifest: what raises an alert."""

from __future__ import annotations

import re
from datetime import time
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from vedette.contracts.alert import Direction, Severity
from vedette.contracts.base import Contract, Identifier, Line, Polygon, Seconds, TimeZone
from vedette.contracts.manifest.watching import Watching, check_line

#: Constructs whose time may grow without bound with the text: a repeated group that holds a choice or a repetition.
_NESTED_REPEAT = re.compile(r"\([^()]*[+*}|][^()]*\)[+*{]")


def check_pattern(value: str) -> None:
    """Refuse what is no regular expression, or may take for ever.

    Raises:
        ValueError: it is one of these.
    """
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error.msg} at position {error.pos}") from error
    if _NESTED_REPEAT.search(value):
        raise ValueError(f"{value!r} repeats a group that holds a choice or a repetition, which may take for ever")


class Weekday(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class Schedule(Contract):
    """When a rule is armed. A span that ends before it starts runs over midnight."""

    timezone: TimeZone = "UTC"
    days: Annotated[tuple[Weekday, ...], Field(min_length=1)] = tuple(Weekday)
    start: Annotated[time, Field(description="Local time, HH:MM.")] = time(0, 0)
    end: Annotated[time, Field(description="Local time, HH:MM; 00:00 is the end of the day.")] = time(0, 0)


class RuleBase(Watching):
    """What every rule has."""

    severity: Severity = Severity.WARNING
    hold_s: Annotated[Seconds, Field(le=3600, description="A change must last this long to count.")] = 0.0
    cooldown_s: Annotated[Seconds, Field(le=86400, description="Silence after an alert of this rule and camera.")] = 0.0
    schedule: Schedule | None = None
    actions: Annotated[tuple[Identifier, ...] | None, Field(description="All of the manifest where absent.")] = None


class LineCrossed(RuleBase):
    """An object's anchor point goes over a line."""

    type: Literal["line_crossed"]
    line: Line
    direction: Direction | Literal["any"] = "any"
    hysteresis: Annotated[
        float, Field(ge=0, le=0.2, description="Distance from the line, normalised, before a side counts.")
    ] = 0.01

    @model_validator(mode="after")
    def _a_line_with_sides(self) -> Self:
        check_line(self.line, None if self.direction == "any" else self.direction)
        return self


class ZoneEntered(RuleBase):
    """An object comes into the zone, or appears there."""

    type: Literal["zone_entered"]
    zone: Polygon


class ZoneLeft(RuleBase):
    """An object that was in the zone is outside, or gone."""

    type: Literal["zone_left"]
    zone: Polygon


class ZoneOccupied(RuleBase):
    """Someone, whoever it is, has been in the zone without a break."""

    type: Literal["zone_occupied"]
    zone: Polygon
    for_s: Seconds


class Dwell(RuleBase):
    """One and the same object has been in the zone for a time; once per visit."""

    type: Literal["dwell"]
    zone: Polygon
    for_s: Seconds


class Count(RuleBase):
    """The number of objects is above or below a limit for a time; once each time it becomes so."""

    type: Literal["count"]
    zone: Polygon | None = None
    above: Annotated[int | None, Field(ge=0)] = None
    below: Annotated[int | None, Field(ge=1)] = None
    for_s: Seconds = 0.0

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("give either `above` or `below`")
        return self


class CountChanged(RuleBase):
    """The number of objects has changed and stayed so for ``hold_s``; the first count is reported too."""

    type: Literal["count_changed"]
    zone: Polygon | None = None


class NothingSeen(RuleBase):
    """No object at all for a time, while the camera was being analysed."""

    type: Literal["nothing_seen"]
    zone: Polygon | None = None
    for_s: Seconds


class Proximity(RuleBase):
    """An object is nearer to another one than a distance on the ground; once each time they come so near."""

    type: Literal["proximity"]
    to: Annotated[
        tuple[str, ...] | None,
        Field(min_length=1, description="Classes of the other object; every other class where absent."),
    ] = None
    within_m: Annotated[float, Field(gt=0, le=1000, description="Nearer than this, in metres on the ground.")]
    min_speed_mps: Annotated[
        float, Field(ge=0, le=100, description="The other object must move at least so fast, in metres a second.")
    ] = 0.0
    for_s: Annotated[Seconds, Field(le=60, description="For so long, in seconds.")] = 0.0


class CodeRead(RuleBase):
    """A code has been read: once for each pass, with the text that was read most often."""

    type: Literal["code_read"]
    zone: Polygon | None = None
    report: Annotated[
        Literal["read", "unread"],
        Field(
            description="`read`: each text that is read. `unread`: each object that has passed without a read; for "
            "pipelines that follow the objects themselves and read the code as an attribute."
        ),
    ] = "read"
    attribute: Annotated[
        Identifier,
        Field(
            description="Attribute that holds the text: `text` of a model of the family `codes`, or one of the type "
            "`codes`."
        ),
    ] = "text"
    reads: Annotated[
        int, Field(ge=1, le=20, description="Equal reads before it is reported; fewer suffice once it has passed.")
    ] = 2
    pattern: Annotated[
        str | None,
        Field(
            max_length=200, description="Only texts that match this regular expression as a whole; all where absent."
        ),
    ] = None
    again_s: Annotated[
        Seconds, Field(le=3600, description="The same text again within this time belongs to the same pass.")
    ] = 5.0

    @field_validator("pattern")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            check_pattern(value)
        return value


Rule = Annotated[
    LineCrossed
    | ZoneEntered
    | ZoneLeft
    | ZoneOccupied
    | Dwell
    | Count
    | CountChanged
    | NothingSeen
    | Proximity
    | CodeRead,
    Field(discriminator="type"),
]
