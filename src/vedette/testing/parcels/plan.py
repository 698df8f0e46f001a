"""Which parcels come along, when, and what is on them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from vedette.testing.belt.settings import FPS, RAIL_PX, WIDTH_PX

#: Raised whenever the same settings would give other pictures or another truth.
RENDERER_VERSION: Final = 1
#: The belt is empty for so long at first, seconds.
EMPTY_S: Final = 4.0
#: Kinds of codes, in the order in which parcels have them.
KINDS: Final = ("ean13", "qr_code", "code128", "data_matrix")
_STREAM: Final = 31
_GAP_PX: Final = (70, 150)
_MARGIN_PX: Final = 6


class Print(StrEnum):
    """In which state a parcel's label is."""

    GOOD = "good"
    SMEARED = "smeared"
    TORN = "torn"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class ParcelSettings:
    """One piece of footage, 640 by 360 pixels, 25 pictures a second.

    Attributes:
        seed: everything random is drawn from it.
        duration_s: its length, whole seconds.
        unreadable: share of the parcels whose label cannot be read.
        speed_px: how far the belt moves to the right from one picture to the next, whole pixels.
        smear_px: over how many pixels what moves is smeared by the exposure; odd.
        blur_px: standard deviation of the lens's blur.
        noise: standard deviation of the noise, of 255.
    """

    seed: int = 1
    duration_s: int = 60
    unreadable: float = 0.25
    speed_px: int = 4
    smear_px: int = 1
    blur_px: float = 0.4
    noise: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what cannot be rendered."""
        if self.speed_px < 1 or self.smear_px < 1 or self.smear_px % 2 == 0:
            raise ValueError(f"speed_px is 1 or more and smear_px odd; they are {self.speed_px} and {self.smear_px}")

    @property
    def frames(self) -> int:
        """Number of pictures."""
        return self.duration_s * FPS

    @property
    def speed_px_s(self) -> float:
        """Speed of the belt, pixels a second."""
        return float(self.speed_px * FPS)

    @property
    def way_px(self) -> int:
        """How far the belt moves in all."""
        return self.speed_px * self.frames

    @property
    def key(self) -> str:
        """Names the footage: 16 hexadecimal digits over all settings and the renderer's version."""
        text = json.dumps([RENDERER_VERSION, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Parcel:
    """One parcel. Positions are those at time 0, to the left of the picture.

    Attributes:
        number: counts from 1.
        text: what its label says; empty where it has none.
        kind: of the code, a name of ``core.symbologies``.
        state: of the label.
        left_px: left edge at time 0, below 0.
        top_px: upper edge.
        width_px: width.
        height_px: height.
        speed_px_s: to the right.
    """

    number: int
    text: str
    kind: str
    state: Print
    left_px: int
    top_px: int
    width_px: int
    height_px: int
    speed_px_s: float

    @property
    def readable(self) -> bool:
        """Whether its code must be read."""
        return self.state is Print.GOOD

    def time_at(self, x: float) -> float:
        """When its middle is at a share of the picture's width, seconds."""
        return (x * WIDTH_PX - self.left_px - self.width_px / 2) / self.speed_px_s

    @property
    def gone_s(self) -> float:
        """When the last of it leaves the picture."""
        return (WIDTH_PX - self.left_px) / self.speed_px_s


def plan_parcels(settings: ParcelSettings) -> tuple[Parcel, ...]:
    """All parcels that pass wholly, in the order of their passing; the last one is gone before the footage ends."""
    random = np.random.default_rng([settings.seed, _STREAM])
    parcels: list[Parcel] = []
    front = -EMPTY_S * settings.speed_px_s
    debt = 0.5
    while True:
        number = len(parcels) + 1
        width, height = int(random.integers(256, 290)), int(random.integers(150, 215))
        top = int(random.integers(RAIL_PX + _MARGIN_PX, 360 - RAIL_PX - _MARGIN_PX - height))
        left = int(front - width)
        debt += settings.unreadable
        state = Print.GOOD
        if debt >= 1:
            debt -= 1
            state = (Print.SMEARED, Print.TORN, Print.MISSING)[int(random.integers(0, 3))]
        kind = KINDS[(number - 1) % len(KINDS)]
        digits = f"{int(random.integers(0, 10**10)):010d}"
        text = "" if state is Print.MISSING else _text(kind, number, digits)
        parcel = Parcel(number, text, kind, state, left, top, width, height, settings.speed_px_s)
        if parcel.gone_s + 2.0 > settings.duration_s:
            return tuple(parcels)
        parcels.append(parcel)
        front = left - int(random.integers(*_GAP_PX))


def _text(kind: str, number: int, digits: str) -> str:
    if kind == "ean13":
        body = "40" + digits
        check = -sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(body)) % 10
        return f"{body}{check}"
    if kind == "code128":
        return digits[:8]
    return f"PK-{number:03d}-{digits[:5]}"
