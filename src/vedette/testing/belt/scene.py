"""The belt with its parts: strips prepared once, pictures cut out of them.

Everything on the belt moves as one, so it is drawn once, onto a ring as long as the way the belt makes in a loop. A
picture is a window of that ring times the light of the moment, plus what the lamp adds to the metal at that place,
plus noise: six passes over the pixels, about a millisecond on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.testing.belt.ground import Ground, make_ground
from vedette.testing.belt.light import Lighting
from vedette.testing.belt.schedule import PlannedPart, make_schedule
from vedette.testing.belt.settings import HEIGHT_PX, PHASES, RAIL_PX, WIDTH_PX, BeltSettings
from vedette.testing.belt.sprite import HALF_PX, Sprite, draw_part

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
_Number = TypeVar("_Number", np.uint8, np.int16)

_NOISE_STREAM: Final = 4
_NOISE_SPARE_PX: Final = 256
#: Limited range, BT.601: what cameras send.
_BLACK, _SPAN = 16.0, 219.0
_MID_GREY: Final = 128.0
_GREY: Final = 128


class Belt:
    """One loop of footage, picture by picture, in any order.

    Args:
        settings: what to render; the same settings give the same bytes.
        progress: called with the share that is prepared, 0..1.
        parts: put onto the belt instead of the planned ones; for tests that want an empty one.
    """

    def __init__(
        self,
        settings: BeltSettings,
        *,
        progress: Callable[[float], None] = lambda _share: None,
        parts: tuple[PlannedPart, ...] | None = None,
    ) -> None:
        self.settings = settings
        self._length = int(settings.loop_px)
        self._lighting = Lighting(settings)
        planned = make_schedule(settings) if parts is None else parts
        ground = make_ground(settings.seed, self._length)
        strips = _Strips(ground, self._length)
        for count, part in enumerate(planned, 1):
            strips.lay(part, draw_part(part))
            progress(count / len(planned))
        self._tone, self._gloss = strips.finished(settings)
        self._chroma = strips.chroma()
        self._rails = _limited(cv2.GaussianBlur(ground.rails, (0, 0), settings.camera.blur_px))
        self._noise = _noise_bank(settings)
        self._canvas = np.empty((HEIGHT_PX, WIDTH_PX), np.uint8)
        self._canvas[:] = self._rails
        self._light, self._extra = (np.empty((HEIGHT_PX, WIDTH_PX), np.float32) for _ in range(2))

    def frame(self, number: int) -> Image:
        """One picture.

        Args:
            number: from 0; numbers beyond a loop's end go on with its beginning.

        Returns:
            uint8 (HEIGHT_PX * 3 // 2, WIDTH_PX), I420: the rows of Y, then those of U and V at half the size, two to
            a row; BT.601, limited range.
        """
        number %= self.settings.frames
        out = np.empty((HEIGHT_PX * 3 // 2, WIDTH_PX), np.uint8)
        steps = round(number * self.settings.speed_px * PHASES)
        # Column c shows the belt at c - way: the window starts at what is missing to a whole pixel.
        phase, begin = -steps % PHASES, -steps // PHASES % self._length
        inner = slice(RAIL_PX, HEIGHT_PX - RAIL_PX)
        self._canvas[inner] = self._tone[phase, inner, begin : begin + WIDTH_PX]
        light, extra = self._light, self._extra
        cv2.multiply(self._canvas, self._lighting.gain(number), dst=light, dtype=cv2.CV_32F)
        cv2.multiply(self._gloss[phase, :, begin : begin + WIDTH_PX], self._lighting.sweep, dst=extra, dtype=cv2.CV_32F)
        cv2.add(light, extra, dst=light)
        if self.settings.camera.noise > 0:
            self._add_noise(number, light, extra)
        out[:HEIGHT_PX] = cv2.convertScaleAbs(light)
        self._add_colour(out, begin)
        return out

    def _add_noise(self, number: int, light: Floats, extra: Floats) -> None:
        """More noise where it is brighter, as photons come: a third of it even in the dark."""
        random = np.random.default_rng([self.settings.seed, _NOISE_STREAM, number])
        top, left = (int(value) for value in random.integers(0, _NOISE_SPARE_PX, 2))
        bank = self._noise[top : top + HEIGHT_PX, left : left + WIDTH_PX]
        strength = self.settings.camera.noise
        np.multiply(light, np.float32(0.67 * strength / _MID_GREY), out=extra)
        extra += np.float32(0.33 * strength)
        extra *= bank
        cv2.add(light, extra, dst=light)

    def _add_colour(self, out: Image, begin: int) -> None:
        half = HEIGHT_PX // 2, WIDTH_PX // 2
        for index, strip in enumerate(self._chroma):
            rows = HEIGHT_PX + index * half[0] // 2
            plane = out[rows : rows + half[0] // 2].reshape(half)
            plane[:] = strip[:, begin : begin + WIDTH_PX : 2]
            plane[: RAIL_PX // 2] = _GREY
            plane[half[0] - RAIL_PX // 2 :] = _GREY


class _Strips:
    """The ring as it is drawn on: ``PHASES`` samples a pixel along the belt."""

    def __init__(self, ground: Ground, length: int) -> None:
        self._length = length
        wide = length * PHASES
        ring = np.concatenate((ground.tone[:, -1:], ground.tone, ground.tone[:, :1]), axis=1)
        self._tone = cv2.resize(ring, (wide + 2 * PHASES, HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
        self._tone = np.ascontiguousarray(self._tone[:, PHASES : PHASES + wide])
        self._gloss = np.zeros_like(self._tone)
        self._cover = np.zeros((HEIGHT_PX // 2, length), np.float32)
        self._colour = ground.colour

    def lay(self, part: PlannedPart, sprite: Sprite) -> None:
        """Put a part onto the belt."""
        left = round((part.start_px - HALF_PX) * PHASES) % (self._length * PHASES)
        columns = np.arange(left, left + sprite.tone.shape[1]) % (self._length * PHASES)
        top = int(part.y_px) - HALF_PX
        rows = slice(max(0, top), min(HEIGHT_PX, top + 2 * HALF_PX))
        cut = slice(rows.start - top, rows.stop - top)
        under = self._tone[rows, columns] * sprite.shade[cut]
        cover = sprite.cover[cut]
        self._tone[rows, columns] = under + cover * (sprite.tone[cut] - under)
        self._gloss[rows, columns] = cover * sprite.gloss[cut]
        small = cv2.resize(cover, (2 * HALF_PX, (rows.stop - rows.start) // 2), interpolation=cv2.INTER_AREA)
        whole = np.arange(left // PHASES, left // PHASES + 2 * HALF_PX) % self._length
        self._cover[rows.start // 2 : rows.start // 2 + small.shape[0], whole] = small

    def finished(self, settings: BeltSettings) -> tuple[Image, NDArray[np.int16]]:
        """Tone uint8, gloss int16, each (PHASES, HEIGHT_PX, length + WIDTH_PX): a strip for each part of a pixel."""
        smear = max(1, round(settings.speed_px_s * settings.camera.exposure_s * PHASES))
        tone = _limited(_seen(self._tone, settings.camera.blur_px, smear))
        gloss = _seen(self._gloss, settings.camera.blur_px, smear) * np.float32(_SPAN / 255)
        return self._phases(tone), self._phases(np.rint(gloss).astype(np.int16))

    def chroma(self) -> tuple[Image, Image]:
        """Blue and red difference, uint8 (HEIGHT_PX // 2, length + WIDTH_PX); metal is grey."""
        strips = []
        for value in self._colour:
            strip = np.rint(value + self._cover * np.float32(_GREY - value)).astype(np.uint8)
            strips.append(np.concatenate((strip, strip[:, :WIDTH_PX]), axis=1))
        return strips[0], strips[1]

    def _phases(self, strip: NDArray[_Number]) -> NDArray[_Number]:
        parts = strip.reshape(HEIGHT_PX, self._length, PHASES).transpose(2, 0, 1)
        return np.ascontiguousarray(np.concatenate((parts, parts[:, :, :WIDTH_PX]), axis=2))


def _seen(strip: Floats, blur_px: float, smear: int) -> Floats:
    """The strip as the sensor sees it: a pixel wide, smeared by the motion, blurred by the lens; it stays a ring."""
    pad = 8 * PHASES
    wide = np.concatenate((strip[:, -pad:], strip, strip[:, :pad]), axis=1)
    # The window starts at the sample, so that phase 0 is exactly the pixel's own four samples.
    wide = cv2.blur(wide, (PHASES, 1), anchor=(0, 0))
    if smear > 1:
        wide = cv2.blur(wide, (smear, 1))
    wide = cv2.GaussianBlur(wide, (0, 0), sigmaX=blur_px * PHASES, sigmaY=blur_px)
    result: Floats = wide[:, pad:-pad]
    return result


def _limited(image: Floats) -> Image:
    """Full range 0..255 to the limited range of video."""
    result: Image = np.clip(np.rint(image * np.float32(_SPAN / 255) + np.float32(_BLACK)), 0, 255).astype(np.uint8)
    return result


def _noise_bank(settings: BeltSettings) -> Floats:
    random = np.random.default_rng([settings.seed, _NOISE_STREAM])
    return random.standard_normal((HEIGHT_PX + _NOISE_SPARE_PX, WIDTH_PX + _NOISE_SPARE_PX), dtype=np.float32)
