"""Colours of an attribute: named safety colours, or ranges of one's own."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from vedette.contracts.base import Contract, Normalised

Degrees = Annotated[float, Field(ge=0, le=360, allow_inf_nan=False)]


class SafetyColour(StrEnum):
    """Colours of protective clothing as a camera shows them; docs/pipelines.md lists their ranges."""

    HI_VIS_YELLOW = "hi_vis_yellow"
    HI_VIS_ORANGE = "hi_vis_orange"
    HI_VIS_RED = "hi_vis_red"
    HARD_HAT_YELLOW = "hard_hat_yellow"
    HARD_HAT_ORANGE = "hard_hat_orange"
    HARD_HAT_RED = "hard_hat_red"
    HARD_HAT_BLUE = "hard_hat_blue"
    HARD_HAT_GREEN = "hard_hat_green"
    HARD_HAT_WHITE = "hard_hat_white"


class ColourRange(Contract):
    """A colour of one's own, as a colour picker shows it (HSV)."""

    hue: Annotated[
        tuple[Degrees, Degrees],
        Field(description="From, to, in degrees: 0 red, 60 yellow, 120 green, 240 blue; from > to goes over red."),
    ]
    saturation: Annotated[
        tuple[Normalised, Normalised], Field(description="From, to: 0 grey, 1 as colourful as can be.")
    ] = (0.45, 1.0)
    brightness: Annotated[
        tuple[Normalised, Normalised], Field(description="From, to: 0 black, 1 the brightest a picture can show.")
    ] = (0.4, 1.0)

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name, (low, high) in (("saturation", self.saturation), ("brightness", self.brightness)):
            if low >= high:
                raise ValueError(f"{name} goes from {low:g} to {high:g}; the first number must be the smaller one")
        if self.hue[0] == self.hue[1]:
            raise ValueError(
                f"hue goes from {self.hue[0]:g} to {self.hue[1]:g}, which is no range; any hue is [0, 360]"
            )
        return self


def _kind(value: Any) -> str:
    """Which of the two a colour is meant to be, so that a mistake in one is not explained as the other."""
    return "range" if isinstance(value, dict | ColourRange) else "name"


#: A named colour, or a range of one's own.
Colour = Annotated[Annotated[SafetyColour, Tag("name")] | Annotated[ColourRange, Tag("range")], Discriminator(_kind)]
