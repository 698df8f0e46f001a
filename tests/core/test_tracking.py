"""Numbers stay with their objects."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vedette.contracts.manifest import Tracker
from vedette.core.detections import Detections
from vedette.core.nms import iou
from vedette.core.tracking import ByteTracker, Tracks
from vedette.core.tracking.association import assign
from vedette.core.tracking.byte import MAX_TRACKS

Row = tuple[float, float, float, float, float, int]


def seen(*rows: Row) -> Detections:
    """Detections from ``x1, y1, x2, y2, score, class`` rows."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int32))


def person(x: float, y: float, score: float = 0.8, kind: int = 0, width: float = 60, height: float = 160) -> Row:
    """A box whose centre is ``(x, y)``."""
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2, score, kind)


finite = st.floats(-100, 2000, width=32)
wild = st.one_of(finite, st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e30, -1e30]))
row = st.tuples(wild, wild, wild, wild, st.one_of(st.floats(0, 1), st.just(float("nan"))), st.integers(0, 3))
solid = st.builds(
    lambda x, y, w, h, s, c: (x, y, x + w, y + h, s, c),
    finite, finite, st.floats(5, 300), st.floats(5, 300), st.floats(0.1, 1), st.integers(0, 2),
)  # fmt: skip
clip = st.lists(st.lists(solid, max_size=8), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(row, max_size=10), max_size=10), st.booleans(), st.integers(1, 3))
def test_any_boxes_give_unique_ids_and_only_detected_boxes(
    pictures: list[list[Row]], agnostic: bool, min_hits: int
) -> None:
    tracker = ByteTracker(Tracker(class_agnostic=agnostic, min_hits=min_hits), first_id=7)
    for index, rows in enumerate(pictures):
        detections = seen(*rows)
        tracks = tracker.update(detections, index * 0.2)
        assert len(set(tracks.ids.tolist())) == len(tracks)
        assert all(7 <= number < tracker.next_id for number in tracks.ids.tolist())
        known = {
            (*box, score) for box, score in zip(detections.boxes.tolist(), detections.scores.tolist(), strict=True)
        }
        found = {(*box, score) for box, score in zip(tracks.boxes.tolist(), tracks.scores.tolist(), strict=True)}
        assert found <= known
        assert np.isfinite(tracks.boxes).all()
        assert tracks.boxes.dtype == np.float32
        assert tracks.classes.dtype == np.int32


@settings(max_examples=60, deadline=None)
@given(clip, st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_the_boxes_does_not_matter(pictures: list[list[Row]], random: object, agnostic: bool) -> None:
    config = Tracker(class_agnostic=agnostic)
    first, second = ByteTracker(config), ByteTracker(config)
    for index, rows in enumerate(pictures):
        mixed = list(rows)
        random.shuffle(mixed)  # type: ignore[attr-defined]
        a, b = first.update(seen(*rows), index * 0.1), second.update(seen(*mixed), index * 0.1)
        assert a.ids.tolist() == b.ids.tolist()
        assert a.boxes.tolist() == b.boxes.tolist()
        assert a.classes.tolist() == b.classes.tolist()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 7), st.integers(0, 7), st.integers(0, 2**31), st.sampled_from([0.05, 0.2, 0.5]))
