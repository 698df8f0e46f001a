"""Crossing a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.stage import batch, machine, play, times
from vedette.contracts.alert import Direction
from vedette.core.rules import Event, RuleMachine

UPRIGHT = ((0.5, 0.2), (0.5, 0.8))


def walk(on: RuleMachine, xs: Sequence[float | None], y: float = 0.5, fps: float = 5.0) -> list[tuple[float, Event]]:
    """One track along x; None is a picture without it."""
    return play(on, [batch(i / fps, {} if x is None else {4: (x, y)}) for i, x in enumerate(xs)])


def line(**fields: Any) -> RuleMachine:
    return machine(type="line_crossed", **{"line": UPRIGHT, **fields})


def test_a_crossing_is_reported_once_as_of_the_first_picture_beyond() -> None:
    events = walk(line(hysteresis=0.05), [0.3, 0.4, 0.48, 0.52, 0.56, 0.7, 0.9])
    assert times(events) == [0.6]
    assert events[0][0] == pytest.approx(0.8)
    event = events[0][1]
    assert event.direction is Direction.LEFT_TO_RIGHT
    assert [sighting.track_id for sighting in event.objects] == [4]
    assert event.objects[0].box[0] == pytest.approx(500)


def test_back_again_is_another_crossing() -> None:
    events = walk(line(), [0.3, 0.7, 0.3, 0.7])
    assert [event.direction for _, event in events] == [
        Direction.LEFT_TO_RIGHT,
        Direction.RIGHT_TO_LEFT,
        Direction.LEFT_TO_RIGHT,
    ]


@pytest.mark.parametrize("ends", [UPRIGHT, UPRIGHT[::-1]])
def test_only_the_wanted_direction(ends: tuple[tuple[float, float], ...]) -> None:
    there, back = [0.3, 0.7], [0.7, 0.3]
    assert len(walk(line(line=ends, direction="left_to_right"), there)) == 1
    assert len(walk(line(line=ends, direction="left_to_right"), back)) == 0
    assert len(walk(line(line=ends, direction="right_to_left"), back)) == 1
    assert walk(line(line=ends), back)[0][1].direction is Direction.RIGHT_TO_LEFT


def test_any_direction_is_named_after_the_line() -> None:
    steep = line(line=((0.505, 0.51), (0.22, 1.0)))
    events = play(steep, [batch(0, {1: (0.6, 0.8)}), batch(0.2, {1: (0.2, 0.8)})])
    assert [event.direction for _, event in events] == [Direction.RIGHT_TO_LEFT]
    flat = line(line=((0.1, 0.4), (0.9, 0.5)))
    events = play(flat, [batch(0, {1: (0.5, 0.2)}), batch(0.2, {1: (0.5, 0.9)})])
    assert [event.direction for _, event in events] == [Direction.TOP_TO_BOTTOM]
    down = line(line=((0.1, 0.4), (0.9, 0.5)), direction="left_to_right")
    events = play(down, [batch(0, {1: (0.5, 0.9)}), batch(0.2, {1: (0.5, 0.2)})])
    assert [event.direction for _, event in events] == [Direction.LEFT_TO_RIGHT]


@settings(max_examples=60)
@given(st.lists(st.floats(-0.029, 0.029), min_size=2, max_size=40))
def test_jitter_on_the_line_gives_nothing(offsets: list[float]) -> None:
    assert not walk(line(hysteresis=0.03), [0.3, *(0.5 + offset for offset in offsets), 0.3])
    assert len(walk(line(hysteresis=0.03), [0.3, *(0.5 + offset for offset in offsets), 0.7])) == 1


def test_past_the_end_of_the_line_is_no_crossing() -> None:
    assert not walk(line(), [0.3, 0.45, 0.55, 0.7], y=0.9)
    assert len(walk(line(), [0.3, 0.45, 0.55, 0.7], y=0.79)) == 1
    around = [(0.3, 0.5), (0.3, 0.9), (0.7, 0.9), (0.7, 0.5), (0.3, 0.5)]
    events = play(line(), [batch(i / 5, {1: place}) for i, place in enumerate(around)])
    assert [event.direction for _, event in events] == [Direction.RIGHT_TO_LEFT]


def test_lost_at_the_line_and_found_beyond_it_under_the_same_number() -> None:
    assert times(walk(line(), [0.3, 0.45, None, None, None, 0.6, 0.8])) == [1.0]


def test_found_beyond_it_after_a_gap() -> None:
    events = play(line(), [batch(0, {1: (0.4, 0.5)}), batch(2.5, {1: (0.6, 0.5)})])
    assert times(events) == [2.5]


def test_who_appears_on_the_line_has_no_side_yet() -> None:
    assert not walk(line(hysteresis=0.05), [0.49, 0.52, 0.7])


def test_the_new_side_must_last() -> None:
    assert not walk(line(hold_s=1.0), [0.3, 0.7, 0.7, 0.3, 0.3])
    events = walk(line(hold_s=1.0), [0.3, 0.4, *[0.7] * 8])
    assert times(events) == [0.4]
    assert events[0][0] == pytest.approx(1.4)


def test_a_step_back_over_the_line_starts_the_wait_anew() -> None:
    events = walk(line(hold_s=1.0), [0.3, 0.7, 0.495, *[0.7] * 8])
    assert times(events) == [0.6]
    assert events[0][0] == pytest.approx(1.6)


def test_many_tracks_are_forgotten_in_time() -> None:
    on = line()
    for index in range(3000):
        on.step(batch(index * 0.2, {index: (0.3, 0.5)}))
    assert len(on.state()["rule"]) <= 301
    crowd = line()
    crowd.step(batch(0.0, dict.fromkeys(range(3000), (0.3, 0.5))))
    assert len(crowd.state()["rule"]) <= 1024
