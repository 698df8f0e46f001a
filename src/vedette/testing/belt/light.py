"""The light over the belt at any picture of a loop, and where the lamp is seen in the metal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.testing.belt.settings import FPS, HEIGHT_PX, WIDTH_PX, BeltSettings

Floats = NDArray[np.float32]

_STREAM: Final = 3
#: A shadow is so wide, and takes so long to pass.
_SHADOW_PX: Final = 420
_SHADOW_S: Final = 2.4
_SHADOW_EVERY_S: Final = 14.0
_BANDS: Final = 1.7


@dataclass(frozen=True, slots=True)
class _Passer:
    """Someone walks by: the shadow's first picture, and whether it moves to the left."""

    frame: int
    left: bool


class Lighting:
    """Brightness of every pixel for every picture. Ends a loop as it began.

    Args:
        settings: for ``light`` and the seed.

    Attributes:
        sweep: float32 (HEIGHT_PX, WIDTH_PX), -1..1, how the lamp stands to the metal there; multiplies the gloss.
    """

    def __init__(self, settings: BeltSettings) -> None:
        random = np.random.default_rng([settings.seed, _STREAM])
        self._light = settings.light
        self._frames = settings.frames
        self._vignette = _vignette(settings.light.vignette)
        self._drift = [(int(random.integers(1, 4)), float(random.uniform(0, 6.28))) for _ in range(2)]
        self._flicker = max(1, round(settings.frames * 0.037)), float(random.uniform(0, 6.28))
        self._shadow = _shadow(random, settings.light.shadow)
        self._passers = self._plan(random, settings)
        self._map = np.empty_like(self._vignette)
        row, column = np.mgrid[:HEIGHT_PX, :WIDTH_PX].astype(np.float32)
        slant = float(random.uniform(-0.25, 0.25))
        self.sweep: Floats = np.tanh(
            (np.float32(0.5) - column / WIDTH_PX + np.float32(slant) * (row / HEIGHT_PX - np.float32(0.5))) * 2.2
        ).astype(np.float32)

    def gain(self, number: int) -> Floats:
        """What brightness is multiplied by in a picture, float32 (HEIGHT_PX, WIDTH_PX); valid until the next call."""
        turn = 2 * np.pi * number / self._frames
        drift = sum(np.sin(cycles * turn + phase) for cycles, phase in self._drift) / len(self._drift)
        cycles, phase = self._flicker
        band = np.arange(HEIGHT_PX) * (2 * np.pi * _BANDS / HEIGHT_PX)
        rows = 1 + self._light.flicker * np.sin(cycles * turn + phase + band)
        rows *= self._light.gain * (1 + self._light.drift * drift)
        np.multiply(self._vignette, rows.astype(np.float32)[:, None], out=self._map)
        for passer in self._passers:
            self._darken(number - passer.frame, passer.left)
        return self._map

    def _darken(self, since: int, left: bool) -> None:
        """Lay the shadow over the picture where it is ``since`` pictures after its start."""
        share = since / (_SHADOW_S * FPS)
        if not 0 <= share < 1:
            return
        place = round(share * (WIDTH_PX + _SHADOW_PX))
        place = WIDTH_PX - place if left else place - _SHADOW_PX
        begin, end = max(0, place), min(WIDTH_PX, place + _SHADOW_PX)
        if end > begin:
            self._map[:, begin:end] *= self._shadow[:, begin - place : end - place]

    def _plan(self, random: np.random.Generator, settings: BeltSettings) -> tuple[_Passer, ...]:
        if settings.light.shadow <= 0:
            return ()
        found, t_s = [], random.uniform(2.0, _SHADOW_EVERY_S)
        while t_s + _SHADOW_S < settings.duration_s:
            found.append(_Passer(int(t_s * FPS), bool(random.random() < 0.5)))
            t_s += _SHADOW_S + random.uniform(0.5, 1.5) * _SHADOW_EVERY_S
        return tuple(found)


def _vignette(strength: float) -> Floats:
    row, column = np.mgrid[:HEIGHT_PX, :WIDTH_PX].astype(np.float32)
    x, y = column / WIDTH_PX * 2 - 1, row / HEIGHT_PX * 2 - 1
    result: Floats = (1.06 - np.float32(strength) * (0.62 * x**2 + 0.38 * y**2)).astype(np.float32)
    return result


def _shadow(random: np.random.Generator, depth: float) -> Floats:
    """A person's soft outline, float32 (HEIGHT_PX, _SHADOW_PX), 1 at its left and right ends."""
    shape = np.zeros((HEIGHT_PX, _SHADOW_PX), np.float32)
    lean = int(random.integers(-60, 60))
    cv2.ellipse(shape, (_SHADOW_PX // 2, HEIGHT_PX // 3), (95, 150), lean / 4, 0, 360, 1.0, -1)
    cv2.line(shape, (_SHADOW_PX // 2, HEIGHT_PX // 2), (_SHADOW_PX // 2 + lean, HEIGHT_PX), 0.9, 90)
    shape = cv2.GaussianBlur(shape, (0, 0), 26)
    edge = np.minimum(np.arange(_SHADOW_PX), np.arange(_SHADOW_PX)[::-1]).astype(np.float32)
    result: Floats = 1 - np.float32(depth) * shape * np.clip(edge / 40, 0, 1)
    return result
