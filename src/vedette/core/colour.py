"""What share of a part of an object has a certain colour, and whether that can be judged at all.

Hue and chroma of HSV depend on the colour planes alone: red, green and blue differ from luma by fixed multiples of U
and V (ITU-R BT.601), so a table of 65,536 entries gives both without converting a picture. Saturation is chroma over
the brightest channel, which neither exposure nor shade changes: gamma-encoded values are all multiplied by the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.manifest import ColourRange
from vedette.core.part import Part
from vedette.core.pixels import Pixels

#: Samples looked at in one part, at most; every second, third ... one of a larger part.
MAX_SAMPLES: Final = 4096
#: A part with fewer samples of colour says nothing.
LEAST_SAMPLES: Final = 24
#: A sample with the colour's hue and saturation, but only this share of its least brightness, may be it in the shade.
SHADE: Final = 0.6
#: A channel this bright is clipped. What is clipped looks paler than it is, and its hue goes astray by up to so many
#: degrees: it may be the colour where it is almost white, or where its hue is not far off.
CLIPPED: Final = 0.98
WASHED_OUT: Final = 0.25
ASTRAY: Final = 30.0
#: Where neither the object nor the picture has colour planes that vary by this much, all is grey: a night picture.
LEAST_COLOUR: Final = 8
#: Luma, 0..1, below which the ground beside an object is too dark for anyone to say what colour is missing.
LEAST_LIGHT: Final = 0.15
#: The ground beside an object: this lower share of its box.
_GROUND: Final = 0.7
#: A colour must be so many times as frequent in the part as beside the object.
BACKGROUND: Final = 2.0
#: Less confidence than this is no answer.
LEAST_CONFIDENCE: Final = 0.1
_PICTURE_SAMPLES: Final = 2304


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of a part's samples, 0..1.

    Attributes:
        match: have the colour.
        unsure: may have it: in the shade, or washed out.
        samples: how many were looked at.
    """

    match: float
    unsure: float
    samples: int


class ColourMeter:
    """Measures the share of some colours. Holds no state between pictures, so threads share it.

    Args:
        colours: at most eight.
    """

    def __init__(self, colours: Sequence[ColourRange]) -> None:
        hue = _tables().hue
        self._bits = np.zeros(hue.shape, np.uint8)
        self._near = np.zeros(hue.shape, np.bool_)
        for bit, colour in enumerate(colours):
            low, high = colour.hue
            width = (high - low) % 360 or 360.0
            beyond = (hue - low) % 360
            self._bits |= (beyond <= width).astype(np.uint8) << np.uint8(bit)
            self._near |= (beyond <= width + ASTRAY) | (beyond >= 360 - ASTRAY)
        self._colours = tuple(colours)

    def measure(self, pixels: Pixels) -> Shares:
        """Shares of the colours in a picture, or a part of one.

        Args:
            pixels: rows of any stride.
        """
        rows, columns = pixels.u.shape
        step = max(1, math.ceil(math.sqrt(rows * columns / MAX_SAMPLES)))
        code = pixels.u[::step, ::step].astype(np.uint16) << 8
        code |= pixels.v[::step, ::step]
        luma = pixels.y[:: 2 * step, :: 2 * step].astype(np.float32)
        tables = _tables()
        if pixels.full_range:
            luma *= np.float32(1 / 255)
            scale = np.float32(1 / 255)
        else:
            luma -= 16
            luma *= np.float32(1 / 219)
            scale = np.float32(1 / 224)
        brightness = np.clip(luma + tables.top[code] * scale, 1e-3, 1.0)
        saturation = np.minimum(tables.chroma[code] * scale / brightness, np.float32(1.0))
        bits = self._bits[code]
        match = np.zeros(code.shape, np.bool_)
        unsure = brightness >= CLIPPED
        unsure &= (saturation < WASHED_OUT) | self._near[code]
        for bit, colour in enumerate(self._colours):
            right = (bits & (1 << bit)) != 0
            right &= (saturation >= colour.saturation[0]) & (saturation <= colour.saturation[1])
            right &= brightness <= colour.brightness[1]
            match |= right & (brightness >= colour.brightness[0])
            unsure |= right & (brightness >= SHADE * colour.brightness[0])
        unsure &= ~match
        return Shares(float(match.mean()), float(unsure.mean()), match.size)


