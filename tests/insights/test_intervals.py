"""Time cut by the wall clock, also where that is set, the camera is away, or pictures are late."""

from __future__ import annotations

import pytest

from tests.core.stage import START_WALL_S, batch, still
from tests.insights.stage import book, play
from vedette.contracts.insight import InsightReport
from vedette.contracts.tracks import TrackBatch
from vedette.core.insights.intervals import Intervals, Piece, Span

FLOOR = {"floor": {"type": "occupancy"}}
#: Unix time of a full minute, and t_s of it with the stage's clock.
NOON = START_WALL_S + 20.0
T_NOON = 20.0


def told(reports: list[InsightReport]) -> list[tuple[float, float, float]]:
    """Start and end in seconds since NOON, analysed seconds."""
    return [
        (report.start.timestamp() - NOON, report.end.timestamp() - NOON, round(report.analysed_s, 2))
        for report in reports
    ]


def shifted(batches: list[TrackBatch], by_s: float) -> list[TrackBatch]:
    """The same pictures by a wall clock that was set."""
    places = {1: (0.6, 0.6)}
    return [
        batch(each.frame.t_s, places, wall_s=each.frame.wall_s + by_s, frame_no=each.frame.frame_no) for each in batches
    ]


def test_time_is_shared_out_at_the_boundary() -> None:
    intervals = Intervals(60)
    assert intervals.go_on(55.0) == []
    assert intervals.go_on(58.0, 3.0, 55.0) == [Piece(3.0)]
    assert intervals.go_on(61.0, 3.0, 58.0) == [Piece(2.0, Span(0.0, 60.0)), Piece(1.0)]
    assert intervals.current == Span(60.0, 120.0)


def test_slow_pictures_fill_every_interval_they_span() -> None:
    intervals = Intervals(10)
    intervals.go_on(5.0)
    pieces = intervals.go_on(35.0, 30.0, 5.0)
    assert [piece.seconds for piece in pieces] == pytest.approx([5.0, 10.0, 10.0, 5.0])
    assert [piece.closes for piece in pieces] == [Span(0, 10), Span(10, 20), Span(20, 30), None]
    assert not any(piece.empty for piece in pieces)


def test_an_outage_is_told_of_in_one_report() -> None:
    batches = still(T_NOON, T_NOON + 10, {}) + still(T_NOON + 200, T_NOON + 210.2, {})
    assert told(play(book(60, FLOOR), batches)) == [(0, 60, 9.8), (60, 180, 0.0), (180, 240, 10.0)]


def test_a_dead_camera_still_reports() -> None:
    one = book(60, FLOOR)
    reports = play(one, still(T_NOON, T_NOON + 10, {}), end=False)
    for second in range(10, 300):
        reports += [new.report for new in one.expire(NOON + second)]
    assert told(reports) == [(0, 60, 9.8), (60, 120, 0.0), (120, 180, 0.0), (180, 240, 0.0)]


def test_a_camera_that_never_came_reports_too() -> None:
    one = book(60, FLOOR)
    reports = [new.report for second in range(5, 150) for new in one.expire(NOON + second)]
    assert told(reports) == [(0, 60, 0.0), (60, 120, 0.0)]


def test_a_late_picture_counts_in_the_interval_going_on() -> None:
    one = book(60, FLOOR)
    reports = play(one, still(T_NOON + 50, T_NOON + 59, {}), end=False)
    reports += [new.report for new in one.expire(NOON + 80)]
    reports += play(one, [batch(T_NOON + 59.4, {}), *still(T_NOON + 60, T_NOON + 61, {})])
    assert told(reports) == [(0, 60, 8.8), (60, 120, 2.0)]


def test_a_clock_that_was_set_back_begins_the_interval_again() -> None:
    steady = still(T_NOON + 30, T_NOON + 50, {})
    batches = shifted(steady[:50], 0.0) + shifted(steady[50:], -3600.0)
    reports = play(book(60, FLOOR), batches)
    assert told(reports) == [(0, 60, 10.0), (-3600, -3540, 9.8)]


def test_a_minute_told_of_twice_has_two_names() -> None:
    steady = still(T_NOON + 10, T_NOON + 50, {})
    batches = shifted(steady[:50], 0.0) + shifted(steady[50:100], 60.0) + shifted(steady[100:], 0.0)
    reports = play(book(60, FLOOR), batches)
    assert [entry[0] for entry in told(reports)] == [0, 60, 0]
    assert sum(report.analysed_s for report in reports) == pytest.approx(39.8)
    assert len({report.report_id for report in reports}) == 3


def test_a_clock_that_leaps_ahead_invents_nothing() -> None:
    steady = still(T_NOON + 30, T_NOON + 50, {})
    hours, years = (shifted(steady[:50], 0.0) + shifted(steady[50:], leap_s) for leap_s in (7200.0, 1e9))
    assert told(play(book(60, FLOOR), hours)) == [(0, 60, 10.0), (60, 7200, 0.0), (7200, 7260, 9.8)]
    assert len(play(book(60, FLOOR), years)) == 2


def test_a_clock_slewed_back_by_a_second_changes_nothing() -> None:
    steady = still(T_NOON + 55, T_NOON + 65, {})
    batches = shifted(steady[:30], 0.0) + shifted(steady[30:], -1.5)
    assert told(play(book(60, FLOOR), batches)) == [(0, 60, 5.0), (60, 120, 4.8)]


def test_a_clock_set_back_while_the_camera_is_away() -> None:
    one = book(60, FLOOR)
    assert one.expire(NOON + 5) == []
    reports = [new.report for second in range(-3600, -3450) for new in one.expire(NOON + second)]
    assert told(reports) == [(-3600, -3540, 0.0), (-3540, -3480, 0.0)]


def test_the_end_of_time_is_no_mistake() -> None:
    batches = [batch(1.0, {}, wall_s=253_402_300_799.0), batch(1.2, {}, wall_s=253_402_300_799.9)]
    assert len(play(book(60, FLOOR), batches)) == 1
    first = [batch(1.0, {}, wall_s=-62_135_596_800.0), batch(1.2, {}, wall_s=0.0)]
    assert len(play(book(3600, FLOOR), first)) == 2
