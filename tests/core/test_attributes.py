"""What an object is said to be, and rules that are about some objects only."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.core.stage import batch, machine, times
from vedette.contracts.tracks import Attribute, TrackBatch
from vedette.core.rules.attributes import KEPT, MAX_TRACKS, MAX_VALUES, NEEDED, AttributeBook
from vedette.core.rules.clock import FORGET_S

FLOOR = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
observations = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1, allow_nan=False)), max_size=40)


def hat(value: str, score: float = 0.9) -> tuple[Attribute, ...]:
    return (Attribute("hat", value, score),)


def seen(t_s: float, *found: tuple[Attribute, ...]) -> TrackBatch:
    return replace(batch(t_s, dict.fromkeys(range(1, len(found) + 1), (0.5, 0.5))), attributes=found)


def test_one_odd_picture_changes_nothing_and_a_lasting_change_does() -> None:
    book = AttributeBook()
    book.see(1, hat("yes"), 0.0)
    assert book.known(1) == {}
    book.see(1, hat("yes"), 0.2)
    assert book.known(1) == {"hat": "yes"}
    book.see(1, hat("no"), 0.4)
    assert book.known(1) == {"hat": "yes"}
    for step in range(6):
        book.see(1, hat("no"), 0.6 + 0.2 * step)
    assert book.known(1) == {"hat": "no"}


@given(observations)
def test_the_book_is_restored_whole(found: list[tuple[str, float]]) -> None:
    first, second = AttributeBook(), AttributeBook()
    for number, (value, score) in enumerate(found):
        first.see(number % 3, hat(value, score), float(number))
        second.restore(json.loads(json.dumps(first.state())))
        assert second.state() == first.state()
        for track_id in range(3):
            assert second.known(track_id) == first.known(track_id)


@given(observations)
def test_what_is_said_of_an_object_was_once_well_supported(found: list[tuple[str, float]]) -> None:
    book = AttributeBook()
    sums: dict[str, float] = {}
    strongest = 0.0
    for number, (value, score) in enumerate(found):
        book.see(7, hat(value, score), float(number))
        sums = {key: total * KEPT for key, total in sums.items()}
        sums[value] = sums.get(value, 0.0) + score
        strongest = max(strongest, sums[value])
    assert ("hat" in book.known(7)) <= (strongest >= NEEDED - 1e-9)


def test_memory_is_bounded() -> None:
    book = AttributeBook()
    for number in range(3 * MAX_TRACKS):
        book.see(number, hat("yes"), 0.0)
    for number in range(10 * MAX_VALUES):
        book.see(1, hat(str(number)), 0.0)
    book.tidy(0.0)
    assert len(book.state()) == MAX_TRACKS
    assert len(book.evidence(1, "hat")) <= MAX_VALUES
    book.tidy(FORGET_S + 1)
    assert book.state() == []


def test_observations_that_are_no_numbers_are_left_out() -> None:
    book = AttributeBook()
    for _ in range(5):
        book.see(1, hat("yes", float("nan")), 0.0)
        book.see(1, hat("yes", float("inf")), 0.0)
    assert book.known(1) == {}


def test_a_rule_is_about_objects_with_the_attribute_only() -> None:
    rule = machine(type="zone_entered", zone=FLOOR, where={"hat": ["no"]})
    events = []
    for step in range(10):
        late = hat("no") if step >= 4 else ()  # of the second one nothing is known at first
        events += [(0.2 * step, event) for event in rule.step(seen(0.2 * step, hat("yes"), late))]
    assert [event.objects[0].track_id for _, event in events] == [2]
    assert times(events) == [1.0]
    assert events[0][1].objects[0].attributes == (("hat", "no"),)


def test_a_rule_without_the_condition_takes_everyone() -> None:
    rule = machine(type="zone_entered", zone=FLOOR)
    assert len(rule.step(seen(0.0, hat("yes"), ()))) == 2


def test_the_state_of_a_rule_carries_what_is_known() -> None:
    document: dict[str, Any] = {"type": "dwell", "zone": FLOOR, "for_s": 1.0, "where": {"hat": ["no"]}}
    whole, resumed = machine(**document), machine(**document)
    expected, got = [], []
    for step in range(20):
        picture = seen(0.2 * step, hat("no"))
        expected += whole.step(picture)
        got += resumed.step(picture)
        state = json.loads(json.dumps(resumed.state()))
        resumed = machine(**document)
        resumed.restore(state)
    assert expected == got
    assert len(expected) == 1


def test_a_batch_keeps_attributes_through_the_journal() -> None:
    picture = seen(1.0, hat("yes", 0.8768), (), (*hat("no"), Attribute("code", 'ä\n"', 1.0)))
    again = TrackBatch.from_json(picture.to_json())
    assert again.attributes == ((Attribute("hat", "yes", 0.877),), (), picture.attributes[2])
    plain = replace(picture, attributes=())
    assert b"attributes" not in plain.to_json()
    assert TrackBatch.from_json(plain.to_json()).attributes == ()
