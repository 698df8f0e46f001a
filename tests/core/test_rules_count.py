"""Counting, and seeing nothing."""

from __future__ import annotations

import pytest

from tests.core.stage import batch, machine, play, still, times

ZONE = ((0.4, 0.4), (0.8, 0.4), (0.8, 0.8), (0.4, 0.8))
IN, OUT = (0.6, 0.6), (0.2, 0.6)
TWO, ONE = {1: IN, 2: (0.5, 0.5)}, {1: IN}


def test_above_for_a_time_once_until_it_was_not() -> None:
    on = machine(type="count", above=1, for_s=2)
    events = play(on, still(0, 3, ONE) + still(3, 9, TWO) + still(9, 10, ONE) + still(10, 14, TWO))
    assert times(events) == [5.0, 12.0]
    assert events[0][1].count == 2
    assert len(events[0][1].objects) == 2


def test_below_counts_an_empty_picture() -> None:
    on = machine(type="count", below=1, zone=ZONE)
    events = play(on, still(0, 1, ONE) + still(1, 2, {1: OUT}) + still(2, 3, {}))
    assert times(events) == [1.0]
    assert events[0][1].count == 0


def test_breaks_shorter_than_hold_do_not_matter() -> None:
    on = machine(type="count", above=1, for_s=2, hold_s=1)
    events = play(
        on, still(0, 1, TWO) + still(1, 1.6, ONE) + still(1.6, 6, TWO) + still(6, 6.6, ONE) + still(6.6, 9, TWO)
    )
    assert times(events) == [2.0]
    assert times(play(on, still(9, 10.2, ONE) + still(10.2, 13, TWO))) == [12.2]


def test_a_gap_restarts_what_was_not_reported_and_repeats_nothing() -> None:
    on = machine(type="count", above=1, for_s=4)
    assert times(play(on, still(0, 3, TWO) + still(6, 12, TWO))) == [10.0]
    assert not play(on, still(15, 25, TWO))
    assert times(play(on, still(28, 29, ONE) + still(29, 34, TWO))) == [33.0]


def test_counts_are_reported_when_they_have_settled() -> None:
    on = machine(type="count_changed", hold_s=1)
    batches = still(0, 3, TWO) + still(3, 3.6, ONE) + still(3.6, 5, TWO) + still(5, 8, ONE) + still(8, 12, {})
    events = play(on, batches)
    assert [(event.moment.media_time_s, event.count) for _, event in events] == [(0.0, 2), (5.0, 1), (8.0, 0)]
    assert [round(decided_s, 2) for decided_s, _ in events] == [1.0, 6.0, 9.0]
    assert [len(event.objects) for _, event in events] == [2, 1, 0]


def test_a_change_during_a_gap_is_reported_after_it_and_no_change_is_not() -> None:
    on = machine(type="count_changed")
    assert [e.count for _, e in play(on, still(0, 1, TWO) + still(4, 5, TWO) + still(9, 10, ONE))] == [2, 1]
    # Even after a gap so long that everything else is forgotten.
    assert not play(on, still(500, 501, ONE))


def test_a_count_that_waits_to_settle_waits_anew_after_a_gap() -> None:
    events = play(machine(type="count_changed", hold_s=1), still(0, 0.8, TWO) + still(4, 6, TWO))
    assert [(event.moment.media_time_s, decided_s) for decided_s, event in events] == [(4.0, 5.0)]


def test_nothing_seen_once_until_something_is() -> None:
    on = machine(type="nothing_seen", for_s=3)
    events = play(on, still(0, 5, {}) + still(5, 6, ONE) + still(6, 20, {}))
    assert times(events) == [3.0, 9.0]
    assert events[0][1].duration_s == pytest.approx(3)


def test_time_not_analysed_is_not_time_in_which_nothing_was_seen() -> None:
    on = machine(type="nothing_seen", for_s=3)
    assert times(play(on, still(0, 2, {}) + still(10, 14, {}))) == [13.0]
    assert not play(on, [batch(20 + 4 * index, {}, frame_no=10_000 + index) for index in range(10)])


def test_a_flicker_is_not_something() -> None:
    on = machine(type="nothing_seen", for_s=3, hold_s=0.5)
    assert times(play(on, still(0, 1, {}) + still(1, 1.2, ONE) + still(1.2, 8, {}))) == [3.0]
    assert times(play(on, still(8, 8.8, ONE) + still(8.8, 15, {}))) == [11.8]
