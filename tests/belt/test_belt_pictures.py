"""Rendered pictures: the same seed, the same bytes; and the truth is about what is in them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vedette.testing.belt import Belt, BeltSettings, Camera, Label, Light, make_truth
from vedette.testing.belt.schedule import PlannedPart, make_schedule
from vedette.testing.belt.settings import FPS, HEIGHT_PX, RAIL_PX, WIDTH_PX, Kind

LOOP = BeltSettings(seed=11, duration_s=20)
STILL = Light(drift=0, flicker=0, shadow=0, vignette=0)
#: A part's shadow, the lens's blur and the smear of its motion reach so far beyond its box, pixels.
BESIDE_PX = 12


@cache
def belt(loop: BeltSettings) -> Belt:
    return Belt(loop)


@cache
def empty(loop: BeltSettings) -> Belt:
    return Belt(loop, parts=())


def luma(picture: NDArray[np.uint8]) -> NDArray[np.int16]:
    return picture[:HEIGHT_PX].astype(np.int16)


def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib; from vedette.testing.belt import Belt, BeltSettings;"
        "b = Belt(BeltSettings(seed=11, duration_s=20));"
        "print(hashlib.sha256(b''.join(b.frame(n).tobytes() for n in (0, 77, 321, 499))).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    here = b"".join(belt(LOOP).frame(number).tobytes() for number in (0, 77, 321, 499))
    assert hashlib.sha256(here).hexdigest() == other


def test_pictures_can_be_asked_for_in_any_order() -> None:
    later = belt(LOOP).frame(300).copy()
    belt(LOOP).frame(10)
    assert np.array_equal(belt(LOOP).frame(300), later)


def test_another_seed_gives_other_pictures() -> None:
    assert not np.array_equal(belt(LOOP).frame(100), empty(replace(LOOP, seed=12)).frame(100))


def test_the_loop_has_no_seam() -> None:
    loop = replace(LOOP, camera=Camera(noise=0))
    scene = belt(loop)
    assert np.array_equal(scene.frame(0), scene.frame(loop.frames))
    steps = [
        int(np.abs(luma(scene.frame(n)) - luma(scene.frame(n + 1))).max())
        for n in (loop.frames - 3, loop.frames - 2, loop.frames - 1, loop.frames)
    ]
    # From the last picture to the first it moves on as from any to the next: an empty belt, no jump of light.
    assert max(steps) <= 2 * min(steps) + 4
    shift = luma(scene.frame(loop.frames - 4 + 4)), luma(scene.frame(loop.frames - 4))
    moved = round(4 * loop.speed_px)
    inner = slice(RAIL_PX, HEIGHT_PX - RAIL_PX)
    assert np.abs(shift[0][inner, moved:] - shift[1][inner, :-moved]).mean() < 4


def test_a_picture_differs_from_the_empty_belt_inside_the_boxes_and_nowhere_else() -> None:
    loop = replace(LOOP, camera=Camera(noise=0))
    truth = make_truth(loop)
    for number in range(0, loop.frames, 23):
        difference = np.abs(luma(belt(loop).frame(number)) - luma(empty(loop).frame(number))) > 6
        allowed = np.zeros_like(difference)
        for part in truth.parts:
            box = part.box_at(number / FPS)
            if box is None:
                continue
            left, top, right, bottom = (round(value) for value in box)
            allowed[max(0, top - 3) : bottom + BESIDE_PX, max(0, left - 3) : right + BESIDE_PX] = True
            inside = difference[top:bottom, max(0, left) : right]
            if right - left > 40:
                assert inside.mean() > 0.35, f"part {part.number} is not where the truth says, picture {number}"
        assert not (difference & ~allowed).any(), f"picture {number}"


def test_boxes_are_tight() -> None:
    """Metal is far brighter than the belt: its bounding box is the truth's, to a pixel."""
    loop = replace(LOOP, light=STILL, camera=Camera(noise=0, exposure_s=0.0001, blur_px=0.3))
    scene, bare = Belt(loop), Belt(loop, parts=())
    for part in make_truth(loop).parts:
        number = round(part.time_at(WIDTH_PX / 2) * FPS)
        box = part.box_at(number / FPS)
        assert box is not None
        brighter = luma(scene.frame(number)) - luma(bare.frame(number)) > 18
        left, right = max(0, int(box[0]) - 30), int(box[2]) + 30
        rows, columns = np.nonzero(brighter[:, left:right])
        seen = columns.min() + left, rows.min(), columns.max() + left + 1, rows.max() + 1
        assert seen == pytest.approx(box, abs=2.0), f"part {part.number}"


def one_part(**changes: object) -> PlannedPart:
    base = make_schedule(LOOP)[0]
    plain = replace(base, kind=Kind.BRACKET, label=Label.GOOD, missing=None)
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("label", "missing"), [(Label.SCRATCH, None), (Label.DENT, None), (Label.MISSING_HOLE, 2)])
def test_a_defect_is_a_local_change_of_an_otherwise_equal_part(label: Label, missing: int | None) -> None:
    loop = replace(LOOP, light=STILL, camera=Camera(noise=0))
    for seed in range(4):
        good = Belt(loop, parts=(one_part(seed=seed),))
        bad = Belt(loop, parts=(one_part(seed=seed, label=label, missing=missing),))
        number = round(make_truth(loop).parts[0].time_at(WIDTH_PX / 2) * FPS)
        first, second = good.frame(number), bad.frame(number)
        change = np.abs(luma(first) - luma(second))
        assert change.max() >= 25  # to be seen by eye
        assert 12 <= (change > 12).sum() <= 900  # of some 7,000 pixels of metal
        # Nothing about its colour gives it away.
        assert np.array_equal(first[HEIGHT_PX:], second[HEIGHT_PX:]) or label is Label.MISSING_HOLE


def test_colour_tells_nothing_about_defects() -> None:
    """The colour of metal is the same grey for every label."""
    loop = replace(LOOP, defective=0.8)
    scene = belt(loop)
    for part in make_truth(loop).parts:
        number = round(part.time_at(WIDTH_PX / 2) * FPS)
        left, top, right, bottom = (round(v) for v in part.box_at(number / FPS) or (0, 0, 0, 0))
        rgb = cv2.cvtColor(scene.frame(number), cv2.COLOR_YUV2RGB_I420).astype(int)
        rows, columns = slice((top + bottom) // 2 - 30, (top + bottom) // 2 + 30), slice(left + 8, right - 8)
        bright = rgb[rows, columns][rgb[rows, columns].mean(axis=2) > 110]
        assert np.abs(bright - bright.mean(axis=1, keepdims=True)).mean() < 4


def test_light_changes_and_stays_within_what_a_camera_sees() -> None:
    levels = [float(luma(belt(LOOP).frame(number))[40:320].mean()) for number in range(0, LOOP.frames, 10)]
    assert max(levels) / min(levels) > 1.05
    for number in (50, 250):
        picture = belt(LOOP).frame(number)
        assert picture.shape == (HEIGHT_PX * 3 // 2, WIDTH_PX)
        assert picture.dtype == np.uint8
        assert (picture[:HEIGHT_PX] >= 240).mean() < 0.001
