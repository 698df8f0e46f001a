"""What every contract shares: a strict, frozen model and the identifiers that appear in topics and file names."""

from __future__ import annotations

from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from vedette.contracts.topics import NOT_CAMERAS

IDENTIFIER_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"

#: Name of a camera, rule, pipeline, model, action or application. It becomes part of MQTT topics and of
#: file names, so it holds nothing that either could misread.
Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER_PATTERN)]


def _not_reserved(value: str) -> str:
    if value in NOT_CAMERAS:
        raise ValueError(f"{value!r} is the name of other local topics; call the camera {value}-1, for example")
    return value


#: Name of a camera: a level of local topics, beside those of models and of applications' own code.
CameraName = Annotated[Identifier, AfterValidator(_not_reserved)]

#: A coordinate as a share of the picture's width or height, 0..1, origin top left.
Normalised = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]

#: A point ``(x, y)``, normalised.
Point = tuple[Normalised, Normalised]

#: The corners of an area, in order around it, normalised.
Polygon = Annotated[tuple[Point, ...], Field(min_length=3, max_length=64)]

#: A line, normalised.
Line = Annotated[tuple[Point, Point], Field(description="From one end to the other, normalised.")]

#: SHA-256 of a file's content, hexadecimal.
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

#: A few words for people.
Title = Annotated[str, Field(max_length=200)]

#: A duration in seconds.
Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {value!r}; use an IANA name such as Europe/Berlin") from error
    return value


#: An IANA time zone, such as Europe/Berlin.
TimeZone = Annotated[str, AfterValidator(_known_zone)]

#: A detector's confidence.
Confidence = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class Contract(BaseModel):
    """Base of everything that crosses a process or the network: unknown fields are mistakes, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def mistakes(error: ValidationError, whole: str = "") -> list[str]:
    """What does not fit a contract, ``field: what is wrong`` each.

    Args:
        error: of the validation.
        whole: stands for the field where the value as a whole is wrong.
    """
    return [f"{'.'.join(map(str, one['loc'])) or whole}: {one['msg']}" for one in error.errors()]
