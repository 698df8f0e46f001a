"""From rectangles and labels to objects in the journal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.contracts.frames import FrameInfo
from vedette.contracts.plan import PipelinePlan
from vedette.contracts.tracks import Note, TrackBatch
from vedette.core.drawn import LONGEST_NAME, name_and_score, objects_drawn
from vedette.pipeline.drawn import MOST_NAMES, OutputTracks
from vedette.pipeline.track import PipelineTracker
from vedette.ports.panorama import Label, OutputPicture, Rect

SHARE = st.floats(0, 1, width=32)


class Journal:
    def __init__(self) -> None:
        self.batches: list[TrackBatch] = []

    def append(self, batch: TrackBatch) -> None:
        self.batches.append(batch)

    def close(self) -> None: ...


def sink(journal: Journal) -> OutputTracks:
    return OutputTracks("shop", {"cam": "hall"}, 10, journal, lambda plan: PipelineTracker(plan, ()))


def info(number: int, epoch: str = "e") -> FrameInfo:
    return FrameInfo("cam", epoch, number, number / 10, number / 10, 1.7e9 + number / 10, 640, 360)


def shown(number: int, rects: tuple[Rect, ...] = (), labels: tuple[Label, ...] = (), epoch: str = "e") -> OutputPicture:
    return OutputPicture("cam", info(number, epoch), rects, labels)


@pytest.mark.parametrize(
    ("text", "name", "score"),
    [
        ("person", "person", 1.0),
        ("person 0.87", "person", 0.87),
        ("person: 87 %", "person", 0.87),
        ("person (87.5%)", "person", 0.875),
        ("car [.5]", "car", 0.5),
        ("lane 2", "lane 2", 1.0),
        ("Person  1.0", "Person", 1.0),
        ("0.87", "object", 0.87),
        ("yolo v1.0", "yolo v1.0", 1.0),
        ("load 230%", "load 230%", 1.0),
        ("", "object", 1.0),
        ("x" * 200, "x" * LONGEST_NAME, 1.0),
    ],
)
def test_a_label_names_an_object_and_may_say_how_sure_it_is(text: str, name: str, score: float) -> None:
    assert name_and_score(text) == (name, score)


def test_each_rectangle_gets_the_label_at_its_corner() -> None:
    rects = [(0.1, 0.1, 0.4, 0.5), (0.5, 0.1, 0.9, 0.5)]
    labels = [("car 0.5", 0.5, 0.08), ("person", 0.1, 0.1), ("far away", 0.1, 0.95)]
    drawn = objects_drawn(rects, labels)
    assert (drawn.names, drawn.scores) == (("person", "car"), (1.0, 0.5))
    assert drawn.notes == (("far away", 0.1, 0.95),)


def test_a_rectangle_in_another_does_not_take_its_label() -> None:
    drawn = objects_drawn([(0.1, 0.1, 0.9, 0.9), (0.4, 0.4, 0.6, 0.6)], [("inner", 0.4, 0.39), ("outer", 0.1, 0.1)])
    assert drawn.names == ("outer", "inner")


def test_what_has_no_area_is_no_object_and_swapped_sides_are_taken_as_seen() -> None:
    drawn = objects_drawn([(0.5, 0.5, 0.5, 0.9), (0.9, 0.8, 0.1, 0.2)], [])
    assert drawn.boxes == ((0.1, 0.2, 0.9, 0.8),)
    assert drawn.names == ("object",)


@given(
    st.lists(st.tuples(SHARE, SHARE, SHARE, SHARE), max_size=12),
    st.lists(st.tuples(st.text(max_size=12), SHARE, SHARE), max_size=12),
)
def test_every_label_is_used_once_or_kept(
    rects: list[tuple[float, float, float, float]], labels: list[tuple[str, float, float]]
) -> None:
    drawn = objects_drawn(rects, labels)
    assert len(drawn.boxes) == len(drawn.names) == len(drawn.scores)
    assert len(drawn.notes) >= len(labels) - len(drawn.boxes)
    assert all(x1 < x2 and y1 < y2 for x1, y1, x2, y2 in drawn.boxes)
    assert all(0 <= score <= 1 for score in drawn.scores)
    assert all(note in labels for note in drawn.notes)


def test_a_picture_becomes_a_batch_at_once_with_lasting_numbers() -> None:
    journal = Journal()
    tracks = sink(journal)
    for number in range(3):
        left = 0.1 + number / 100
        tracks.put(
            "video_out",
            [
                shown(
                    number, (Rect(left, 0.1, left + 0.2, 0.5),), (Label("person 0.3", left, 0.1), Label("hi", 0.9, 0.9))
                )
            ],
        )
    assert [batch.pipeline for batch in journal.batches] == ["shop/video_out"] * 3
    assert [batch.track_ids for batch in journal.batches] == [(1,)] * 3, "however unsure the label says it is"
    assert journal.batches[0].boxes == ((64.0, 36.0, 192.0, 180.0),)
    assert journal.batches[0].labels == ("person",)
    assert journal.batches[0].scores == (0.3,)
    assert journal.batches[0].notes == (Note("hi", 0.9, 0.9),)
    assert tracks.taken == 3


def test_a_picture_that_is_put_again_or_too_late_changes_nothing() -> None:
    journal = Journal()
    tracks = sink(journal)
    tracks.put("video_out", [shown(5)])
    tracks.put("video_out", [shown(5, (Rect(0, 0, 1, 1),)), shown(4)])
    tracks.put("other", [shown(5)])
    tracks.put("video_out", [shown(0, epoch="f")])
    assert [(b.pipeline, b.frame.epoch, b.frame.frame_no) for b in journal.batches] == [
        ("shop/video_out", "e", 5),
        ("shop/other", "e", 5),
        ("shop/video_out", "f", 0),
    ]
    assert tracks.repeated == 2


def test_names_without_end_are_bounded() -> None:
    journal = Journal()
    tracks = sink(journal)
    for number in range(5):
        rects = tuple(Rect(0.1 * n / 60, 0.1, 0.1 * n / 60 + 0.001, 0.2) for n in range(250))
        labels = tuple(Label(f"n{number * 250 + n}", rect.left, 0.1) for n, rect in enumerate(rects))
        tracks.put("video_out", [shown(number, rects, labels)])
    known = {label for batch in journal.batches for label in batch.labels}
    assert len(known) <= MOST_NAMES
    assert "object" in known


def test_a_tracker_goes_on_with_the_names_of_the_journal() -> None:
    journal = Journal()
    sink(journal).put("video_out", [shown(0, (Rect(0.1, 0.1, 0.3, 0.5),), (Label("person", 0.1, 0.1),))])
    (last,) = journal.batches

    def resumed(plan: PipelinePlan) -> PipelineTracker:
        tracker = PipelineTracker(plan, ())
        tracker.know(last.labels)
        tracker.restore([last])
        return tracker

    again = OutputTracks("shop", {"cam": "hall"}, 10, journal, resumed)
    rects = (Rect(0.1, 0.1, 0.3, 0.5), Rect(0.6, 0.1, 0.8, 0.5))
    again.put("video_out", [shown(1, rects, (Label("person", 0.1, 0.1), Label("person", 0.6, 0.1)))])
    assert journal.batches[-1].track_ids == (1, 2)


def test_a_batch_with_notes_is_read_back_and_one_without_as_before() -> None:
    journal = Journal()
    sink(journal).put("video_out", [shown(0, (), (Label("hello", 0.5, 0.25),))])
    (batch,) = journal.batches
    assert TrackBatch.from_json(batch.to_json()) == batch
    assert b"notes" not in replace(batch, notes=()).to_json()
