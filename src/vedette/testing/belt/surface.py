"""The surface of metal: the grain it was ground with, and what happens to good parts, too.

Grain, oil, specks and the engraved number are on good and bad parts alike: a detector must not take them for damage.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.testing.belt.settings import Kind

Floats = NDArray[np.float32]

_BANK_PX: Final = 2048
#: A look-up reaches no farther than this from where it starts.
_MARGIN_PX: Final = 400.0
#: "V-204" in strokes: points in units of half a character's width and height, one list for each stroke.
_MARK: Final = (
    ((0, 0), (1, 4), (2, 0)),
    ((3.4, 2), (4.6, 2)),
    ((6, 0.6), (7, 0), (8, 0.6), (8, 1.4), (6, 4), (8, 4)),
    ((9.5, 0), (11.5, 0), (11.5, 4), (9.5, 4), (9.5, 0)),
    ((14.5, 4), (14.5, 0), (13, 2.7), (15.2, 2.7)),
)
_MARK_PLACE: Final = (-15.0, 20.0)
_MARK_UNIT_PX: Final = 2.0
_MARK_SCALE: Final = 4


@dataclass(slots=True)
class Canvas:
    """What a part's surface adds to its shape, filled step by step.

    Attributes:
        x: float32 (n, n), the part's coordinates of each sample.
        y: float32 (n, n).
        scale: samples a pixel.
        height: float32 (n, n), added height, pixels: dents and grooves.
        tone: float32 (n, n), brightness as a factor of the metal's own.
    """

    x: Floats
    y: Floats
    scale: int
    height: Floats
    tone: Floats


@cache
def _grain_bank() -> Floats:
    """Ground metal, long fine lines along x; float32, mean 0, standard deviation 1. The same for every part."""
    random = np.random.default_rng(20)
    bank: Floats = _smooth(random, (8, 1), (9.0, 1.4)) + np.float32(0.7) * _smooth(random, (16, 4), (10.0, 2.25))
    bank /= bank.std()
    return bank


@cache
def _cloud_bank() -> Floats:
    """Soft clouds for oil and wear; float32, mean 0, standard deviation 1."""
    return _smooth(np.random.default_rng(21), (8, 8), (5.0, 5.0))


def _smooth(random: np.random.Generator, step: tuple[int, int], sigma: tuple[float, float]) -> Floats:
    """Smooth noise: drawn and blurred at every ``step``-th sample along x and y, then stretched to the bank's size."""
    noise = random.standard_normal((_BANK_PX // step[1], _BANK_PX // step[0]), dtype=np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=sigma[0], sigmaY=sigma[1])
    stretched: Floats = cv2.resize(noise, (_BANK_PX, _BANK_PX), interpolation=cv2.INTER_LINEAR)
    stretched /= stretched.std()
    return stretched


def grain(canvas: Canvas, kind: Kind, random: np.random.Generator) -> Floats:
    """The ground surface: along the long side of a bracket, in rings on what was turned on a lathe."""
    left, top = (float(value) for value in random.uniform(_MARGIN_PX, _BANK_PX - _MARGIN_PX, 2))
    step = np.float32(canvas.scale)
    if kind in (Kind.BRACKET, Kind.NUT):
        u, v = canvas.x * step, canvas.y * step
    else:
        u, v = np.arctan2(canvas.y, canvas.x) * np.float32(30) * step, np.hypot(canvas.x, canvas.y) * step
    return _look_up(_grain_bank(), u, v, left, top)


def oil(canvas: Canvas, random: np.random.Generator) -> None:
    """A soft darker film over a part of the surface; on about every second part."""
    if random.random() < 0.5:
        return
    left, top = (float(value) for value in random.uniform(_MARGIN_PX, _BANK_PX - _MARGIN_PX, 2))
    cloud = _look_up(_cloud_bank(), canvas.x * np.float32(canvas.scale), canvas.y * np.float32(canvas.scale), left, top)
    film = 1.0 / (1.0 + np.exp(-(cloud - np.float32(random.uniform(0.2, 1.0))) * 3.0))
    canvas.tone *= 1.0 - np.float32(random.uniform(0.06, 0.20)) * film


def specks(canvas: Canvas, random: np.random.Generator) -> None:
    """A few grains of dust, smaller than any hole."""
    side = canvas.tone.shape[0]
    for _ in range(int(random.integers(0, 10))):
        column, row = (int(value) for value in random.uniform(0.2, 0.8, 2) * side)
        radius = max(1, round(random.uniform(0.3, 0.8) * canvas.scale))
        spot = np.zeros(canvas.tone.shape, np.uint8)
        cv2.circle(spot, (column, row), radius, 255, -1, cv2.LINE_AA)
        canvas.tone += spot * np.float32(random.choice((-0.4, -0.25, 0.25)) / 255)


def engrave(canvas: Canvas, kind: Kind) -> None:
    """The number that is lasered into every bracket, below the slot."""
    if kind is not Kind.BRACKET:
        return
    text = _mark()
    side = text.shape[0]
    left, top = canvas.x * _MARK_SCALE + side / 2, canvas.y * _MARK_SCALE + side / 2
    drawn = cv2.remap(text, left, top, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    canvas.tone *= 1.0 - np.float32(0.30) * drawn


@cache
def _mark() -> Floats:
    """The number, float32 0..1, the part's centre in the middle, ``_MARK_SCALE`` samples a pixel."""
    side = int(120 * _MARK_SCALE)
    image = np.zeros((side, side), np.uint8)
    for stroke in _MARK:
        points = np.asarray(stroke, np.float64) * _MARK_UNIT_PX + np.asarray(_MARK_PLACE)
        here = np.rint(points * _MARK_SCALE + side / 2).astype(np.int32)
        cv2.polylines(image, [here.reshape(-1, 1, 2)], False, 255, int(0.9 * _MARK_SCALE), cv2.LINE_AA)
    result: Floats = image.astype(np.float32) / np.float32(255)
    return result


def _look_up(bank: Floats, u: Floats, v: Floats, left: float, top: float) -> Floats:
    found: Floats = cv2.remap(bank, u + np.float32(left), v + np.float32(top), cv2.INTER_LINEAR)
    return found
