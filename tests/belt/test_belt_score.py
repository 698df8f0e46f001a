"""Alerts against the truth, attacked: every way in which an alert may be missing or wrong must cost something."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette.testing.belt import BeltSettings, make_truth
from vedette.testing.belt.score import GRACE_S, LATE_S, Outcome, Passage, Repetition, Report, passages, score

TRUTH = make_truth(BeltSettings(seed=31, duration_s=40))
WALL_S = 1_700_000_000.0
PASSED = passages(TRUTH, [Repetition(0, WALL_S), Repetition(1, WALL_S + 40)], WALL_S, WALL_S + 80)
DEFECTIVE = [passage for passage in PASSED if passage.part.defective]
GOOD = [passage for passage in PASSED if not passage.part.defective]


def report(passage: Passage, after_s: float = 0.05, label: str = "") -> Report:
    return Report(passage.line_s + after_s, label or passage.part.label.value, passage.line_s + after_s + 0.2)


def outcome(reports: list[Report]) -> Outcome:
    return score(PASSED, reports)


def test_all_right() -> None:
    found = outcome([report(passage) for passage in DEFECTIVE])
    assert (found.precision, found.recall) == (1.0, 1.0)
    assert found.defective == found.named_right == len(DEFECTIVE) > 10
    assert len(found.passed) == len(PASSED)
    assert found.median_delay_s == pytest.approx(0.25)
    assert found.worst_delay_s == pytest.approx(0.25)


def test_nothing_reported_is_all_missed() -> None:
    found = outcome([])
    assert found.recall == 0
    assert found.missed == tuple(DEFECTIVE)
    assert found.precision == 1


@given(st.sets(st.integers(0, len(DEFECTIVE) - 1)), st.sets(st.integers(0, len(GOOD) - 1)), st.randoms())
@settings(deadline=None, max_examples=60)
def test_every_mistake_is_counted(dropped: set[int], accused: set[int], order: object) -> None:
    reports = [report(p) for n, p in enumerate(DEFECTIVE) if n not in dropped]
    reports += [report(GOOD[n], label="dent") for n in accused]
    order.shuffle(reports)  # type: ignore[attr-defined]
    found = outcome(reports)
    assert {p.line_s for p in found.missed} == {DEFECTIVE[n].line_s for n in dropped}
    assert len(found.false) == len(accused)
    assert len(found.caught) == len(DEFECTIVE) - len(dropped)


def test_a_second_alert_about_a_part_is_false() -> None:
    found = outcome([*(report(p) for p in DEFECTIVE), report(DEFECTIVE[3], 0.15)])
    assert [passage for passage, _ in found.false] == [DEFECTIVE[3]]
    assert found.recall == 1


def test_an_alert_when_nothing_is_at_the_line_is_false_and_saves_nobody() -> None:
    late = report(DEFECTIVE[0], LATE_S + 0.01)
    found = outcome([late])
    assert DEFECTIVE[0] in found.missed
    assert len(found.false) == 1


def test_a_wrong_name_is_caught_but_not_named_right() -> None:
    other = "dent" if DEFECTIVE[0].part.label.value != "dent" else "scratch"
    found = outcome([report(DEFECTIVE[0], label=other)])
    assert len(found.caught) == 1
    assert found.named_right == 0


def test_a_shift_of_the_clock_by_a_second_fails_everything() -> None:
    found = outcome([replace(r, picture_s=r.picture_s + 1.0) for r in map(report, DEFECTIVE)])
    assert found.recall < 0.2
    assert found.precision < 0.2


def test_parts_on_the_belt_at_the_start_or_the_end_do_not_count_and_their_alerts_neither() -> None:
    third = PASSED[2]
    begin_s = WALL_S + third.part.enters_s + 0.01  # it was already in the picture
    end_s = PASSED[-4].line_s + GRACE_S - 0.01
    passed = passages(TRUTH, [Repetition(0, WALL_S), Repetition(1, WALL_S + 40)], begin_s, end_s)
    assert [p.counts for p in passed] == [False] * 3 + [True] * (len(passed) - 7) + [False] * 4
    found = score(passed, [report(p, label="dent") for p in (*passed[:3], *passed[-4:])])
    assert found.ignored == 7
    assert found.false == ()
    assert len(found.passed) == len(passed) - 7


def test_a_repetition_that_is_told_again_is_not_played_twice() -> None:
    again = passages(TRUTH, [Repetition(0, WALL_S)] * 3, WALL_S, WALL_S + 100)
    assert len(again) == len(TRUTH.parts)
