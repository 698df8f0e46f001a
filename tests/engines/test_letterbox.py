from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.core.letterbox import Letterbox

SIDES = st.integers(16, 4000)
TARGETS = st.integers(1, 64).map(lambda n: 32 * n)


@given(SIDES, SIDES, TARGETS, TARGETS, st.booleans(), st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_there_and_back_is_the_same_box(w: int, h: int, tw: int, th: int, stretch: bool, part: list[float]) -> None:
    box = Letterbox.stretched((w, h), (tw, th)) if stretch else Letterbox.top_left((w, h), (tw, th))
    boxes = (np.array([part], np.float32) * np.array([w, h, w, h], np.float32)).astype(np.float32)
    assert np.abs(box.to_picture(box.to_input(boxes)) - boxes).max() <= 0.5


@given(SIDES, SIDES, TARGETS, TARGETS)
def test_the_picture_lies_inside_the_input_and_touches_one_side(w: int, h: int, tw: int, th: int) -> None:
    box = Letterbox.top_left((w, h), (tw, th))
    assert 2 <= box.content[0] <= tw
    assert 2 <= box.content[1] <= th
    assert box.content[0] == tw or box.content[1] == th
    assert all(side % 2 == 0 for side in box.content)
    corners = box.to_input(np.array([[0, 0, w, h]], np.float32))
    assert np.allclose(corners, [[0, 0, *box.content]], atol=1e-2)


@given(SIDES, SIDES, TARGETS, TARGETS)
def test_centred_is_the_same_moved_to_the_middle(w: int, h: int, tw: int, th: int) -> None:
    corner, middle = Letterbox.top_left((w, h), (tw, th)), Letterbox.centred((w, h), (tw, th))
    assert middle.content == corner.content
    for side in (0, 1):
        before, after = middle.offset[side], middle.target[side] - middle.content[side] - middle.offset[side]
        assert 0 <= after - before <= 1
    boxes = np.array([[0, 0, w, h], [w / 4, h / 3, w / 2, h / 2]], np.float32)
    moved = middle.to_input(boxes) - np.array((*middle.offset, *middle.offset), np.float32)
    assert np.allclose(moved, corner.to_input(boxes), atol=1e-2)
    assert np.abs(middle.to_picture(middle.to_input(boxes)) - boxes).max() <= 0.5


@given(st.integers(200, 4000), st.integers(200, 4000))
def test_the_shape_is_kept_to_within_a_block(w: int, h: int) -> None:
    box = Letterbox.top_left((w, h), (416, 416))
    scale = min(416 / w, 416 / h)
    assert abs(box.content[0] - w * scale) <= 1.5
    assert abs(box.content[1] - h * scale) <= 1.5


def test_known_values() -> None:
    box = Letterbox.top_left((1920, 1080), (416, 416))
    assert box.content == (416, 234)
    assert box.to_picture(np.array([[0, 0, 416, 234]], np.float32)).tolist() == [[0, 0, 1920, 1080]]
    assert Letterbox.stretched((1920, 1080), (416, 416)).content == (416, 416)


def test_an_empty_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        Letterbox((0, 10), (416, 416), (2, 2))
