"""Whether anything has moved: what must be seen, and what must not cost an analysis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.contracts.manifest import Motion
from vedette.core.motion_gate import COLUMNS, ROWS, MotionGate, thumbnail

GATE = Motion(floor_s=2.0)


def street(rng: np.random.Generator, width: int = 768, height: int = 432) -> np.ndarray:
    return rng.integers(30, 220, (height // 24, width // 24)).repeat(24, 0).repeat(24, 1).astype(np.float32)


def noisy(scene: np.ndarray, rng: np.random.Generator, sigma: float = 8.0) -> np.ndarray:
    return np.clip(scene + rng.normal(0, sigma, scene.shape), 0, 255).astype(np.uint8)


def test_noise_moves_nothing() -> None:
    rng = np.random.default_rng(7)
    scene, gate = street(rng), MotionGate(GATE)
    before = thumbnail(noisy(scene, rng))
    assert not any(gate.moved(thumbnail(noisy(scene, rng)), before, 0.2) for _ in range(100))


@pytest.mark.parametrize("size", [(12, 24), (20, 40), (60, 120)])
def test_a_small_object_that_steps_aside_is_noticed_anywhere(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(8)
    scene, gate = street(rng), MotionGate(GATE)
    width, height = size
    for _ in range(50):
        x, y = int(rng.integers(0, 768 - width)), int(rng.integers(0, 432 - height))
        there = scene.copy()
        there[y : y + height, x : x + width] = 255 - there[y : y + height, x : x + width]
        if np.abs(there - scene).max() < 60:  # an object of the background's own grey
            continue
        assert gate.moved(thumbnail(noisy(there, rng)), thumbnail(noisy(scene, rng)), 0.2)


def test_however_slow_a_thing_is_it_is_noticed_in_the_end() -> None:
    rng = np.random.default_rng(9)
    scene, gate = np.full((432, 768), 90, np.float32), MotionGate(Motion(floor_s=60))

    def at(x: float) -> np.ndarray:
        picture = scene.copy()
        picture[200:260, int(x) : int(x) + 30] = 200
        return thumbnail(noisy(picture, rng, 3))

    analysed = at(100)
    steps = [step for step in range(1, 60) if gate.moved(at(100 + step), analysed, step * 0.2)]
    assert steps
    assert steps[0] <= 12, "a pixel a picture counts after the width of a cell at the latest"


def test_the_floor_rate_holds() -> None:
    still = thumbnail(np.full((432, 768), 90, np.uint8))
    gate = MotionGate(GATE)
    assert gate.moved(still, None, 0.0)
    assert not gate.moved(still, still, 1.99)
    assert gate.moved(still, still, 2.0)
    assert gate.moved(still, still, -1.0), "time that went back is another stream"


def test_a_picture_of_another_size_is_analysed() -> None:
    gate = MotionGate(GATE)
    assert gate.moved(thumbnail(np.zeros((20, 20), np.uint8)), thumbnail(np.zeros((432, 768), np.uint8)), 0.1)


def test_what_fills_the_picture_is_not_taken_for_noise() -> None:
    gate = MotionGate(GATE)
    one, two = (thumbnail(np.full((432, 768), grey, np.uint8)) for grey in (60, 90))
    assert gate.moved(two, one, 0.1)


def test_only_the_region_counts_and_masks_do_not() -> None:
    left = ((0.0, 0.0), (0.4, 0.0), (0.4, 1.0), (0.0, 1.0))
    before, after = np.full((432, 768), 60, np.uint8), np.full((432, 768), 60, np.uint8)
    after[100:200, 500:600] = 220
    one, two = thumbnail(before), thumbnail(after)
    assert MotionGate(GATE).moved(two, one, 0.1)
    assert not MotionGate(GATE, region=left).moved(two, one, 0.1)
    right = tuple((x + 0.6, y) for x, y in left)
    assert not MotionGate(GATE, masks=(right,)).moved(two, one, 0.1)
    speck = ((0.5, 0.5), (0.501, 0.5), (0.501, 0.501))
    assert MotionGate(GATE, region=speck).moved(two, one, 0.1), "a region smaller than a cell: everything counts"


def test_min_area_asks_for_more_than_one_cell() -> None:
    before, after = np.full((432, 768), 60, np.uint8), np.full((432, 768), 60, np.uint8)
    after[0:24, 0:24] = 220
    one, two = thumbnail(before), thumbnail(after)
    assert MotionGate(GATE).moved(two, one, 0.1)
    assert not MotionGate(Motion(min_area=0.01)).moved(two, one, 0.1)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 255))
def test_a_thumbnail_of_an_even_picture_is_its_grey(width: int, height: int, grey: int) -> None:
    small = thumbnail(np.full((height, width), grey, np.uint8))
    assert small.shape == (min(ROWS, height), min(COLUMNS, width))
    assert (small == grey).all()


def test_a_thumbnail_of_a_picture_with_padded_lines() -> None:
    rows = np.zeros((432, 800), np.uint8)
    rows[:, :768] = 77
    assert (thumbnail(rows[:, :768]) == 77).all()
