"""A person in front of a wall, rendered from reflectances, light, exposure and white balance as a camera would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vedette.core.part import Part
from vedette.core.pixels import Pixels

RGB = tuple[float, float, float]

WIDTH, HEIGHT = 320, 240
#: The person, and the parts that attributes look at.
BOX = (130.0, 40.0, 190.0, 200.0)
HEAD = (148, 40, 24, 26)
TORSO = (144, 72, 32, 48)

SKIN, JEANS = (224, 172, 140), (60, 80, 120)
WALL, FLOOR = (205, 203, 196), (140, 134, 126)


def linear(colour: RGB) -> np.ndarray:
    """Light that a colour of 0..255 stands for, 1 is white."""
    return np.asarray((np.asarray(colour, np.float64) / 255) ** 2.2)


@dataclass(frozen=True)
class Scene:
    """What stands in front of the camera.

    Attributes:
        hat: colour of the upper half of the head's part.
        vest: colour of the torso.
        behind: colour of the wall.
        floor: colour of the floor.
        face: colour of what the hat leaves free.
    """

    hat: RGB = (30, 26, 24)
    vest: RGB = (70, 70, 74)
    behind: RGB = WALL
    floor: RGB = FLOOR
    face: RGB = SKIN


def render(
    scene: Scene,
    *,
    light: float = 1.0,
    shade: float = 1.0,
    balance: RGB = (1.0, 1.0, 1.0),
    noise: float = 1.5,
    seed: int = 0,
    grey: bool = False,
    full_range: bool = False,
) -> Pixels:
    """The picture.

    Args:
        scene: what stands there.
        light: how much of the usual exposure reaches the sensor.
        shade: how much of that falls on the person.
        balance: factors of red, green and blue, of the encoded values.
        noise: deviation of luma and chroma, in steps.
        seed: of the noise.
        grey: a night picture: no colour at all.
        full_range: luma and chroma use 0..255.
    """
    picture = np.empty((HEIGHT, WIDTH, 3))
    picture[:150], picture[150:] = linear(scene.behind), linear(scene.floor)
    x1, y1, x2, y2 = (int(value) for value in BOX)
    picture[y1 + 80 : y2, x1 + 8 : x2 - 8] = linear(JEANS) * shade
    x, y, width, height = HEAD
    picture[y + 4 : y + height + 6, x : x + width] = linear(scene.face) * shade
    picture[y : y + height // 2 + 2, x - 2 : x + width + 2] = linear(scene.hat) * shade
    x, y, width, height = TORSO
    picture[y - 4 : y + height + 2, x1 + 6 : x2 - 6] = linear(scene.vest) * shade
    encoded = np.clip(np.clip(picture * light, 0, 1) ** (1 / 2.2) * balance, 0, 1)
    red, green, blue = np.moveaxis(encoded, 2, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = (blue - luma) / 1.772, (red - luma) / 1.402
    rng = np.random.default_rng(seed)
    u, v = (0 * u, 0 * v) if grey else (u, v)
    planes = []
    for plane, scale, shift in (
        (luma, 255 if full_range else 219, 0 if full_range else 16),
        (_halved(u), 255 if full_range else 224, 128),
        (_halved(v), 255 if full_range else 224, 128),
    ):
        grain = rng.normal(0, noise, plane.shape) * (0.0 if grey and shift == 128 else 1.0)
        planes.append(np.clip(np.rint(plane * scale + shift + grain), 0, 255).astype(np.uint8))
    return Pixels(planes[0], planes[1], planes[2], full_range)


def part(pixels: Pixels, place: tuple[int, int, int, int]) -> Part:
    """A part of the person in a picture."""
    return Part(pixels.window(*place), pixels, BOX, place[0], place[1])


def _halved(plane: np.ndarray) -> np.ndarray:
    return np.asarray(plane.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean(axis=(1, 3)))
