"""Codes: once for each pass, with the best read, however readers and trackers stumble."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.stage import batch, machine, play
from vedette.contracts.tracks import Attribute, TrackBatch
from vedette.core.rules.code_read import MAX_PASSES, MAX_TEXTS

BELT = [[0.2, 0.0], [0.8, 0.0], [0.8, 1.0], [0.2, 1.0]]


def reads(t_s: float, said: dict[int, str | None], x: float = 0.5, **more: Any) -> TrackBatch:
    """A picture with objects, of which some were read."""
    picture = batch(t_s, dict.fromkeys(said, (x, 0.5)), labels=dict.fromkeys(said, "qr_code"), **more)
    found = tuple((Attribute("text", text, 1.0),) if text else () for text in said.values())
    return replace(picture, attributes=found)


def texts(events: list[tuple[float, Any]]) -> list[tuple[float, str]]:
    return [(round(t, 1), dict(event.objects[0].attributes)["text"]) for t, event in events]


def code_rule(**settings_: Any) -> Any:
    return machine(type="code_read", **settings_)


def test_a_pass_is_reported_at_the_second_equal_read_and_once() -> None:
    pictures = [reads(0.2 * n, {1: "A-1"}) for n in range(10)]
    assert texts(play(code_rule(), pictures)) == [(0.2, "A-1")]


def test_a_misread_does_not_win() -> None:
    said = ["A-1", "X", "A-1", "A-1", None, "X"]
    assert texts(play(code_rule(), [reads(0.2 * n, {1: text}) for n, text in enumerate(said)])) == [(0.4, "A-1")]


def test_what_was_read_once_is_reported_when_it_has_passed() -> None:
    pictures = [reads(0.0, {1: None}), reads(0.2, {1: "A-1"}), reads(0.4, {1: None})]
    pictures += [reads(0.6 + 0.2 * n, {}) for n in range(12)]
    events = play(code_rule(), pictures)
    assert [text for _, text in texts(events)] == ["A-1"]
    assert events[0][1].moment.media_time_s == pytest.approx(0.2), "as of the picture in which it was read"
    assert 1.8 <= events[0][0] <= 2.2


def test_two_texts_read_equally_often_are_not_guessed_at() -> None:
    pictures = [reads(0.0, {1: "A"}), reads(0.2, {1: "B"})] + [reads(0.4 + 0.2 * n, {}) for n in range(20)]
    assert play(code_rule(), pictures) == []


def test_another_track_with_the_same_text_is_the_same_pass() -> None:
    pictures = [reads(0.2 * n, {1: "A-1"}) for n in range(5)] + [reads(1.0 + 0.2 * n, {2: "A-1"}) for n in range(5)]
    assert len(play(code_rule(), pictures)) == 1


def test_the_same_text_much_later_is_another_pass() -> None:
    pictures = [reads(0.2 * n, {1: "A-1"}) for n in range(5)]
    pictures += [reads(1.0 + 0.2 * n, {}) for n in range(40)]
    pictures += [reads(9.0 + 0.2 * n, {2: "A-1"}) for n in range(5)]
    assert texts(play(code_rule(), pictures)) == [(0.2, "A-1"), (9.2, "A-1")]


def test_a_code_that_stays_is_one_pass_however_long() -> None:
    pictures = [reads(0.2 * n, {1 + n // 30: "A-1"}) for n in range(300)]
    assert len(play(code_rule(), pictures)) == 1


def test_several_codes_at_once() -> None:
    pictures = [reads(0.2 * n, {1: "A", 2: "B", 3: "C"}) for n in range(3)]
    assert [text for _, text in texts(play(code_rule(), pictures))] == ["A", "B", "C"]


def test_only_texts_of_the_pattern_and_only_in_the_zone() -> None:
    rule = code_rule(pattern=r"\d{13}", zone=BELT)
    pictures = [reads(0.2 * n, {1: "4006381333931"}, x=0.1) for n in range(3)]
    pictures += [reads(0.6 + 0.2 * n, {1: "4006381333931", 2: "hello"}, x=0.5) for n in range(3)]
    assert texts(play(rule, pictures)) == [(0.8, "4006381333931")]


def test_the_attribute_can_be_one_of_the_pipeline() -> None:
    picture = [
        replace(batch(0.2 * n, {1: (0.5, 0.5)}), attributes=((Attribute("badge", "B-7", 1.0),),)) for n in range(3)
    ]
    assert len(play(code_rule(attribute="badge"), picture)) == 1
    assert play(code_rule(), picture) == []


@pytest.mark.parametrize("pattern", ["(", "(a+)+b", "(a|b)*c", "[z-a]"])
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"regular expression|for ever"):
        code_rule(pattern=pattern)


said_ = st.lists(
    st.dictionaries(st.integers(1, 4), st.none() | st.sampled_from(["A", "B", "C"]), max_size=4), max_size=60
)


@settings(max_examples=80)
@given(said_, st.integers(1, 4), st.sampled_from([0.0, 1.0, 5.0]))
def test_whatever_is_read_each_alert_was_read_and_the_state_carries_everything(
    said: list[dict[int, str | None]], needed: int, again_s: float
) -> None:
    document = {"reads": needed, "again_s": again_s}
    whole, resumed = code_rule(**document), code_rule(**document)
    seen: dict[int, dict[str, int]] = {}
    last: dict[str, float] = {}
    for n, each in enumerate([*said, *[{}] * 15]):
        for number, text in each.items():
            if text:
                counts = seen.setdefault(number, {})
                counts[text] = counts.get(text, 0) + 1
        picture = reads(0.2 * n, dict(each))
        events = whole.step(picture)
        assert resumed.step(picture) == events
        state = json.loads(json.dumps(resumed.state()))
        resumed = code_rule(**document)
        resumed.restore(state)
        for event in events:
            text = dict(event.objects[0].attributes)["text"]
            assert seen[event.objects[0].track_id].get(text, 0) >= 1
            assert 0.2 * n - last.get(text, -100.0) > again_s
            last[text] = 0.2 * n


def test_memory_is_bounded() -> None:
    rule = code_rule(reads=20)
    for n in range(40):
        rule.step(reads(0.2 * n, {100 * n + i: f"t{n}-{i}" for i in range(100)}))
    for n in range(100):
        rule.step(reads(8 + 0.01 * n, {1: f"x{n}"}, frame_no=10_000 + n))
    state = rule.state()["rule"]
    assert len(state[0]) <= MAX_PASSES
    assert max(len(entry[2]) for entry in state[0]) <= MAX_TEXTS


def unread(pictures: list[TrackBatch], **settings_: Any) -> list[int]:
    """Numbers of the objects that are said to have passed without a read."""
    return [event.objects[0].track_id for _, event in play(code_rule(report="unread", **settings_), pictures)]


def leaving(t_s: float) -> list[TrackBatch]:
    return [reads(t_s + 0.2 * n, {}) for n in range(12)]


def test_an_object_that_passes_without_a_read_is_reported_once_as_it_was_seen_last() -> None:
    pictures = [reads(0.2 * n, {1: None, 2: "A-1" if n == 2 else None}) for n in range(5)] + leaving(1.0)
    events = play(code_rule(report="unread"), pictures)
    assert [(e.objects[0].track_id, round(e.moment.media_time_s, 1)) for _, e in events] == [(1, 0.8)]
    assert 2.2 <= events[0][0] <= 2.6, "once it has passed"


def test_a_text_of_another_pattern_or_outside_the_zone_is_no_read() -> None:
    pictures = [reads(0.2 * n, {1: "hello"}) for n in range(5)] + leaving(1.0)
    assert unread(pictures, pattern=r"\d+") == [1]
    assert unread(pictures) == []
    outside = [reads(0.2 * n, {1: None}, x=0.1) for n in range(5)] + leaving(1.0)
    assert unread(outside, zone=BELT) == []


def test_what_was_hardly_seen_or_while_pictures_were_missing_is_not_alleged() -> None:
    assert unread([reads(0.2 * n, {1: None}) for n in range(2)] + leaving(0.4)) == []
    pictures = [reads(0.2 * n, {1: None}) for n in range(5)]
    assert unread(pictures + leaving(11.0)) == []
    assert unread(pictures + [reads(11 + 0.2 * n, {2: None}) for n in range(5)] + leaving(12.0)) == [2]


def test_unread_objects_outlive_a_restart() -> None:
    rule, number = code_rule(report="unread"), 0
    for picture in [reads(0.2 * n, {1: None, 2: "A"}) for n in range(5)] + leaving(1.0):
        number += len(rule.step(picture))
        state = json.loads(json.dumps(rule.state()))
        rule = code_rule(report="unread")
        rule.restore(state)
    assert number == 1
