"""A tracker that goes on from the journal knows what the one before would have known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vedette.compose.resumed_tracker import remembered
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Tracker
from vedette.contracts.plan import PipelinePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.detections import Detections
from vedette.pipeline.track import PipelineTracker

STEP_S, LOST_S = 0.2, 1.07


def plan(lost_s: float) -> PipelinePlan:
    settings = Tracker(min_hits=1, lost_s=lost_s)
    return PipelinePlan(
        application="app", pipeline="p", camera="cam", app_camera="hall", fps=1 / STEP_S, tracker=settings
    )


def tracker(lost_s: float = LOST_S) -> PipelineTracker:
    return PipelineTracker(plan(lost_s), ("thing",), wall_clock=lambda: 5.0)


def frame(number: int, t_s: float) -> FrameInfo:
    return FrameInfo("cam", "e", number, t_s, t_s, t_s, 1000, 500)


def somebody(*lefts: float) -> Detections:
    """Boxes of 50 x 80 pixels."""
    boxes = np.array([(x, 10, x + 50, 90) for x in lefts], np.float32).reshape(-1, 4)
    return Detections(boxes, np.full(len(lefts), 0.9, np.float32), np.zeros(len(lefts), np.int32))


def restarted(batches: list[TrackBatch], lost_s: float = LOST_S) -> PipelineTracker:
    """As ``resumed_tracker`` makes it of the journal."""
    journal = [replace(TrackBatch.from_json(one.to_json()), analysed_wall_s=one.frame.t_s) for one in batches]

    def recent(since_wall_s: float) -> list[TrackBatch]:
        return [one for one in reversed(journal) if one.analysed_wall_s >= since_wall_s]

    anew = tracker(lost_s)
    if journal:
        anew.restore(remembered(journal[-1], plan(lost_s), recent))
    return anew


@given(
    # Spans of pictures: whether somebody is there, how many, and for how long nothing moves after each of them.
    spans=st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.sampled_from([0.0, 0.0, 3.0])), max_size=8),
    restarts=st.sets(st.integers(0, 60), max_size=4),
    # Gaps of less than a second pass for the rhythm of pictures, on which bounds of time depend a little, and of
    # which a restarted tracker has seen less: those are measured over recordings (R9-tracks).
    missed=st.sampled_from([0, 5, 6, 9]),
)
@example(spans=[(True, 3, 0.0), (False, 6, 0.0), (True, 3, 0.0)], restarts={8}, missed=0)
@example(spans=[(True, 4, 3.0), (False, 5, 3.0), (True, 1, 0.0)], restarts={11}, missed=0)
def test_restarts_change_no_number(spans: list[tuple[bool, int, float]], restarts: set[int], missed: int) -> None:
    """Who comes after another has left is somebody else, and who stays is not, whenever the process is replaced."""
    undisturbed, disturbed = tracker(), tracker()
    expected: list[TrackBatch] = []
    batches: list[TrackBatch] = []
    t_s = 100.0
    for there, pictures, still_s in spans:
        for pause_s in (0.0,) * (pictures - 1) + (still_s,):
            t_s += STEP_S
            if len(batches) in restarts:
                disturbed = restarted(batches)
                t_s += missed * STEP_S  # analysed by neither
            moved = frame(len(batches), t_s)
            for each in (moved, replace(moved, t_s=t_s + pause_s, still_s=pause_s))[: 2 if pause_s else 1]:
                found = somebody(10) if there else somebody()
                expected.append(undisturbed.track(each, found))
                batches.append(disturbed.track(each, found))
            t_s += pause_s
    assert [batch.track_ids for batch in batches] == [batch.track_ids for batch in expected]


@pytest.mark.parametrize("missed_s", [0.2, 0.8, 1.2, 1.6])
def test_who_walks_is_found_again_after_a_restart(missed_s: float) -> None:
    """Somebody walks a width a second while the process is replaced; another walks towards them."""
    undisturbed = tracker(5.0)
    batches = []
    for number in range(15):
        t_s = 100.0 + number * STEP_S
        batches.append(undisturbed.track(frame(number, t_s), somebody(100 + 50 * t_s % 5000, 900 - 50 * t_s % 5000)))
    t_s += missed_s
    later = frame(99, t_s), somebody(100 + 50 * t_s % 5000, 900 - 50 * t_s % 5000)
    assert restarted(batches, 5.0).track(*later).track_ids == undisturbed.track(*later).track_ids == (1, 2)


def test_who_was_missed_in_the_last_picture_is_remembered_where_last_seen() -> None:
    before = tracker()
    batches = [
        before.track(frame(0, 1.0), somebody(10, 300)),
        before.track(frame(1, 1.2), somebody(10, 300)),
        before.track(frame(2, 1.4), somebody(10)),
    ]
    assert restarted(batches).track(frame(3, 1.6), somebody(10, 300)).track_ids == (1, 2)
