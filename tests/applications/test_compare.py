"""Alerts against expectations: as many pairs as can be, in any order, and nothing counted twice."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette.contracts.alert import Alert, Direction, Severity
from vedette.contracts.application_test import ApplicationTest
from vedette.core.application_tests import Verdict, compare, differences, score

DIGEST = "0" * 64


def alert(at_s: float, rule: str = "r", camera: str = "hall", number: int = 0, **more: Any) -> Alert:
    return Alert(
        alert_id=hashlib.sha256(repr((at_s, rule, camera, number)).encode()).hexdigest()[:32],
        device="backtest",
        application="shop",
        camera=camera,
        rule=rule,
        severity=Severity.WARNING,
        time=datetime.fromtimestamp(at_s, UTC),
        media_time_s=at_s,
        label=more.pop("label", "person"),
        track_ids=(),
        boxes=(),
        message="It happened.",
        **more,
    )


def a_test(*alerts: dict[str, Any], **more: Any) -> ApplicationTest:
    entries = [{"rule": "r", "camera": "hall", **each} for each in alerts]
    clips = {"hall": {"file": "a.mp4", "sha256": DIGEST}}
    return ApplicationTest.model_validate({"api": "vedette-test/v1", "clips": clips, "alerts": entries, **more})


def times(verdict: Verdict) -> tuple[list[tuple[float | None, float]], list[float | None], list[float]]:
    return (
        [(match.expected.at_s, match.alert.media_time_s) for match in verdict.matches],
        [miss.expected.at_s for miss in verdict.misses],
        [extra.alert.media_time_s for extra in verdict.extras],
    )


def test_what_comes_in_time_is_right_and_the_rest_is_missing_or_extra() -> None:
    test = a_test({"at_s": 10}, {"at_s": 20}, {"at_s": 30, "tolerance_s": 2})
    verdict = compare(test, [alert(10.5), alert(20.51), alert(31.9), alert(50)])
    assert times(verdict) == ([(10, 10.5), (30, 31.9)], [20], [20.51, 50])
    assert verdict.misses[0].near == "there is one at 20.51 s"
    assert not verdict.passed
    assert [match.error_s for match in verdict.matches] == [0.5, 1.9]


def test_a_span_and_facts() -> None:
    test = a_test(
        {"between_s": [0, 5], "count": 3},
        {"at_s": 8, "direction": "left_to_right"},
        {"at_s": 9, "label": "car"},
        {"at_s": 12, "attributes": {"helmet": "without"}},
    )
    right = [
        alert(4.9, count=3),
        alert(8, direction=Direction.LEFT_TO_RIGHT),
        alert(9, label="car"),
        alert(12, attributes={"helmet": "without", "vest": "with"}),
    ]
    assert compare(test, right).passed
    wrong = [
        alert(4.9, count=2),
        alert(8, direction=Direction.RIGHT_TO_LEFT),
        alert(9, label="truck"),
        alert(12, attributes={"helmet": "with"}),
    ]
    assert [miss.near for miss in compare(test, wrong).misses] == [
        "there is one at 4.90 s count 2",
        "there is one at 8.00 s direction right_to_left",
        "there is one at 9.00 s label truck",
        "there is one at 12.00 s helmet with",
    ]
    assert compare(test, [alert(12)]).misses[3].near == "there is one at 12.00 s helmet unknown"


def test_two_that_are_close_are_not_taken_for_each_other() -> None:
    test = a_test({"at_s": 16.55}, {"at_s": 16.9})
    assert times(compare(test, [alert(16.95), alert(16.5)]))[0] == [(16.55, 16.5), (16.9, 16.95)]
    # The nearest one is the only one the other can have: both are met all the same.
    tight = a_test({"at_s": 10.0}, {"at_s": 10.4})
    assert len(compare(tight, [alert(9.9), alert(9.5)]).matches) == 2


def test_only_what_the_test_is_about_is_judged() -> None:
    alerts = [alert(10), alert(11), alert(12, rule="other")]
    assert times(compare(a_test({"at_s": 10}, rules=["r"]), alerts))[2] == [11]
    partial = compare(a_test({"at_s": 10}, complete=False), alerts)
    assert partial.passed
    assert [each.media_time_s for each in partial.unjudged] == [11, 12]
    quiet = a_test(complete=False, none=[{"rule": "r", "camera": "hall", "from_s": 10.5, "to_s": 11}])
    assert times(compare(quiet, alerts))[2] == [11]
    assert compare(quiet, alerts).extras[0].span is not None
    everywhere = a_test(complete=False, none=[{}])
    assert len(compare(everywhere, alerts).extras) == 3
    # What is expected in a quiet span is expected.
    both = a_test({"at_s": 11}, complete=False, none=[{"rule": "r", "from_s": 10.5}])
    assert compare(both, alerts).passed


def test_the_score_of_several_tests() -> None:
    one = compare(a_test({"at_s": 10}, {"at_s": 20}), [alert(10.2), alert(30)])
    two = compare(a_test({"at_s": 10, "rule": "s"}), [alert(9.6, rule="s"), alert(40, camera="gate")])
    found = {(s.rule, s.camera): s for s in score([one, two])}
    first = found["r", "hall"]
    assert (first.expected, first.matched, first.extra, first.precision, first.recall) == (2, 1, 1, 0.5, 0.5)
    assert found["s", "hall"].median_error_s == pytest.approx(0.4)
    assert found["s", "hall"].worst_error_s == pytest.approx(0.4)
    only_extra = found["r", "gate"]
    assert (only_extra.precision, only_extra.recall, only_extra.median_error_s) == (0.0, None, None)


def test_what_a_change_gains_and_loses() -> None:
    test = a_test({"at_s": 10}, {"at_s": 20}, {"between_s": [30, 35]})
    before = compare(test, [alert(10), alert(50), alert(60)])
    now = compare(test, [alert(20), alert(31), alert(50.3), alert(70)])
    assert [(d.kind, d.at_s) for d in differences(test, now, before)] == [
        ("lost", 10),
        ("gained", 20),
        ("gained", 30),
        ("quieter", 60),
        ("louder", 70),
    ]
    assert differences(test, now, now) == []
    kinds = {"gained": "lost", "lost": "gained", "quieter": "louder", "louder": "quieter"}
    there, back = differences(test, now, before), differences(test, before, now)
    assert [kinds[d.kind] for d in there] == [d.kind for d in back]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=5),
    st.lists(st.integers(0, 12), max_size=5),
    st.integers(0, 5),
)
def test_as_many_as_can_be_are_met_whatever_the_order(
    expected: list[tuple[int, int]], found: list[int], seed: int
) -> None:
    """Against trying every assignment."""
    test = a_test(*({"at_s": at, "tolerance_s": tolerance} for at, tolerance in expected))
    alerts = [alert(float(at), number=number) for number, at in enumerate(found)]
    verdict = compare(test, alerts)
    slots = [*range(len(expected)), *[-1] * len(found)]
    best = max(
        (
            sum(
                slot >= 0 and abs(found[index] - expected[slot][0]) <= expected[slot][1]
                for index, slot in enumerate(chosen)
            )
            for chosen in set(permutations(slots, len(found)))
        ),
        default=0,
    )
    assert len(verdict.matches) == best
    assert len(verdict.misses) == len(expected) - best
    assert len(verdict.extras) == len(found) - best
    assert len({match.alert.alert_id for match in verdict.matches}) == best
    random.Random(seed).shuffle(alerts)
    assert compare(test, alerts) == verdict


def test_a_very_long_chain_of_expectations_is_no_problem() -> None:
    """Each alert could be that of its neighbour: found without recursion, and quickly."""
    count = 1500
    test = a_test(*({"at_s": float(n), "tolerance_s": 1.0} for n in range(count)))
    alerts = [alert(n + 1.0) for n in range(count - 1)] + [alert(0.0)]
    assert len(compare(test, alerts).matches) == count
