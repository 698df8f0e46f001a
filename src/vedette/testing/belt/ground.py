"""The belt without parts, and what stands still beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.testing.belt.settings import HEIGHT_PX, RAIL_PX, WIDTH_PX

Floats = NDArray[np.float32]

_STREAM: Final = 2
_NEUTRAL: Final = 128.0


@dataclass(frozen=True, slots=True)
class Ground:
    """The empty belt as a ring, and the rails.

    Attributes:
        tone: float32 (HEIGHT_PX, length), brightness of the belt, 0..255; the right end joins the left.
        colour: blue and red difference of the belt, 128 is grey.
        rails: float32 (HEIGHT_PX, WIDTH_PX), brightness; only the outer ``RAIL_PX`` rows count.
    """

    tone: Floats
    colour: tuple[float, float]
    rails: Floats


def make_ground(seed: int, length_px: int) -> Ground:
    """Dark rubber with a fine weave, worn in streaks, stained, with a seam where its ends were joined."""
    random = np.random.default_rng([seed, _STREAM])
    tone = _rubber(random, length_px)
    _stain(random, tone)
    _join(random, tone)
    greenish = random.uniform(2.0, 7.0)
    return Ground(tone, (_NEUTRAL - greenish * 0.6, _NEUTRAL - greenish), _rails(random))


def _ring_noise(random: np.random.Generator, length_px: int, sigma: tuple[float, float]) -> Floats:
    """Noise of standard deviation 1, smoothed by ``sigma`` (along, across), whose ends join."""
    pad = min(length_px, int(4 * sigma[0]) + 1)
    noise = random.standard_normal((HEIGHT_PX, length_px), dtype=np.float32)
    wide = np.concatenate((noise[:, -pad:], noise, noise[:, :pad]), axis=1)
    smooth = cv2.GaussianBlur(wide, (0, 0), sigmaX=sigma[0], sigmaY=sigma[1])[:, pad : pad + length_px]
    result: Floats = smooth / smooth.std()
    return result


def _rubber(random: np.random.Generator, length_px: int) -> Floats:
    tone = np.full((HEIGHT_PX, length_px), random.uniform(44, 60), np.float32)
    threads = round(length_px / 7) * 2 * np.pi / length_px  # whole threads around the ring
    along = np.sin(np.arange(length_px, dtype=np.float32) * np.float32(threads))
    across = np.sin(np.arange(HEIGHT_PX, dtype=np.float32) * np.float32(2 * np.pi / 5))
    tone += 2.2 * across[:, None] * along[None, :]
    tone += 2.0 * _ring_noise(random, length_px, (0.8, 0.8))
    tone += 2.4 * _ring_noise(random, length_px, (90.0, 1.6))
    tone += 2.0 * _ring_noise(random, length_px, (40.0, 30.0))
    return tone


def _stain(random: np.random.Generator, tone: Floats) -> None:
    """Oil and crumbs, away from the ends so that nothing has to join."""
    length = tone.shape[1]
    for _ in range(length // 220):
        x, y = int(random.uniform(60, length - 60)), int(random.uniform(RAIL_PX, HEIGHT_PX - RAIL_PX))
        spot = np.zeros((121, 121), np.uint8)
        axes = int(random.uniform(4, 26)), int(random.uniform(3, 16))
        cv2.ellipse(spot, (60, 60), axes, float(random.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
        shape = cv2.GaussianBlur(spot.astype(np.float32), (0, 0), 3.0) * np.float32(random.uniform(-13, 9) / 255)
        top, bottom = max(0, y - 60), min(HEIGHT_PX, y + 61)
        tone[top:bottom, x - 60 : x + 61] += shape[top - y + 60 : bottom - y + 60]
    for _ in range(length // 40):
        x, y = int(random.uniform(4, length - 4)), int(random.uniform(RAIL_PX + 3, HEIGHT_PX - RAIL_PX - 3))
        cv2.circle(tone, (x, y), int(random.integers(0, 2)), float(tone[y, x] + random.uniform(-16, 34)), -1)


def _join(random: np.random.Generator, tone: Floats) -> None:
    """The seam: a slanting line of stitches."""
    x = int(random.uniform(0.3, 0.7) * tone.shape[1])
    for row in range(HEIGHT_PX):
        column = x + row // 4
        tone[row, column : column + 3] -= 11
        if row % 6 < 4:
            tone[row, column + 7 : column + 9] += 13


def _rails(random: np.random.Generator) -> Floats:
    """Two aluminium profiles with bolts; their inner edges throw a shadow on the belt."""
    rails = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
    rows = np.array([96, 118, 132, 126, 112, 104, 100, 60, 36, 92, 128, 140, 134, 120, 108, 100], np.float32)
    profile = np.interp(np.linspace(0, len(rows) - 1, RAIL_PX), np.arange(len(rows)), rows).astype(np.float32)
    profile[-3:] = (62, 34, 22)
    rails[:RAIL_PX] = profile[:, None]
    rails[-RAIL_PX:] = profile[::-1, None]
    rails += cv2.GaussianBlur(random.standard_normal(rails.shape, dtype=np.float32), (0, 0), sigmaX=25, sigmaY=0.6) * 9
    for left in range(40 + int(random.integers(60)), WIDTH_PX, 150):
        for row in (9, HEIGHT_PX - 10):
            cv2.circle(rails, (left, row), 5, 74.0, -1)
            cv2.circle(rails, (left - 1, row - 1), 4, 168.0, -1)
            cv2.circle(rails, (left, row), 2, 60.0, -1)
    return rails
