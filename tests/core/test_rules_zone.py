"""Entering, leaving, staying in and occupying a zone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.stage import batch, machine, play, still, times
from vedette.core.rules import RuleMachine

ZONE = ((0.4, 0.4), (0.8, 0.4), (0.8, 0.8), (0.4, 0.8))
IN, OUT = (0.6, 0.6), (0.2, 0.6)


def zone(kind: str, **fields: Any) -> RuleMachine:
    return machine(type=kind, zone=ZONE, **fields)


# Entered.


def test_entering_and_appearing_are_reported_once() -> None:
    events = play(
        zone("zone_entered"), still(0, 1, {1: OUT, 2: IN}) + still(1, 2, {1: IN, 2: IN}) + still(2, 9, {1: IN})
    )
    assert times(events) == [0.0, 1.0]
    assert [event.objects[0].track_id for _, event in events] == [2, 1]


def test_a_moment_outside_or_unseen_is_the_same_visit() -> None:
    events = play(
        zone("zone_entered"),
        still(0, 2, {1: IN})
        + still(2, 2.6, {1: OUT})
        + still(2.6, 4, {1: IN})
        + still(4, 9, {})
        + still(9, 10, {1: IN}),
    )
    assert times(events) == [0.0]


def test_after_a_real_absence_it_is_another_visit() -> None:
    events = play(zone("zone_entered"), still(0, 2, {1: IN}) + still(2, 4, {1: OUT}) + still(4, 5, {1: IN}))
    assert times(events) == [0.0, 4.0]


def test_entering_must_last() -> None:
    on = zone("zone_entered", hold_s=1.0)
    events = play(on, still(0, 0.6, {1: IN}) + still(0.6, 0.8, {1: OUT}) + still(0.8, 3, {1: IN}))
    assert times(events) == [0.8]
    assert events[0][0] == pytest.approx(1.8)


def test_of_two_new_numbers_on_the_same_spot_one_is_the_same_visit() -> None:
    near = {7: (0.602, 0.6), 8: (0.598, 0.6)}
    events = play(zone("zone_entered"), still(0, 2, {1: IN}) + still(2, 2.4, {}) + still(2.4, 4, near))
    assert times(events) == [0.0, 2.4]


def test_new_numbers_are_each_on_the_visit_of_whom_they_stand_nearest() -> None:
    """Two people get new numbers in one picture, a third one is really new."""
    there, new = (0.5, 0.7), (0.7, 0.5)
    events = play(zone("zone_entered"), still(0, 2, {1: IN, 2: there}) + still(2, 4, {7: there, 8: new, 9: IN}))
    assert [(at, event.objects[0].track_id) for at, event in events] == [(0.0, 1), (0.0, 2), (2.0, 8)]


def test_a_new_number_on_the_same_spot_is_the_same_visit() -> None:
    events = play(zone("zone_entered"), still(0, 2, {1: IN}) + still(2, 2.4, {}) + still(2.4, 4, {7: (0.602, 0.6)}))
    assert times(events) == [0.0]
    others = play(zone("zone_entered"), still(0, 2, {1: IN}) + still(2, 4, {7: (0.7, 0.6)}))
    assert times(others) == [0.0, 2.0]
    together = play(zone("zone_entered"), still(0, 2, {1: IN}) + still(2, 4, {1: IN, 7: (0.602, 0.6)}))
    assert times(together) == [0.0, 2.0]


# Left.


def test_leaving_is_reported_as_of_the_first_picture_outside() -> None:
    events = play(zone("zone_left"), still(0, 2, {1: IN}) + still(2, 9, {1: OUT}))
    assert times(events) == [2.0]
    assert events[0][1].objects[0].box[0] == pytest.approx(180)


def test_leaving_must_last() -> None:
    on = zone("zone_left", hold_s=1.0)
    batches = still(0, 2, {1: IN}) + still(2, 2.6, {1: OUT}) + still(2.6, 4, {1: IN}) + still(4, 8, {1: OUT})
    events = play(on, batches)
    assert times(events) == [4.0]
    assert events[0][0] == pytest.approx(5.0)


def test_vanishing_is_leaving_but_only_while_analysed() -> None:
    events = play(zone("zone_left"), still(0, 2, {1: IN}) + still(2, 9, {}))
    assert times(events) == [1.8]
    assert events[0][0] == pytest.approx(4.8)
    assert not play(zone("zone_left"), still(0, 2, {1: IN}) + still(5, 15, {}))
    assert not play(zone("zone_left"), still(0, 2, {1: IN}) + still(2, 3, {}) + still(6, 15, {}))


def test_seen_outside_after_a_gap_it_has_left() -> None:
    assert times(play(zone("zone_left"), still(0, 2, {1: IN}) + still(5, 6, {1: OUT}))) == [5.0]


def test_hidden_for_a_moment_is_not_gone() -> None:
    events = play(
        zone("zone_left"), still(0, 2, {1: IN}) + still(2, 4, {}) + still(4, 6, {1: IN}) + still(6, 7, {1: OUT})
    )
    assert times(events) == [6.0]


def test_to_and_fro_over_the_edge_is_one_leaving() -> None:
    flicker = [batch(2 + i / 5, {1: OUT if i % 2 == 0 else IN}) for i in range(20)]
    assert times(play(zone("zone_left"), still(0, 2, {1: IN}) + flicker)) == [2.0]
    again = still(0, 2, {1: IN}) + still(2, 2.4, {1: OUT}) + still(2.4, 5, {1: IN}) + still(5, 6, {1: OUT})
    assert times(play(zone("zone_left"), again)) == [2.0, 5.0]


def test_who_was_never_inside_cannot_leave() -> None:
    assert not play(zone("zone_left"), still(0, 9, {1: OUT}) + still(9, 15, {}))
    assert not play(zone("zone_left", hold_s=1.0), still(0, 0.4, {1: IN}) + still(0.4, 5, {1: OUT}))


# Dwell.


def test_dwell_is_reported_once_a_visit() -> None:
    on = zone("dwell", for_s=5)
    events = play(on, still(0, 20, {1: IN}) + still(20, 22, {1: OUT}) + still(22, 30, {1: IN}))
    assert times(events) == [5.0, 27.0]
    assert events[0][1].duration_s == pytest.approx(5)


def test_dwell_is_about_one_object() -> None:
    assert not play(zone("dwell", for_s=5), still(0, 3, {1: IN}) + still(3, 6, {2: (0.5, 0.5)}))


def test_a_dropout_or_a_step_outside_does_not_reset_dwell() -> None:
    batches = still(0, 2, {1: IN}) + still(2, 4, {}) + still(4, 4.6, {1: IN}) + still(4.6, 5.4, {1: OUT})
    assert times(play(zone("dwell", for_s=6), batches + still(5.4, 9, {1: IN}))) == [6.0]
    long = still(0, 2, {1: IN}) + still(2, 3.4, {1: OUT}) + still(3.4, 9, {1: IN})
    assert times(play(zone("dwell", for_s=5), long)) == [8.4]
    assert times(play(zone("dwell", for_s=5, hold_s=2), long)) == [5.0]


def test_a_touch_of_the_edge_does_not_begin_a_visit() -> None:
    touch = [batch(0, {1: IN}), batch(0.2, {1: OUT}), *still(0.4, 9, {1: IN})]
    assert times(play(zone("dwell", for_s=5), touch)) == [5.4]
    wobble = [*still(0, 0.6, {1: IN}), batch(0.6, {1: OUT}), *still(0.8, 9, {1: IN})]
    assert times(play(zone("dwell", for_s=5), wobble)) == [5.0]


def test_a_gap_counts_as_dwelling_only_for_who_is_still_there() -> None:
    stayed = still(0, 2, {1: IN}) + still(6, 12, {1: IN})
    assert times(play(zone("dwell", for_s=7), stayed)) == [7.0]
    found_late = still(0, 2, {1: IN}) + still(6, 6.6, {}) + still(6.6, 12, {1: IN})
    assert times(play(zone("dwell", for_s=7), found_late)) == [7.0]
    other = still(0, 2, {1: IN}) + still(6, 12, {2: (0.5, 0.7)})
    assert times(play(zone("dwell", for_s=5), other)) == [11.0]


def test_the_same_object_under_a_new_number_after_the_longest_pause_that_is_no_gap_is_not_reported_again() -> None:
    batches = still(0, 2, {1: IN}) + still(2.8, 3.0, {}) + still(3.0, 6, {2: IN})
    assert times(play(zone("zone_entered"), batches)) == [0.0]
    gone = still(0, 2, {1: IN}) + still(2, 3.6, {}) + still(3.6, 6, {2: IN})
    assert times(play(zone("zone_entered"), gone)) == [0.0, 3.6]


def test_the_same_object_under_a_new_number_after_a_gap_is_not_reported_again() -> None:
    batches = still(0, 6, {1: IN}) + still(10, 10.4, {}) + still(10.4, 20, {2: IN})
    assert times(play(zone("dwell", for_s=5), batches)) == [5.0]


# Occupied.


def test_occupation_by_whoever_is_reported_once() -> None:
    on = zone("zone_occupied", for_s=5)
    batches = still(0, 3, {1: IN}) + still(3, 3.6, {}) + still(3.6, 9, {2: IN, 3: (0.5, 0.5)})
    events = play(on, batches)
    assert times(events) == [5.0]
    assert events[0][1].count == 2
    assert times(play(on, still(9, 11, {}) + still(11, 20, {4: IN}))) == [16.0]


def test_an_empty_zone_ends_the_occupation() -> None:
    batches = still(0, 3, {1: IN}) + still(3, 4.4, {}) + still(4.4, 12, {1: IN})
    assert times(play(zone("zone_occupied", for_s=5), batches)) == [9.4]
    assert times(play(zone("zone_occupied", for_s=5, hold_s=2), batches)) == [5.0]


def test_a_gap_is_occupied_only_by_who_is_there_before_and_after() -> None:
    same = still(0, 2, {1: IN}) + still(6, 12, {1: IN})
    assert times(play(zone("zone_occupied", for_s=7), same)) == [7.0]
    # Two seconds before the gap, less the step into it, and what is missing after it.
    other = still(0, 2, {1: IN}) + still(6, 14, {2: (0.5, 0.5)})
    assert times(play(zone("zone_occupied", for_s=7), other)) == [11.2]


def test_occupation_works_at_one_picture_a_second() -> None:
    on = machine(fps=1.0, type="zone_occupied", zone=ZONE, for_s=5)
    assert times(play(on, still(0, 9, {1: IN}, fps=1.0))) == [5.0]
