"""One part as it is laid onto the belt: drawn once, at four samples a pixel, lit from the top left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.testing.belt import defects
from vedette.testing.belt.schedule import PlannedPart
from vedette.testing.belt.settings import PHASES, Label
from vedette.testing.belt.shapes import REACH_PX, Relief, relief
from vedette.testing.belt.surface import Canvas, engrave, grain, oil, specks

Floats = NDArray[np.float32]

#: Half the side of a sprite, pixels: the part, and the shadow it throws.
HALF_PX: Final = 84
_STREAMS: Final = (7, 8)
_LAMP: Final = (-0.55, -0.72)
_SHADOW_OFFSET_PX: Final = (2.2, 3.0)
_SHADOW_BLUR_PX: Final = 2.2
_SHADOW: Final = 0.55
#: Change of the metal's brightness from which a place counts as damaged.
_HURT: Final = 0.06


@dataclass(frozen=True, slots=True)
class Sprite:
    """A part's picture, ``PHASES`` samples a pixel along the belt and one across it. All float32 (rows, columns).

    Attributes:
        tone: brightness of the metal, 0..255.
        gloss: how much brighter it gets where the belt's lamp stands to the left of it, 0..255, signed.
        cover: share of the sample that is metal, 0..1.
        shade: what the belt's brightness is multiplied by, for the shadow of the part.
    """

    tone: Floats
    gloss: Floats
    cover: Floats
    shade: Floats


def draw_part(part: PlannedPart) -> Sprite:
    """Draw a part, turned as planned, its centre in the middle of the sprite."""
    # Two sequences: a part with a defect is otherwise the part that it would have been without.
    random, damage = (np.random.default_rng([part.seed, stream]) for stream in _STREAMS)
    canvas, place = _blank(part)
    shape = relief(part.kind, canvas.x, canvas.y, part.size, part.missing)
    engrave(canvas, part.kind)
    oil(canvas, random)
    specks(canvas, random)
    _damage(part, canvas, damage)
    tone, gloss = _lit(part, canvas, shape, place, random)
    cover = np.clip(0.5 - shape.distance * PHASES, 0, 1).astype(np.float32)
    return Sprite(*(_rows(image) for image in (tone, gloss, cover, _shade(cover))))


def damage_of(part: PlannedPart) -> NDArray[np.bool_]:
    """Where a scratch or dent is: bool (2 * HALF_PX, 2 * HALF_PX), a pixel each, the part's centre in the middle."""
    canvas, _ = _blank(part)
    _damage(part, canvas, np.random.default_rng([part.seed, _STREAMS[1]]))
    outside = relief(part.kind, canvas.x, canvas.y, part.size, part.missing).distance >= 0
    hurt = np.abs(canvas.tone - 1) > _HURT
    hurt[outside] = False
    blocks = hurt.reshape(2 * HALF_PX, PHASES, 2 * HALF_PX, PHASES)
    return np.asarray(blocks.any(axis=(1, 3)), np.bool_)


def _blank(part: PlannedPart) -> tuple[Canvas, tuple[Floats, Floats]]:
    """A canvas turned as the part is, and the place of each sample in the picture, pixels from the part's centre."""
    samples = PHASES * 2 * HALF_PX
    grid = ((np.arange(samples, dtype=np.float32) + 0.5) / PHASES - HALF_PX).astype(np.float32)
    across, down = np.meshgrid(grid, grid)
    cosine, sine = np.float32(np.cos(part.angle)), np.float32(np.sin(part.angle))
    x, y = across * cosine + down * sine, down * cosine - across * sine
    return Canvas(x, y, PHASES, np.zeros_like(x), np.ones_like(x)), (across, down)


def _damage(part: PlannedPart, canvas: Canvas, random: np.random.Generator) -> None:
    if part.label is Label.SCRATCH:
        defects.scratch(canvas, random)
    elif part.label is Label.DENT:
        defects.dent(canvas, random)


def _lit(
    part: PlannedPart, canvas: Canvas, shape: Relief, place: tuple[Floats, Floats], random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Brightness and gloss of every sample."""
    lines = grain(canvas, part.kind, random)
    depth = np.clip(-shape.distance / np.float32(shape.edge_px), 0, 1)
    rounding = np.float32(0.55 * shape.edge_px) * np.sin(depth * np.float32(np.pi / 2))
    height = rounding + shape.height + canvas.height
    slope_y, slope_x = np.gradient(height, np.float32(1 / PHASES))
    metal = np.float32(random.uniform(138, 172))
    turn = random.uniform(0, 2 * np.pi)
    # The surroundings that the flat metal mirrors: brighter to one side.
    mirrored = (place[0] * np.float32(np.cos(turn)) + place[1] * np.float32(np.sin(turn))) / np.float32(REACH_PX)
    surface = canvas.tone * (1 + np.float32(0.035) * lines) * (1 + np.float32(random.uniform(0.04, 0.13)) * mirrored)
    facing = -(slope_x * np.float32(_LAMP[0]) + slope_y * np.float32(_LAMP[1]))
    tone = metal * surface * (1 + np.float32(0.62) * np.tanh(np.float32(1.3) * facing))
    tone *= np.float32(0.72) + np.float32(0.28) * np.clip(depth * 3, 0, 1)  # the very edge is in its own shade
    tilt = np.float32(random.normal(0, 0.10))
    gloss = metal * (np.float32(0.30) * np.tanh(-slope_x) + np.float32(0.05) * lines + tilt)
    return np.clip(tone, 8, 250), np.clip(gloss, -120, 120)


def _shade(cover: Floats) -> Floats:
    """How the belt darkens beside the part, on the side away from the lamp, and in its holes."""
    move = np.array([[1, 0, _SHADOW_OFFSET_PX[0] * PHASES], [0, 1, _SHADOW_OFFSET_PX[1] * PHASES]], np.float32)
    thrown = cv2.warpAffine(cover, move, cover.shape[::-1])
    thrown = cv2.GaussianBlur(thrown, (0, 0), _SHADOW_BLUR_PX * PHASES)
    shade: Floats = 1 - np.float32(_SHADOW) * thrown
    return shade


def _rows(image: Floats) -> Floats:
    """One row a pixel, the columns as they are."""
    rows, columns = image.shape
    result: Floats = image.reshape(rows // PHASES, PHASES, columns).mean(axis=1, dtype=np.float32)
    return result
