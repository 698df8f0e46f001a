"""Labelled cut-outs of rendered pictures, for training a detector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.testing.belt.scene import Belt, Image
from vedette.testing.belt.schedule import make_schedule
from vedette.testing.belt.settings import FPS, HEIGHT_PX, WIDTH_PX, BeltSettings, Camera, Label, Light
from vedette.testing.belt.sprite import HALF_PX, damage_of
from vedette.testing.belt.truth import Part, make_truth

#: Side of a cut-out, pixels: a part and what is around it.
SIDE_PX: Final = 176
_STREAM: Final = 9
_LABELS: Final = tuple(Label)
_DAMAGED: Final = (Label.SCRATCH, Label.DENT)


@dataclass(frozen=True, slots=True)
class Sample:
    """One cut-out.

    Attributes:
        image: uint8 (SIDE_PX, SIDE_PX), brightness in full range.
        origin: column and row of its top left corner in the picture.
        boxes: float32 (n, 4), all parts that reach into it, left, top, right, bottom in pixels of the cut-out, not
            cut to it.
        labels: int64 (n,), number of the label in the order of ``Label``.
        damage: bool (SIDE_PX, SIDE_PX), where scratches and dents are.
    """

    image: Image
    origin: tuple[int, int]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    damage: NDArray[np.bool_]


def varied(seed: int) -> BeltSettings:
    """Settings of a training loop: many defects, light and camera drawn wider than those of the demonstration."""
    random = np.random.default_rng([seed, _STREAM])

    def draw(low: float, high: float) -> float:
        return float(random.uniform(low, high))

    light = Light(
        gain=draw(0.72, 1.25),
        drift=draw(0.0, 0.15),
        flicker=draw(0.0, 0.05),
        shadow=draw(0.15, 0.5),
        vignette=draw(0.15, 0.42),
    )
    camera = Camera(noise=draw(1.0, 5.0), exposure_s=draw(0.002, 0.012), blur_px=draw(0.4, 0.85))
    return BeltSettings(seed=seed, duration_s=60, defective=0.74, light=light, camera=camera)


def brightness(picture: Image) -> Image:
    """The brightness of an I420 picture, limited range, as the grey of its RGB: uint8 (HEIGHT_PX, WIDTH_PX)."""
    luma = picture[:HEIGHT_PX].astype(np.float32)
    result: Image = np.clip(np.rint((luma - 16) * np.float32(255 / 219)), 0, 255).astype(np.uint8)
    return result


def cut_outs(settings: BeltSettings, views: int) -> Iterator[Sample]:
    """Every part of a loop ``views`` times, at random places: whole, at the picture's edge, and beside the middle."""
    random = np.random.default_rng([settings.seed, _STREAM, 1])
    belt, parts = Belt(settings), make_truth(settings).parts
    damage = {plan.number: (plan, damage_of(plan)) for plan in make_schedule(settings) if plan.label in _DAMAGED}
    for part in parts:
        for _ in range(views):
            number = round(part.time_at(random.uniform(-30, WIDTH_PX + 30)) * FPS)
            whole = np.zeros((HEIGHT_PX, WIDTH_PX), bool)
            for plan, hurt in damage.values():
                _lay(whole, hurt, round(plan.start_px + number * settings.speed_px), round(plan.y_px))
            yield _cut(brightness(belt.frame(number)), whole, number / FPS, part, parts, random)


def _lay(whole: NDArray[np.bool_], hurt: NDArray[np.bool_], x: int, y: int) -> None:
    """Mark a part's damage in the picture, its centre at ``x, y``."""
    left, top = x - HALF_PX, y - HALF_PX
    columns = slice(max(0, left), max(0, min(WIDTH_PX, left + 2 * HALF_PX)))
    rows = slice(max(0, top), min(HEIGHT_PX, top + 2 * HALF_PX))
    if columns.stop > columns.start:
        whole[rows, columns] |= hurt[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def _cut(
    image: Image,
    damage: NDArray[np.bool_],
    t_s: float,
    part: Part,
    parts: tuple[Part, ...],
    random: np.random.Generator,
) -> Sample:
    middle = (part.box[0] + part.box[2]) / 2 + part.speed_px_s * t_s, (part.box[1] + part.box[3]) / 2
    x, y = (value + random.uniform(-36, 36) - SIDE_PX / 2 for value in middle)
    left, top = int(np.clip(x, 0, WIDTH_PX - SIDE_PX)), int(np.clip(y, 0, HEIGHT_PX - SIDE_PX))
    boxes, labels = [], []
    for other in parts:
        way = other.speed_px_s * t_s - left
        box = other.box[0] + way, other.box[1] - top, other.box[2] + way, other.box[3] - top
        if box[2] > 0 and box[0] < SIDE_PX and box[3] > 0 and box[1] < SIDE_PX:
            boxes.append(box)
            labels.append(_LABELS.index(other.label))
    window = slice(top, top + SIDE_PX), slice(left, left + SIDE_PX)
    return Sample(
        image[window].copy(),
        (left, top),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        damage[window].copy(),
    )
