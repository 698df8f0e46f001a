"""What is rendered: the belt, its light, its camera. All of it is part of the footage's identity."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Final

#: Raised whenever the same settings would give other pictures or another truth; cached footage is made anew then.
RENDERER_VERSION: Final = 1

WIDTH_PX: Final = 640
HEIGHT_PX: Final = 360
FPS: Final = 25
#: Rows of the picture that show the rails beside the belt, at the top and at the bottom.
RAIL_PX: Final = 30
#: The belt moves by a whole number of these in a picture, so that pictures are cut out of prepared strips.
PHASES: Final = 4


class Kind(StrEnum):
    """What a part is."""

    BRACKET = "bracket"
    WASHER = "washer"
    NUT = "nut"
    GEAR = "gear"


class Label(StrEnum):
    """What is right or wrong with a part: the classes of the detector, in its order."""

    GOOD = "good"
    SCRATCH = "scratch"
    DENT = "dent"
    MISSING_HOLE = "missing_hole"
    WRONG_PART = "wrong_part"


DEFECTS: Final = tuple(label for label in Label if label is not Label.GOOD)


@dataclass(frozen=True, slots=True)
class Light:
    """How the light changes. Gains are shares of the brightness; every change ends where it began after a loop.

    Attributes:
        gain: brightness of the whole picture.
        drift: slow change, up and down by this share.
        flicker: of lamps on 50 Hz mains: bands that wander through the picture, up and down by this share.
        shadow: how dark the shadow of someone passing is; 0 for none.
        vignette: how much darker the corners are.
    """

    gain: float = 1.0
    drift: float = 0.08
    flicker: float = 0.02
    shadow: float = 0.32
    vignette: float = 0.28


@dataclass(frozen=True, slots=True)
class Camera:
    """What lens and sensor do.

    Attributes:
        noise: standard deviation of the noise in a mid-grey pixel, of 255.
        exposure_s: exposure time: what moves is smeared by speed times this.
        blur_px: standard deviation of the lens's blur, pixels.
    """

    noise: float = 2.4
    exposure_s: float = 0.005
    blur_px: float = 0.55


@dataclass(frozen=True, slots=True)
class BeltSettings:
    """One loop of footage.

    Attributes:
        seed: everything random is drawn from it.
        duration_s: length of the loop, whole seconds.
        speed_px: how far the belt moves from one picture to the next, pixels; a multiple of a quarter.
        kind: what the line is set up for; any other kind is a wrong part.
        defective: share of the parts that are defective, spread evenly over the kinds of defects.
        gap_px: least and greatest distance of the centres of neighbouring parts, pixels.
        line: where the inspection line is, share of the picture's width.
        ejector: where the ejector is, in the same measure; above 1, it is outside of the picture.
        light: how the light changes.
        camera: what lens and sensor do.

    Raises:
        ValueError: a loop that would not close, or in which no part fits.
    """

    seed: int = 1
    duration_s: int = 60
    speed_px: float = 5.25
    kind: Kind = Kind.BRACKET
    defective: float = 0.4
    gap_px: tuple[int, int] = (150, 240)
    line: float = 0.72
    ejector: float = 1.25
    light: Light = field(default_factory=Light)
    camera: Camera = field(default_factory=Camera)

    def __post_init__(self) -> None:
        """Refuse loops that cannot be rendered."""
        steps = self.speed_px * PHASES
        if steps <= 0 or steps != int(steps):
            raise ValueError(f"speed_px must be a multiple of 1/{PHASES} above 0; it is {self.speed_px}")
        if self.loop_px != int(self.loop_px):
            raise ValueError(f"the loop must be a whole number of pixels long; it is {self.loop_px}")
        if self.loop_px < 2 * WIDTH_PX:
            raise ValueError(f"the loop is shorter than two pictures: {self.loop_px} pixels")
        if not 0 < self.line < self.ejector:
            raise ValueError(f"the ejector stands beyond the line; they are at {self.ejector} and {self.line}")
        if not 0 < self.gap_px[0] <= self.gap_px[1]:
            raise ValueError(f"gap_px must be two numbers in order; it is {self.gap_px}")

    @property
    def frames(self) -> int:
        """Pictures of a loop."""
        return self.duration_s * FPS

    @property
    def speed_px_s(self) -> float:
        """Speed of the belt, pixels a second."""
        return self.speed_px * FPS

    @property
    def loop_px(self) -> float:
        """Length of the belt that passes in a loop, pixels."""
        return self.speed_px * self.frames

    @property
    def line_px(self) -> float:
        """Column of the inspection line."""
        return self.line * WIDTH_PX

    @property
    def ejector_px(self) -> float:
        """Column of the ejector."""
        return self.ejector * WIDTH_PX

    @property
    def key(self) -> str:
        """Names the footage: 16 hexadecimal digits over all settings and the renderer's version."""
        text = json.dumps([RENDERER_VERSION, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