class ColourJudge:
    """Says whether a part of an object has one of some colours; implements ``vedette.ports.detector.Observer``.

    A part has a colour where its share reaches ``min_share`` and is twice the share beside the object. It has not where
    the share, with all that might be the colour in shade or glare, stays below. It is not said that a colour is missing
    where the picture is grey throughout or the ground beside the object is dark. Between all that nothing is said. The
    confidence is the distance from ``min_share``, relative to it: 1 for twice as much and for nothing at all.

    Args:
        colours: at most eight.
        min_share: of the part's area.
        present: value of a part that has one of the colours.
        absent: value of a part that has none.
    """

    def __init__(
        self, colours: Sequence[ColourRange], min_share: float, present: str = "yes", absent: str = "no"
    ) -> None:
        self._meter = ColourMeter(colours)
        self._least = min_share
        self._present = present
        self._absent = absent

    def observe(self, part: Part) -> tuple[str, float] | None:
        """Value and confidence; None where it cannot be judged."""
        shares = self._meter.measure(part.pixels)
        if shares.samples < LEAST_SAMPLES:
            return None
        above = min(1.0, shares.match / self._least - 1.0)
        if above >= 0.0:
            return (self._present, above) if above >= LEAST_CONFIDENCE and self._stands_out(part, shares) else None
        below = 1.0 - (shares.match + shares.unsure) / self._least
        if below < LEAST_CONFIDENCE or light_beside(part) < LEAST_LIGHT:
            return None
        if not has_colour(part.object()) and not has_colour(part.picture):
            return None
        return self._absent, below

    def _stands_out(self, part: Part, shares: Shares) -> bool:
        """Whether the colour is the object's rather than that of a wall, a rack or a neighbour around it."""
        found = [self._meter.measure(strip) for strip in part.beside(part.y, part.y + part.pixels.height)]
        around = sum(each.match * each.samples for each in found) / max(1, sum(each.samples for each in found))
        return shares.match >= BACKGROUND * around


def has_colour(picture: Pixels) -> bool:
    """Whether a picture has colours, other than one tint throughout."""
    return any(_spread(plane) >= LEAST_COLOUR for plane in (picture.u, picture.v))


def light_beside(part: Part) -> float:
    """How bright the ground beside an object is, luma 0..1; of the part itself where the object fills the picture."""
    _, y1, _, y2 = part.box
    strips = part.beside(y1 + _GROUND * (y2 - y1), y2) or (part.pixels,)
    samples = np.concatenate([_thinned(strip.y).ravel() for strip in strips])
    value = float(np.partition(samples, samples.size * 3 // 4)[samples.size * 3 // 4])
    return value / 255 if part.picture.full_range else (value - 16) / 219


def _spread(plane: NDArray[np.uint8]) -> int:
    """Difference between almost the largest and almost the smallest value."""
    samples = _thinned(plane).ravel()
    edge = samples.size // 200
    ordered = np.partition(samples, (edge, samples.size - 1 - edge))
    return int(ordered[samples.size - 1 - edge]) - int(ordered[edge])


def _thinned(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    step = max(1, math.ceil(math.sqrt(plane.size / _PICTURE_SAMPLES)))
    return plane[::step, ::step]


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """By ``u << 8 | v``, float32 (65536,): what U and V alone say of a colour.

    Attributes:
        hue: degrees, 0..360.
        chroma: difference between the largest and the smallest of red, green and blue, in steps of U and V.
        top: difference between the largest of them and luma, likewise.
    """

    hue: NDArray[np.float32]
    chroma: NDArray[np.float32]
    top: NDArray[np.float32]


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    steps = np.arange(256, dtype=np.float32) - 128
    u, v = np.meshgrid(steps, steps, indexing="ij")
    # BT.601: R = Y + 1.402 V, G = Y - 0.344136 U - 0.714136 V, B = Y + 1.772 U, for U and V of -0.5..0.5.
    red, green, blue = 1.402 * v, -0.344136 * u - 0.714136 * v, 1.772 * u
    channels = np.stack((red, green, blue))
    top, chroma = channels.max(axis=0), channels.max(axis=0) - channels.min(axis=0)
    # HSV (A. R. Smith, "Color Gamut Transform Pairs", SIGGRAPH 1978): which channel leads, and how far the next is.
    lead = channels.argmax(axis=0)
    run: NDArray[Any] = np.choose(lead, (green - blue, blue - red, red - green)) / np.maximum(chroma, 1e-6)
    hue = (run + 2 * lead) % 6 * 60
    return _Tables(hue.ravel().astype(np.float32), chroma.ravel().astype(np.float32), top.ravel().astype(np.float32))
