"""What part of a picture is shown to a model, and how the parts' objects become the picture's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette.contracts.base import Polygon
from vedette.contracts.manifest import Tiles
from vedette.core.detections import Detections
from vedette.core.merge import merge
from vedette.core.nms import iou
from vedette.core.pixels import Pixels, i420_size
from vedette.core.views import MIN_WINDOW_PX, WHOLE, View, Window

shares = st.floats(0, 1, allow_nan=False)
sizes = st.tuples(st.integers(32, 2000), st.integers(32, 2000))
tiles = st.builds(
    Tiles, columns=st.integers(1, 8), rows=st.integers(1, 8), overlap=st.floats(0, 0.5), whole=st.booleans()
)


def rectangle(x1: float, y1: float, x2: float, y2: float) -> Polygon:
    return ((x1, y1), (x2, y1), (x2, y2), (x1, y2))


@st.composite
def regions(draw: st.DrawFn) -> Polygon | None:
    if draw(st.booleans()):
        return None
    x, y = sorted((draw(shares), draw(shares))), sorted((draw(shares), draw(shares)))
    return rectangle(x[0], y[0], x[1], y[1])


@given(sizes, regions(), st.none() | tiles)
def test_windows_lie_in_the_picture_and_cover_the_region(
    size: tuple[int, int], region: Polygon | None, cut: Tiles | None
) -> None:
    width, height = size
    windows = View(region, (), cut).windows(width, height)
    seen = np.zeros((height, width), np.bool_)
    for window in windows:
        assert window.x % 2 == 0
        assert window.y % 2 == 0
        assert min(window.x, window.y) >= 0
        assert window.x + window.width <= width
        assert window.y + window.height <= height
        assert min(window.width, window.height) >= MIN_WINDOW_PX
        seen[window.y : window.y + window.height, window.x : window.x + window.width] = True
    left, top, right, bottom = (0.0, 0.0, 1.0, 1.0) if region is None else (*region[0], *region[2])
    rows = slice(int(np.ceil(top * height)), int(bottom * height) // 2 * 2)
    columns = slice(int(np.ceil(left * width)), int(right * width) // 2 * 2)
    assert seen[rows, columns].all()
    assert windows[0].whole or (cut is not None and not cut.whole)


def test_the_whole_picture_is_one_window_even_where_its_sides_are_odd() -> None:
    assert WHOLE.windows(641, 359) == (Window(0, 0, 641, 359),)


@given(tiles.filter(lambda t: t.columns * t.rows > 1 and t.overlap >= 0.1), st.data())
def test_an_object_smaller_than_the_overlap_is_seen_whole_by_a_part(cut: Tiles, data: st.DataObject) -> None:
    width, height = 1920, 1080
    parts = [window for window in View(None, (), cut).windows(width, height) if not window.whole]
    part_w, part_h = min(w.width for w in parts), min(w.height for w in parts)
    w, h = max(1.0, cut.overlap * part_w - 6), max(1.0, cut.overlap * part_h - 6)
    x = data.draw(st.floats(0, width - w - 2))
    y = data.draw(st.floats(0, height - h - 2))
    assert any(p.x <= x and p.y <= y and x + w <= p.x + p.width + 2 and y + h <= p.y + p.height + 2 for p in parts)


def test_objects_outside_the_region_or_in_a_mask_do_not_count() -> None:
    boxes = np.array([[0, 0, 20, 20], [40, 40, 60, 60], [80, 80, 100, 100]], np.float32)
    found = Detections(boxes, np.full(3, 0.5, np.float32), np.arange(3, dtype=np.int32), texts=("a", "b", "c"))
    region = View(rectangle(0.3, 0.3, 1, 1))
    assert region.keep(found, 100, 100).classes.tolist() == [1, 2]
    masked = View(rectangle(0.3, 0.3, 1, 1), (rectangle(0.45, 0.45, 0.55, 0.55),))
    kept = masked.keep(found, 100, 100)
    assert kept.classes.tolist() == [2]
    assert kept.texts == ("c",)
    assert WHOLE.keep(found, 100, 100) is found


def test_masks_are_told_in_the_windows_own_shares() -> None:
    view = View(None, (rectangle(0.5, 0.5, 1.0, 1.0),), Tiles(columns=2, rows=1, overlap=0, whole=False))
    left, right = view.windows(200, 100)
    assert view.hidden(left, 200, 100)[0][0] == (1.0, 0.5)
    assert view.hidden(right, 200, 100)[0][0] == (0.0, 0.5)


@given(st.integers(2, 40), st.integers(2, 40), st.data())
def test_a_window_of_a_picture_is_a_view_of_it(width: int, height: int, data: st.DataObject) -> None:
    buffer = np.arange(i420_size(width, height), dtype=np.uint32).astype(np.uint8)
    pixels = Pixels.from_buffer(buffer, width, height)
    x = data.draw(st.integers(0, (width - 1) // 2)) * 2
    y = data.draw(st.integers(0, (height - 1) // 2)) * 2
    part = pixels.window(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    assert part.u.shape == ((part.height + 1) // 2, (part.width + 1) // 2)
    assert np.shares_memory(part.y, buffer)
    assert part.y[0, 0] == pixels.y[y, x]
    assert part.v[0, 0] == pixels.v[y // 2, x // 2]


@pytest.mark.parametrize(
    "window", [(1, 0, 2, 2), (0, 3, 2, 2), (0, 0, 12, 2), (0, 0, 2, 0), (-2, 0, 4, 4), (8, 8, 4, 4)]
)
def test_a_window_outside_the_picture_is_refused(window: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="window"):
        Pixels.from_buffer(np.zeros(i420_size(10, 10), np.uint8), 10, 10).window(*window)


# --- merging ---


def seen_by(window: Window, objects: np.ndarray, scores: np.ndarray) -> Detections:
    """What a perfect detector reports of objects (n, 4) in a window: clipped to it, only where a fifth is visible."""
    box = np.array([window.x, window.y, window.x + window.width, window.y + window.height], np.float32)
    clipped = np.concatenate((np.maximum(objects[:, :2], box[:2]), np.minimum(objects[:, 2:], box[2:])), axis=1)
    sides = clipped[:, 2:] - clipped[:, :2]
    whole = (objects[:, 2:] - objects[:, :2]).prod(axis=1)
    visible = (sides > 1).all(axis=1) & (np.maximum(sides, 0).prod(axis=1) > 0.2 * whole)
    rows = np.flatnonzero(visible)
    rows = rows[np.argsort(-scores[rows])]
    shifted = (clipped - np.tile(box[:2], 2))[rows].astype(np.float32)
    return Detections(shifted, scores[rows].astype(np.float32), np.zeros(len(rows), np.int32))


@settings(max_examples=200)
@given(st.data(), st.integers(1, 12), tiles)
def test_each_object_is_found_once_however_it_is_cut(data: st.DataObject, count: int, cut: Tiles) -> None:
    width, height = 1280, 720
    cut = cut.model_copy(update={"whole": True})
    grid = data.draw(st.lists(st.integers(0, 8 * 5 - 1), min_size=count, max_size=count, unique=True))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    cells = np.array([(cell % 8, cell // 8) for cell in grid])
    corner = cells * (160, 144) + rng.uniform(4, 20, (count, 2))
    objects = np.concatenate((corner, corner + rng.uniform(30, 110, (count, 2))), axis=1)
    # The closer the model looks, the surer it is, also of pieces.
    found = [
        (window, seen_by(window, objects, rng.uniform(0.5 if window.whole else 0.6, 1.0, count)))
        for window in View(None, (), cut).windows(width, height)
    ]
    merged = merge(found, width, height, 0.45, class_agnostic=False)
    assert len(merged) == count
    best = iou(merged.boxes, objects.astype(np.float32)).max(axis=0)
    assert (best > 0.95).all()
    assert (np.diff(merged.scores) <= 0).all()


def test_objects_of_different_classes_stay_apart_unless_asked_otherwise() -> None:
    window = Window(0, 0, 100, 100)
    box = np.array([[10, 10, 50, 50]], np.float32)
    one = Detections(box, np.array([0.9], np.float32), np.array([0], np.int32))
    two = Detections(box, np.array([0.8], np.float32), np.array([1], np.int32))
    found = [(window, one), (window, two)]
    assert len(merge(found, 100, 100, 0.45, class_agnostic=False)) == 2
    assert merge(found, 100, 100, 0.45, class_agnostic=True).classes.tolist() == [0]


def test_texts_go_with_their_boxes() -> None:
    left, right = Window(0, 0, 60, 100, whole=False), Window(40, 0, 60, 100, whole=False)
    a = Detections(np.array([[5, 5, 15, 15]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int32), texts=("a",))
    b = Detections(np.array([[5, 5, 15, 15]], np.float32), np.full(1, 0.5, np.float32), np.zeros(1, np.int32))
    merged = merge([(left, a), (right, b)], 100, 100, 0.45, class_agnostic=False)
    assert merged.texts == ("a", "")
    assert merged.boxes.tolist() == [[5, 5, 15, 15], [45, 5, 55, 15]]
