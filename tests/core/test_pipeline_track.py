"""From detections to the batch in the journal, and on after a restart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Tracker
from vedette.contracts.plan import PipelinePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.detections import Detections
from vedette.core.rules.clock import StreamClock
from vedette.pipeline.track import MAX_OBJECTS, PipelineTracker

LABELS = ("person", "car", "dog")


def plan(labels: tuple[str, ...] | None = None, **tracker: object) -> PipelinePlan:
    settings = Tracker.model_validate({"min_hits": 1, **tracker})
    return PipelinePlan(
        application="app", pipeline="p", camera="cam", app_camera="hall", fps=5, labels=labels, tracker=settings
    )


def frame(t_s: float, epoch: str = "e") -> FrameInfo:
    return FrameInfo("cam", epoch, round(t_s * 100), t_s, t_s, 1_750_000_000 + t_s, 1000, 500)


def seen(*objects: tuple[float, int, float]) -> Detections:
    """Boxes of 50 x 100 pixels at ``(x, class, score)``."""
    table = np.array(objects, np.float64).reshape(-1, 3)
    x = table[:, 0]
    boxes = np.stack((x, np.full_like(x, 100), x + 50, np.full_like(x, 200)), axis=1)
    return Detections(boxes.astype(np.float32), table[:, 2].astype(np.float32), table[:, 1].astype(np.int32))


def tracker(pipeline: PipelinePlan) -> PipelineTracker:
    return PipelineTracker(pipeline, LABELS, wall_clock=lambda: 5.0)


def test_a_batch_holds_the_objects_as_the_journal_does() -> None:
    batch = tracker(plan()).track(frame(1.0), seen((10.04, 1, 0.87654), (200, 0, 0.6)))
    assert batch.pipeline == "app/p"
    assert batch.track_ids == (1, 2)
    assert batch.labels == ("car", "person")
    assert batch.scores == (0.877, 0.6)
    assert batch.boxes[0] == (10.0, 100.0, 60.0, 200.0)
    assert batch.analysed_wall_s == 5.0
    assert TrackBatch.from_json(batch.to_json()) == batch


def test_classes_the_pipeline_does_not_keep_are_dropped_before_tracking() -> None:
    here = tracker(plan(("car", "horse")))
    batch = here.track(frame(1.0), seen((10, 0, 0.9), (200, 1, 0.9), (400, 7, 0.9), (600, -1, 0.9)))
    assert batch.labels == ("car",)
    assert here.next_id == 2


def test_unsure_boxes_reach_the_tracker() -> None:
    here = tracker(plan())
    here.track(frame(1.0), seen((10, 0, 0.9)))
    assert here.track(frame(1.2), seen((11, 0, 0.2))).scores == (0.2,)


def test_an_empty_picture_is_a_batch_too() -> None:
    batch = tracker(plan()).track(frame(1.0), Detections.empty())
    assert batch.track_ids == ()
    assert batch.next_track_id == 1


def test_a_crowd_is_cut_and_said_to_be() -> None:
    many = seen(*((60.0 * index, 0, 0.9) for index in range(MAX_OBJECTS + 20)))
    batch = tracker(plan()).track(frame(1.0), many)
    assert batch.truncated
    assert len(batch.track_ids) == MAX_OBJECTS
    assert tracker(plan()).track(frame(1.0), replace(seen((1, 0, 0.9)), truncated=True)).truncated


@pytest.mark.parametrize("gap_s", [1.0, 3.0])
def test_after_a_restart_numbers_go_on(gap_s: float) -> None:
    before = tracker(plan())
    before.track(frame(1.0), seen((10, 0, 0.9), (400, 1, 0.9)))
    last = before.track(frame(1.2), seen((12, 0, 0.9)))
    after = tracker(plan())
    after.restore([TrackBatch.from_json(last.to_json())])
    assert after.track(frame(1.2 + gap_s), seen((13, 0, 0.9), (700, 0, 0.8))).track_ids == (1, 3)


def test_numbers_are_not_given_twice_even_after_an_empty_picture() -> None:
    before = tracker(plan())
    before.track(frame(1.0), seen((10, 0, 0.9)))
    after = tracker(plan())
    after.restore([before.track(frame(1.2), Detections.empty())])
    assert after.track(frame(1.4), seen((10, 0, 0.9))).track_ids == (2,)


def test_after_a_reboot_nobody_keeps_a_number() -> None:
    before = tracker(plan())
    last = before.track(frame(100.0), seen((10, 0, 0.9)))
    after = tracker(plan())
    after.restore([last])
    later = replace(frame(101.0, epoch="new"), wall_s=frame(101.0).wall_s + 3600)
    assert after.track(later, seen((10, 0, 0.9))).track_ids == (2,)


def test_a_class_the_model_no_longer_has_is_dropped() -> None:
    last = tracker(plan()).track(frame(1.0), seen((10, 2, 0.9), (400, 1, 0.9)))
    after = PipelineTracker(plan(), ("car",))
    after.restore([last])
    moved = Detections(*(getattr(seen((401, 0, 0.9)), name) for name in ("boxes", "scores", "classes")))
    assert after.track(frame(1.2), moved).track_ids == (2,)


def test_the_number_of_a_class_the_model_no_longer_has_is_not_given_again() -> None:
    last = replace(tracker(plan()).track(frame(1.0), seen((10, 2, 0.9), (400, 2, 0.9))), next_track_id=1)
    after = PipelineTracker(plan(), ("car",))
    after.restore([last])
    assert after.track(frame(1.2), seen((700, 0, 0.9))).track_ids == (3,)


def test_time_in_which_nothing_moved_loses_nobody() -> None:
    following = tracker(plan(lost_s=0.5))
    (known,) = following.track(frame(1.0), seen((10, 0, 0.9))).track_ids
    for t_s in (3.0, 5.0, 7.0):  # key pictures alone
        assert following.track(replace(frame(t_s), still_s=t_s - 1.0), seen((10, 0, 0.9))).track_ids == (known,)
    assert following.track(frame(7.2), seen((10, 0, 0.9))).track_ids == (known,)
    assert following.track(frame(9.2), seen((10, 0, 0.9))).track_ids != (known,), "a gap of which nobody knows"


def test_who_is_missed_while_nothing_moves_is_not_shown_and_not_lost() -> None:
    following = tracker(plan(lost_s=0.5))
    one, two = following.track(frame(1.0), seen((10, 0, 0.9), (200, 0, 0.9))).track_ids
    still = [replace(frame(t_s), still_s=2.0) for t_s in (3.0, 5.0, 7.0)]
    assert following.track(still[0], seen((10, 0, 0.9), (200, 0, 0.9))).track_ids == (one, two)
    assert following.track(still[1], seen((200, 0, 0.9))).track_ids == (two,)
    assert following.track(still[2], seen((10, 0, 0.9), (200, 0, 0.9))).track_ids == (one, two)


def test_what_is_seen_once_while_nothing_moves_is_not_there() -> None:
    following = tracker(plan(min_hits=2))
    still = [frame(1.0), *(replace(frame(t_s), still_s=2.0) for t_s in (3.0, 5.0, 7.0))]
    assert following.track(still[0], seen()).track_ids == ()
    assert following.track(still[1], seen((10, 0, 0.9))).track_ids == ()
    assert [len(following.track(one, seen()).track_ids) for one in still[2:]] == [0, 0]


def test_texts_stay_with_their_objects_while_nothing_moves() -> None:
    following = tracker(plan())

    def codes(*objects: tuple[float, str]) -> Detections:
        return replace(seen(*((x, 0, 0.9) for x, _ in objects)), texts=tuple(text for _, text in objects))

    still = [frame(1.0), *(replace(frame(t_s), still_s=2.0) for t_s in (3.0, 5.0, 7.0))]
    following.track(still[0], codes((10, "A"), (200, "B")))
    for one in still[1:]:
        batch = following.track(one, codes((10, "A")))
        assert [found.value for (found,) in batch.attributes] == ["A"]


def size(t_s: float, width: int, height: int) -> FrameInfo:
    return replace(frame(t_s, f"{width}"), width=width, height=height)


def resized(detections: Detections, across: float, down: float) -> Detections:
    return replace(detections, boxes=detections.boxes * np.array([across, down, across, down], np.float32))


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(("across", "down"), [(3.0, 3.0), (1 / 3, 1 / 3), (1.5, 2.0)])
def test_a_picture_of_another_size_shows_the_same_objects(across: float, down: float, restarted: bool) -> None:
    here = tracker(plan())
    small = [here.track(size(1.0 + step * 0.2, 1000, 500), seen((100 + 8 * step, 0, 0.9), (700, 0, 0.8)))
             for step in range(10)]  # fmt: skip
    assert {batch.track_ids for batch in small} == {(1, 2)}
    if restarted:
        here = tracker(plan())
        here.restore(small)
    for step in range(10, 15):
        walks, stands = (100 + 8 * step, 0, 0.9), (700, 0, 0.8)
        other = size(1.6 + step * 0.2, round(1000 * across), round(500 * down))
        assert here.track(other, resized(seen(walks, stands), across, down)).track_ids == (1, 2)
        assert here.track(
            replace(other, t_s=other.t_s + 0.1), resized(seen(walks, stands), across, down)
        ).track_ids == (1, 2)


def test_the_clock_of_rules_goes_on_while_nothing_moves() -> None:
    clock = StreamClock(fps=5)
    assert clock.advance(frame(1.0)) is not None
    tick = clock.advance(replace(frame(5.0), still_s=4.0))
    assert tick is not None
    assert (tick.now_s, tick.gap_s) == (4.0, 0.0)
    tick = clock.advance(replace(frame(9.0), still_s=1.0))
    assert tick is not None
    assert tick.gap_s == 4.0, "most of it is unknown"
