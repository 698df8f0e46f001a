"""What camera processes are told of the plan."""

from __future__ import annotations

from typing import Any

from camera_ingest.wanted import Wanted
from vedette.contracts.plan import Plan, StreamPlan


def plan(revision: int, **fps: float) -> Plan:
    streams = tuple(StreamPlan(camera=name, fps=rate, stream="main") for name, rate in fps.items())
    return Plan(revision=revision, streams=streams)


def told() -> tuple[Wanted, list[tuple[str, dict[str, Any]]]]:
    sent: list[tuple[str, dict[str, Any]]] = []
    return Wanted(lambda name, message: sent.append((name, message))), sent


def test_only_what_changes_is_sent_and_one_that_begins_is_told_all() -> None:
    wanted, sent = told()
    wanted.take(plan(1, hall=5.0, yard=2.0))
    wanted.take(plan(2, hall=5.0, yard=3.0))
    wanted.take(plan(3, hall=5.0))
    wanted.tell("hall")
    wanted.tell("yard")
    assert sent[2:] == [
        ("yard", {"fps": 3.0}),
        ("yard", {"fps": 0.0}),
        ("hall", {"fps": 5.0, "pre_roll_s": 0.0, "rest": None}),
        ("yard", {"fps": 0.0, "pre_roll_s": 0.0, "rest": None}),
    ]
    assert (wanted.stream("hall"), wanted.stream("yard")) == ("main", "sub")


def test_a_plan_that_was_overtaken_changes_nothing() -> None:
    """An application attaches while the configuration is read: its plan is newer and may be taken first."""
    wanted, sent = told()
    wanted.take(plan(2, hall=5.0))
    wanted.take(plan(1))
    assert sent == [("hall", {"fps": 5.0})]
    assert wanted.stream("hall") == "main"