def test_the_assignment_is_the_best_there_is(n: int, m: int, seed: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    similarity = np.where(rng.random((n, m)) < 0.5, rng.random((n, m)), 0.0)
    rows, columns = assign(similarity, least)
    assert len(set(rows.tolist())) == len(rows)
    assert len(set(columns.tolist())) == len(columns)
    assert (similarity[rows, columns] >= least).all()
    value = float((similarity[rows, columns] - least).sum())
    assert value == pytest.approx(_best(np.where(similarity >= least, similarity - least, 0.0)), abs=1e-6)


def _best(gain: NDArray[np.float64]) -> float:
    """Greatest sum of gains of a matching, by dynamic programming over sets of columns."""
    best = {0: 0.0}
    for line in gain:
        grown = dict(best)
        for used, total in best.items():
            for column, worth in enumerate(line):
                if not used >> column & 1:
                    key = used | 1 << column
                    grown[key] = max(grown.get(key, 0.0), total + float(worth))
        best = grown
    return max(best.values())


@given(st.lists(solid, min_size=1, max_size=5), st.lists(solid, min_size=1, max_size=5))
def test_overlap_is_symmetric_and_within_bounds(first: list[Row], second: list[Row]) -> None:
    a, b = np.array(first)[:, :4], np.array(second)[:, :4]
    there, back = iou(a, b), iou(b, a)
    assert np.allclose(there, back.T)
    assert ((there >= 0) & (there <= 1 + 1e-9)).all()
    assert np.allclose(np.diag(iou(a, a)), 1)


def test_a_track_counts_only_after_min_hits() -> None:
    tracker = ByteTracker(Tracker(min_hits=3))
    lengths = [len(tracker.update(seen(person(100, 100)), index * 0.2)) for index in range(4)]
    assert lengths == [0, 0, 1, 1]
    assert tracker.next_id == 2


def test_unsure_boxes_start_nothing_but_continue_a_track() -> None:
    tracker = ByteTracker(Tracker(min_hits=1))
    assert not len(tracker.update(seen(person(100, 100, 0.3)), 0.0))
    assert len(tracker.update(seen(person(100, 100, 0.6)), 0.2))
    weak = tracker.update(seen(person(104, 100, 0.15)), 0.4)
    assert weak.ids.tolist() == [1]
    assert weak.scores[0] == pytest.approx(0.15)
    assert not len(tracker.update(seen(person(104, 100, 0.05)), 0.6))


def _walk(tracker: ByteTracker, hidden: tuple[float, float], fps: float) -> list[tuple[float, Tracks]]:
    """Two people of the same class walk past each other; the one behind is not detected while hidden."""
    out = []
    for index in range(round(6 * fps)):
        t_s = index / fps
        rows = [person(100 + 100 * t_s, 300)]
        if not hidden[0] <= t_s <= hidden[1]:
            rows.append(person(700 - 100 * t_s, 310))
        out.append((t_s, tracker.update(seen(*rows), t_s)))
    return out


@pytest.mark.parametrize("fps", [5.0, 10.0, 25.0])
def test_people_who_cross_keep_their_numbers(fps: float) -> None:
    steps = _walk(ByteTracker(Tracker()), (2.8, 3.2), fps)
    final = steps[-1][1]
    assert final.ids.tolist() == [1, 2]
    before = next(tracks for t_s, tracks in steps if t_s > 1 and len(tracks) == 2)
    goes_right = int(before.ids[before.boxes[:, 0].argmin()])
    assert int(final.ids[final.boxes[:, 0].argmax()]) == goes_right
    assert {number for _, tracks in steps for number in tracks.ids.tolist()} == {1, 2}


@pytest.mark.parametrize("outage_s", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("pictures", [True, False])
def test_who_stands_still_through_an_outage_keeps_the_number(outage_s: float, pictures: bool) -> None:
    rng = np.random.default_rng(3)
    tracker = ByteTracker(Tracker(lost_s=3.0))
    for index in range(100):
        t_s = index * 0.2
        hidden = 10.0 < t_s <= 10.0 + outage_s
        if hidden and not pictures:
            continue
        jitter = rng.normal(0, 3, 2)
        tracks = tracker.update(seen() if hidden else seen(person(300 + jitter[0], 300 + jitter[1])), t_s)
        if not hidden and index > 1:
            assert tracks.ids.tolist() == [1]


def test_who_enters_elsewhere_gets_a_number_of_their_own() -> None:
    tracker = ByteTracker(Tracker())
    for index in range(10):
        tracker.update(seen(person(600 + 10 * index, 300)), index * 0.2)
    for index in range(10, 20):
        tracks = tracker.update(seen(person(100, 400)), index * 0.2)
    assert tracks.ids.tolist() == [2]


def test_after_too_long_an_absence_the_number_is_not_given_again() -> None:
    tracker = ByteTracker(Tracker(lost_s=1.0, min_hits=1))
    assert tracker.update(seen(person(100, 100)), 0.0).ids.tolist() == [1]
    for index in range(1, 10):
        tracker.update(seen(), index * 0.2)
    assert len(tracker) == 0
    assert tracker.update(seen(person(100, 100)), 2.0).ids.tolist() == [2]


@pytest.mark.parametrize("jump_s", [-5.0, 30.0])
def test_a_jump_in_time_drops_tracks_and_never_reuses_numbers(jump_s: float) -> None:
    tracker = ByteTracker(Tracker(min_hits=1))
    tracker.update(seen(person(100, 100), person(300, 100)), 100.0)
    assert tracker.update(seen(person(100, 100)), 100.0 + jump_s).ids.tolist() == [3]
    assert len(tracker) == 1


@pytest.mark.parametrize("gap_s", [1.0, 2.0, 3.0])
def test_after_a_restart_the_same_object_has_the_same_number(gap_s: float) -> None:
    tracker = ByteTracker(Tracker(), first_id=40)
    old = person(300, 300)
    tracker.follow([17, 39], [old[:4], person(600, 300)[:4]], [0.8, 0.4], [0, 0], 50.0)
    tracks = tracker.update(seen(person(306, 298), person(900, 300)), 50.0 + gap_s)
    assert tracks.ids.tolist() == [17]
    tracks = tracker.update(seen(person(306, 298), person(905, 300)), 50.2 + gap_s)
    assert tracks.ids.tolist() == [17, 40]


def test_following_moves_the_next_number_past_what_was_given() -> None:
    tracker = ByteTracker(Tracker())
    tracker.follow([8], [[0, 0, 10, 10]], [0.9], [1], 1.0)
    assert tracker.next_id == 9
    with pytest.raises(ValueError, match="columns differ"):
        tracker.follow([8, 9], [[0, 0, 10, 10]], [0.9], [1], 1.0)
    with pytest.raises(ValueError, match="finite"):
        tracker.update(seen(), float("nan"))


def test_class_agnostic_matching_keeps_one_track_and_votes_for_its_class() -> None:
    kinds = [67, 2, 2, 67, 2, 2, 2, 67]
    strict, agnostic = ByteTracker(Tracker()), ByteTracker(Tracker(class_agnostic=True))
    numbers: set[int] = set()
    for index, kind in enumerate(kinds):
        boxes = seen(person(100 + 12 * index, 100, 0.5 if kind == 67 else 0.7, kind))
        strict.update(boxes, index * 0.1)
        tracks = agnostic.update(boxes, index * 0.1)
        numbers |= set(tracks.ids.tolist())
    assert numbers == {1}
    assert tracks.classes.tolist() == [2]
    assert len(strict) == 2


def test_a_second_box_on_the_same_object_starts_no_twin() -> None:
    tracker = ByteTracker(Tracker(class_agnostic=True, min_hits=1))
    for index in range(5):
        tracks = tracker.update(seen(person(100, 100, 0.9, 2), person(102, 101, 0.6, 67)), index * 0.1)
        assert tracks.ids.tolist() == [1]


def test_a_part_of_a_followed_object_starts_no_track_unless_it_is_told_apart_by_class() -> None:
    car, windscreen = (100, 0, 270, 300, 0.9, 2), (120, 0, 265, 150, 0.6, 67)
    agnostic, strict = ByteTracker(Tracker(class_agnostic=True)), ByteTracker(Tracker())
    for index in range(5):
        one = agnostic.update(seen(car, windscreen), index * 0.1)
        both = strict.update(seen(car, windscreen), index * 0.1)
    assert len(one) == 1
    assert len(both) == 2


def test_a_new_track_survives_an_unsure_picture_but_is_not_confirmed_by_it() -> None:
    scores = [0.7, 0.3, 0.3, 0.5]
    tracker = ByteTracker(Tracker())
    counts = [len(tracker.update(seen(person(100 + 5 * i, 100, s)), i * 0.2)) for i, s in enumerate(scores)]
    assert counts == [0, 0, 0, 1]


def test_numbers_belong_to_the_instance() -> None:
    for _ in range(2):
        assert ByteTracker(Tracker(min_hits=1)).update(seen(person(1, 1)), 0.0).ids.tolist() == [1]


def test_memory_stays_bounded() -> None:
    rng = np.random.default_rng(0)
    tracker = ByteTracker(Tracker(min_hits=1, class_agnostic=True, lost_s=60))
    empty = seen()
    crowd = np.zeros((700, 6))
    for index in range(100_000):
        if index % 2_500 == 0:
            corner = rng.uniform(0, 1e5, (700, 2))
            crowd[:, :2], crowd[:, 2:4], crowd[:, 4], crowd[:, 5] = corner, corner + 20, 0.9, index % 90
            tracker.update(
                Detections(
                    crowd[:, :4].astype(np.float32), crowd[:, 4].astype(np.float32), crowd[:, 5].astype(np.int32)
                ),
                index * 0.02,
            )
            assert len(tracker) <= MAX_TRACKS
        elif index % 20 == 0:
            tracker.update(empty, index * 0.02)
    assert len(tracker) <= MAX_TRACKS
    columns = tracker._table._columns()
    assert sum(column.nbytes for column in columns.values()) < 2_000_000


def test_speed_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for n in (5, 20, 100):
        place, speed = rng.uniform(0, 1800, (n, 2)), rng.uniform(-40, 40, (n, 2))
        tracker, times = ByteTracker(Tracker()), []
        for index in range(150):
            corner = np.abs((place + speed * index * 0.1) % 3600 - 1800)
            boxes = (np.c_[corner, corner + np.array([60, 120])] + rng.normal(0, 1, (n, 4))).astype(np.float32)
            detections = Detections(boxes, np.full(n, 0.8, np.float32), np.zeros(n, np.int32))
            start_s = time.perf_counter()
            tracker.update(detections, index * 0.1)
            times.append(time.perf_counter() - start_s)
        with capsys.disabled():
            print(f"\ntracker: {np.median(times) * 1e3:.3f} ms for {n} objects", end="")
