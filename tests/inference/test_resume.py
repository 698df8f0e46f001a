from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Tracker
from vedette.contracts.plan import PipelinePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.detections import Detections
from vedette.pipeline.resume import with_lost_objects
from vedette.pipeline.track import PipelineTracker

STEP_S, LOST_S = 0.2, 1.07
PLAN = PipelinePlan(
    application="app",
    pipeline="p",
    camera="cam",
    app_camera="hall",
    fps=1 / STEP_S,
    tracker=Tracker(min_hits=1, lost_s=LOST_S),
)
SOMEBODY = Detections(np.array([[10, 10, 60, 90]], np.float32), np.array([0.9], np.float32), np.zeros(1, np.int32))


def batch(t_s: float, **objects: float) -> TrackBatch:
    """Objects ``n<number>=x``: a box of ten pixels at x."""
    return TrackBatch(
        "app/p",
        FrameInfo("cam", "e", int(t_s * 10), t_s, t_s, t_s, 100, 100),
        tuple(int(name[1:]) for name in objects),
        tuple((x, 0.0, x + 10, 10.0) for x in objects.values()),
        ("thing",) * len(objects),
        (0.9,) * len(objects),
        next_track_id=9,
    )


def test_who_was_missed_in_the_last_picture_is_remembered_where_last_seen() -> None:
    earlier = [batch(9.9, n1=30, n2=60), batch(9.8, n1=20), batch(5.0, n7=50), batch(12.0, n8=1)]
    merged, seen_s = with_lost_objects(batch(10.0, n2=61), earlier, lost_s=3.0)
    assert dict(zip(merged.track_ids, (box[0] for box in merged.boxes), strict=True)) == {1: 30, 2: 61}
    assert dict(zip(merged.track_ids, seen_s, strict=True)) == {1: 9.9, 2: 10.0}
    assert (merged.frame.t_s, merged.next_track_id) == (10.0, 9)


def test_nothing_earlier_changes_nothing() -> None:
    last = batch(10.0, n2=61)
    assert with_lost_objects(last, [], 3.0) == (last, (10.0,))
    assert with_lost_objects(last, [last], 3.0) == (last, (10.0,))


def _tracker() -> PipelineTracker:
    return PipelineTracker(PLAN, ("thing",), wall_clock=lambda: 5.0)


def _restarted(batches: list[TrackBatch]) -> PipelineTracker:
    tracker = _tracker()
    if batches:
        tracker.restore(*with_lost_objects(batches[-1], batches, LOST_S))
    return tracker


@given(
    # Spans of pictures: whether somebody is there, how many, and for how long nothing moves after each of them.
    spans=st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.sampled_from([0.0, 0.0, 3.0])), max_size=8),
    restarts=st.sets(st.integers(0, 60), max_size=4),
    missed=st.integers(0, 9),
)
@example(spans=[(True, 3, 0.0), (False, 6, 0.0), (True, 3, 0.0)], restarts={8}, missed=0)
def test_restarts_change_no_number(spans: list[tuple[bool, int, float]], restarts: set[int], missed: int) -> None:
    """Who comes after another has left is somebody else, and who stays is not, whenever the process is replaced."""
    undisturbed, restarted = _tracker(), _tracker()
    expected: list[TrackBatch] = []
    batches: list[TrackBatch] = []
    t_s = 100.0
    for there, pictures, still_s in spans:
        for pause_s in (0.0,) * (pictures - 1) + (still_s,):
            t_s += STEP_S
            if len(batches) in restarts:
                restarted = _restarted(batches)
                t_s += missed * STEP_S  # analysed by neither
            moved = FrameInfo("cam", "e", len(batches), t_s, t_s, t_s, 100, 100)
            for frame in (moved, replace(moved, t_s=t_s + pause_s, still_s=pause_s))[: 2 if pause_s else 1]:
                found = SOMEBODY if there else Detections.empty()
                expected.append(undisturbed.track(frame, found))
                batches.append(restarted.track(frame, found))
            t_s += pause_s
    assert [batch.track_ids for batch in batches] == [batch.track_ids for batch in expected]
