"""Near each other in metres: once each time, only beside what moves, whoever comes first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.stage import batch, plan, play
from vedette.contracts.manifest import GroundPlane
from vedette.contracts.tracks import TrackBatch
from vedette.core.rules import Event, RuleMachine, make_machine

#: The picture is 20 by 20 metres, seen from above.
GROUND = GroundPlane(picture=((0, 0), (1, 0), (1, 1), (0, 1)), metres=((0, 0), (20, 0), (20, 20), (0, 20)))
LABELS = {1: "person", 2: "car"}


def machine(**settings_: Any) -> RuleMachine:
    document = {"type": "proximity", "labels": ["person"], "to": ["car"], "within_m": 3.0, **settings_}
    return make_machine(plan(document).model_copy(update={"ground": GROUND}))


def scene(t_s: float, person_m: tuple[float, float] | None, car_m: tuple[float, float] | None) -> TrackBatch:
    """Boxes are 40 pixels wide, so an object's edge reaches 0.4 m to either side."""
    places = {1: person_m, 2: car_m}
    return batch(t_s, {n: (p[0] / 20, p[1] / 20) for n, p in places.items() if p is not None}, labels=LABELS)


def drive(person_m: tuple[float, float], car_xs: list[float], y_m: float = 10.0) -> list[TrackBatch]:
    return [scene(0.2 * n, person_m, (x, y_m)) for n, x in enumerate(car_xs)]


def test_a_person_and_a_car_that_come_near_are_reported_once_with_their_distance() -> None:
    xs = [1 + 0.2 * n for n in range(60)]
    events = play(machine(), drive((10, 10), xs))
    assert len(events) == 1
    t_s, event = events[0]
    assert [o.label for o in event.objects] == ["person", "car"]
    assert event.distance_m is not None
    assert 2.6 < event.distance_m < 3.0
    assert t_s == pytest.approx(0.2 * 29, abs=0.21), "the car's edge, not its middle, is 3 m away"


def test_apart_and_near_again_is_another_time() -> None:
    xs = [6.0] * 3 + [8.0] * 5 + [2.0] * 10 + [8.0] * 5
    assert len(play(machine(), drive((10, 10), xs))) == 2


def test_at_the_edge_of_the_distance_it_is_one_time() -> None:
    xs = [7.0 + 0.1 * (n % 3) for n in range(60)]
    assert len(play(machine(), drive((10, 10), xs))) == 1


def test_a_parked_car_is_not_dangerous() -> None:
    rule = {"min_speed_mps": 0.5}
    assert play(machine(**rule), drive((10, 10), [8.5] * 30)) == []
    moving = play(machine(**rule), drive((10, 10), [3 + 0.3 * n for n in range(25)]))
    assert len(moving) == 1


def test_stop_and_go_beside_the_same_person_is_one_time() -> None:
    xs: list[float] = []
    x = 6.0
    for n in range(120):
        x += 0.2 if (n // 15) % 2 == 0 and x < 11 else 0.0
        xs.append(x)
    assert len(play(machine(min_speed_mps=0.5), drive((10, 10), xs))) == 1


def test_it_must_last() -> None:
    brief = [5.0] * 5 + [8.5] * 3 + [5.0] * 10
    assert play(machine(for_s=1.0), drive((10, 10), brief)) == []
    lasting = play(machine(for_s=1.0), drive((10, 10), [5.0] * 5 + [8.5] * 8))
    assert [round(event.duration_s or 0, 1) for _, event in lasting] == [1.0]


def test_a_gap_starts_the_time_anew_and_repeats_nothing() -> None:
    rule = machine(for_s=1.0)
    batches = [scene(0.2 * n, (10, 10), (8.5, 10)) for n in range(4)]
    batches += [scene(5 + 0.2 * n, (10, 10), (8.5, 10)) for n in range(10)]
    batches += [scene(12 + 0.2 * n, (10, 10), (8.5, 10)) for n in range(10)]
    assert [t for t, _ in play(rule, batches)] == [pytest.approx(6.0)]


def test_everything_but_the_first_kind_is_the_other_where_none_is_named() -> None:
    rule = make_machine(
        plan({"type": "proximity", "labels": ["person"], "within_m": 3.0}).model_copy(update={"ground": GROUND})
    )
    pictures = [batch(0.2 * n, {1: (0.5, 0.5), 2: (0.45, 0.5)}, labels={2: "cell phone"}) for n in range(3)]
    assert len(play(rule, pictures)) == 1


def test_two_people_are_not_near_a_vehicle_because_they_are_near_each_other() -> None:
    pictures = [batch(0.2 * n, {1: (0.5, 0.5), 3: (0.51, 0.5)}) for n in range(5)]
    assert play(machine(), pictures) == []


def test_what_is_at_the_horizon_is_nowhere() -> None:
    tilted = GroundPlane(
        picture=((0.4, 0.4), (0.6, 0.4), (0.9, 0.9), (0.1, 0.9)), metres=((0, 20), (10, 20), (10, 0), (0, 0))
    )
    document = {"type": "proximity", "labels": ["person"], "to": ["car"], "within_m": 1000}
    rule = make_machine(plan(document).model_copy(update={"ground": tilted}))
    assert play(rule, [batch(0.2 * n, {1: (0.5, 0.05), 2: (0.5, 0.8)}, labels=LABELS) for n in range(5)]) == []


def test_without_a_ground_nothing_is_alleged() -> None:
    rule = make_machine(plan({"type": "proximity", "labels": ["person"], "to": ["car"], "within_m": 3.0}))
    assert play(rule, drive((10, 10), [9.0] * 10)) == []


ways = st.lists(
    st.tuples(st.floats(0, 20), st.floats(0, 20), st.floats(0, 20), st.floats(0, 20), st.booleans(), st.booleans()),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60)
@given(ways, st.floats(0, 2), st.floats(0, 2))
def test_the_state_carries_everything(
    way: list[tuple[float, float, float, float, bool, bool]], for_s: float, speed: float
) -> None:
    document = {"for_s": round(for_s, 1), "min_speed_mps": round(speed, 1)}
    whole, resumed = machine(**document), machine(**document)
    expected: list[Event] = []
    got: list[Event] = []
    for n, (px, py, cx, cy, person, car) in enumerate(way):
        picture = scene(0.2 * n, (px, py) if person else None, (cx, cy) if car else None)
        expected += whole.step(picture)
        got += resumed.step(picture)
        state = json.loads(json.dumps(resumed.state()))
        resumed = machine(**document)
        resumed.restore(state)
    assert expected == got


def test_a_crowd_among_vehicles_stays_quick_and_bounded() -> None:
    rule = machine()
    labels = {n: "car" if n % 2 else "person" for n in range(1, 201)}
    for n in range(10):
        places = {k: ((k % 20) / 20, (k // 20) / 11) for k in labels}
        rule.step(batch(0.2 * n, places, labels=labels))
    assert len(json.dumps(rule.state())) < 200_000
