"""The plan of a loop and its truth: no part overlaps another, and the loop closes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette.testing.belt import DEFECTS, BeltSettings, Kind, Label, make_truth, read_truth
from vedette.testing.belt.schedule import make_schedule
from vedette.testing.belt.settings import FPS, HEIGHT_PX, RAIL_PX, WIDTH_PX
from vedette.testing.belt.shapes import REACH_PX, outline, relief

loops = st.builds(
    BeltSettings,
    seed=st.integers(0, 2**31),
    duration_s=st.sampled_from((20, 40, 60, 120)),
    speed_px=st.sampled_from((4.0, 5.25, 6.0, 9.0)),
    defective=st.floats(0, 1),
    gap_px=st.sampled_from(((150, 240), (150, 150), (200, 400), (20, 30))),
    line=st.floats(0.2, 0.9),
    ejector=st.floats(0.95, 1.6),
    kind=st.sampled_from(list(Kind)[:1]),
)


@given(loops)
@settings(deadline=None, max_examples=60)
def test_parts_never_overlap_and_the_loop_closes(loop: BeltSettings) -> None:
    truth = make_truth(loop)
    assert truth.parts
    assert [part.number for part in truth.parts] == list(range(1, len(truth.parts) + 1))
    for before, after in itertools.pairwise(truth.parts):
        assert after.box[2] < before.box[0]  # no column in common, so no boxes that touch
        assert before.line_s < after.line_s
    for part in truth.parts:
        assert RAIL_PX < part.box[1] < part.box[3] < HEIGHT_PX - RAIL_PX
        # All of a part's life is within one repetition: nothing is cut at the seam.
        assert 0 <= part.enters_s < part.whole_s < part.gone_s <= loop.duration_s
        assert part.enters_s < part.line_s < part.ejector_s <= loop.duration_s
        assert part.box_at(0.0) is None
        assert part.box_at(float(loop.duration_s)) is None


@given(loops, st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_a_repetition_is_the_first_one_later(loop: BeltSettings, number: int) -> None:
    truth = make_truth(loop)
    for part, later in zip(truth.parts, truth.repetition(number), strict=True):
        by_s = number * loop.duration_s
        assert later.line_s == pytest.approx(part.line_s + by_s)
        assert later.time_at(100.0) == pytest.approx(part.time_at(100.0) + by_s, abs=1e-6)
        here, there = part.box_at(part.line_s), later.box_at(part.line_s + by_s)
        assert here is not None
        assert here == pytest.approx(there, abs=1e-6)


@given(loops)
@settings(deadline=None, max_examples=40)
def test_times_and_places_agree(loop: BeltSettings) -> None:
    for part in make_truth(loop).parts:
        at_line = part.box_at(part.line_s)
        assert at_line is not None
        whole = part.whole_s <= part.line_s <= part.leaves_s
        if whole:
            assert (at_line[0] + at_line[2]) / 2 == pytest.approx(loop.line * WIDTH_PX)
        assert part.time_at(loop.line * WIDTH_PX) == pytest.approx(part.line_s)
        assert part.ejector_s - part.line_s == pytest.approx(
            (loop.ejector - loop.line) * WIDTH_PX / (loop.speed_px * FPS)
        )


@given(loops)
@settings(deadline=None, max_examples=40)
def test_defects_are_as_many_as_asked_for(loop: BeltSettings) -> None:
    parts = make_truth(loop).parts
    counts = [sum(part.label is label for part in parts) for label in DEFECTS]
    assert sum(counts) == round(len(parts) * loop.defective)
    assert max(counts) - min(counts) <= 1
    for part in parts:
        assert (part.kind is loop.kind) == (part.label is not Label.WRONG_PART)
        assert part.defective == (part.label is not Label.GOOD)


@given(loops)
@settings(deadline=None, max_examples=30)
def test_the_truth_survives_its_lines(loop: BeltSettings) -> None:
    truth = make_truth(loop)
    read = read_truth(truth.lines())
    assert read.duration_s == truth.duration_s
    for part, again in zip(truth.parts, read.parts, strict=True):
        assert (again.number, again.kind, again.label) == (part.number, part.kind, part.label)
        assert again.line_s == pytest.approx(part.line_s, abs=1e-5)
        assert again.box == pytest.approx(part.box, abs=1e-5)


@pytest.mark.parametrize(
    "lines",
    [[], ["{}"], ['{"duration_s": 1, "parts": 1}'], ['{"duration_s": 1, "parts": 1}', '{"number": 1}'], ["no JSON"]],
)
def test_lines_that_are_no_truth(lines: list[str]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - that it is refused is what counts
        read_truth(lines)


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed_px": 0.0},
        {"speed_px": 5.1},
        {"speed_px": -1.0},
        {"duration_s": 4},
        {"gap_px": (100, 50)},
        {"ejector": 0.5},
    ],
)
def test_loops_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"speed_px|loop|gap_px|ejector"):
        BeltSettings(**wrong)  # type: ignore[arg-type]


def test_a_loop_in_which_no_part_fits() -> None:
    with pytest.raises(ValueError, match="too short"):
        make_schedule(BeltSettings(duration_s=12, ejector=3.0))


@given(st.sampled_from(list(Kind)), st.floats(0, 2 * math.pi), st.floats(0.9, 1.1))
@settings(deadline=None, max_examples=40)
def test_outline_and_distance_are_the_same_shape(kind: Kind, angle: float, size: float) -> None:
    edge = outline(kind, angle, size)
    back = edge @ np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shape = relief(kind, back[:, 0].astype(np.float32), back[:, 1].astype(np.float32), size)
    # The gear's distance is radial, so less exact on the flanks of its teeth.
    assert np.abs(shape.distance).max() < (1.0 if kind is Kind.GEAR else 0.05)
    assert np.hypot(*edge.T).max() <= REACH_PX * size
