"""The public module that applications' code is written against."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.hooks import App, Batch, Camera, TrackedObject
from vedette.hooks.state import MAX_STATE_BYTES, dump_state

PERSON = TrackedObject(7, "person", (10.0, 20.0, 30.0, 60.0), 0.9)
BATCH = Batch("hall", (PERSON,), time=datetime(2026, 3, 1, 8, tzinfo=UTC), device_camera="cam-1")


def raised(function: Any, subject: Any = BATCH, app: App | None = None) -> Any:
    return (app or App(["hall", "yard"])).handle(function, subject)


def test_importing_it_loads_nothing_heavy() -> None:
    script = (
        "import sys, vedette.hooks\n"
        "heavy = {'numpy', 'cv2', 'pydantic', 'yaml', 'typer', 'rich', 'socket', 'asyncio'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.split() == []


def test_an_alert_is_about_the_batch_unless_it_says_otherwise() -> None:
    (alert,) = raised(lambda app, batch: app.alert("someone", objects=batch.objects, count=1))
    assert (alert.camera, alert.track_ids, alert.count, alert.key, alert.severity) == ("cam-1", (7,), 1, "", "")
    (other,) = raised(lambda app, _: app.alert("elsewhere", camera="yard", severity="critical"))
    assert (other.camera, other.severity) == ("yard", "critical")


def test_what_fails_has_not_happened() -> None:
    app = App(["hall"], state={"n": 1})

    def fails(app: App, _: Batch) -> None:
        app.state["n"] = 2
        app.alert("not really")
        raise RuntimeError("late")

    with pytest.raises(RuntimeError, match="late"):
        app.handle(fails, BATCH)
    assert app.state == {"n": 1}
    assert app.handle(lambda app, _: app.alert("really"), BATCH)[0].message == "really"


def test_alerts_without_a_key_are_numbered_and_with_one_are_one() -> None:
    def several(app: App, _: Batch) -> None:
        app.alert("a")
        app.alert("b")
        app.alert("c", key="k")
        app.alert("d", key="k")
        app.alert("e", key="k", camera="yard")
        app.alert("f")

    assert [(a.message, a.key, a.number) for a in raised(several)] == [
        ("a", "", 0), ("b", "", 1), ("c", "k", 0), ("e", "k", 0), ("f", "", 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"message": ""}, "empty"),
        ({"message": " \n"}, "empty"),
        ({"message": 7}, "must be text"),
        ({"message": "x", "camera": "hal"}, "no camera is called 'hal'; it is one of 'hall', 'yard'"),
        ({"message": "x", "camera": Camera("hall", "other")}, "not one of app.cameras"),
        ({"message": "x", "key": "k" * 65}, "at most 64"),
        ({"message": "x", "key": "a\nb"}, "printable"),
        ({"message": "x", "count": -1}, "whole number"),
        ({"message": "x", "count": 1.5}, "whole number"),
        ({"message": "x", "count": True}, "whole number"),
        ({"message": "x", "severity": "urgent"}, "info, warning, critical"),
        ({"message": "x", "objects": [TrackedObject(8, "person", (0, 0, 1, 1))]}, "not an object of the batch"),
        ({"message": "x", "objects": [3]}, "not an object of the batch"),
    ],
)
def test_mistakes_are_explained(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        raised(lambda app, _: app.alert(**arguments))


def test_text_is_cut_and_made_one_line() -> None:
    (alert,) = raised(lambda app, _: app.alert("a\x1b[31m\n\ud800" + "b" * 500))
    assert len(alert.message) == 200
    assert alert.message.isprintable()


def test_too_many_alerts_in_one_call() -> None:
    def many(app: App, _: Batch) -> None:
        for _number in range(17):
            app.alert("again")

    with pytest.raises(RuntimeError, match="at most 16"):
        raised(many)


def test_a_camera_bound_twice_has_to_be_told_apart() -> None:
    app = App([Camera("hall", "cam-1"), Camera("hall", "cam-2")])
    assert app.handle(lambda app, _: app.alert("x", camera="hall"), BATCH)[0].camera == "cam-1"
    with pytest.raises(ValueError, match="bound to cam-1, cam-2; pass one of"):
        app.handle(lambda app: app.alert("x", camera="hall", key="k"))
    assert app.handle(lambda app: app.alert("x", camera=app.cameras[1], key="k"))[0].camera == "cam-2"


def test_timers_need_a_key_and_a_camera_where_there_are_several() -> None:
    with pytest.raises(ValueError, match="key is needed"):
        App(["hall"]).handle(lambda app: app.alert("x"))
    with pytest.raises(ValueError, match="camera is needed"):
        App(["hall", "yard"]).handle(lambda app: app.alert("x", key="k"))
    assert App(["hall"]).handle(lambda app: app.alert("x", key="k"))[0].camera == "hall"


def test_alerts_count_only_while_a_function_is_called() -> None:
    with pytest.raises(RuntimeError, match="only while"):
        App(["hall"]).alert("x")


def test_timers_are_asked_for_in_setup_only() -> None:
    app = App(["hall"])

    def setup(app: App) -> None:
        app.every(60, lambda app: None)

    app.handle(setup, setup=True)
    assert [seconds for seconds, _ in app.timers] == [60.0]
    with pytest.raises(RuntimeError, match="setup only"):
        app.handle(setup)
    for seconds in (0.0, 0.05, math.nan, math.inf, -1):
        with pytest.raises(ValueError, match="at least"):
            app.handle(lambda app, s=seconds: app.every(s, print), setup=True)
    with pytest.raises(TypeError, match="not a function"):
        app.handle(lambda app: app.every(60, "report"), setup=True)


def test_now_is_the_time_of_what_is_handled() -> None:
    seen: list[datetime] = []
    app = App(["hall"])
    app.handle(lambda app, _: seen.append(app.now), BATCH)
    later = datetime(2027, 1, 1, tzinfo=UTC)
    app.handle(lambda app: seen.append(app.now), now=later)
    assert seen == [BATCH.time, later]


def test_parameters_cannot_be_changed() -> None:
    app = App(["hall"], parameters={"limit": 3})
    assert app.parameters["limit"] == 3
    with pytest.raises(TypeError):
        app.parameters["limit"] = 4  # type: ignore[index]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([], "must be a dictionary"),
        ({1: "a"}, "has the key 1"),
        ({"a": (1, 2)}, r"app.state\['a'\] is a tuple"),
        ({"a": [{"b": {1}}]}, r"app.state\['a'\]\[0\]\['b'\] is a set"),
        ({"a": float("nan")}, "no such number"),
        ({"a": "x" * MAX_STATE_BYTES}, "at most 65536"),
        ({"a": datetime(2026, 1, 1, tzinfo=UTC)}, "is a datetime"),
    ],
)
def test_a_state_that_would_not_come_back_is_refused(state: Any, message: str) -> None:
    app = App(["hall"], state={"kept": True})

    def poison(app: App, _: Batch) -> None:
        app.state = state

    with pytest.raises(ValueError, match=message):
        app.handle(poison, BATCH)
    assert app.state == {"kept": True}


def test_a_state_without_end_is_refused() -> None:
    state: dict[str, Any] = {}
    state["self"] = state
    with pytest.raises(ValueError, match="nested"):
        dump_state(state)


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=4), _PLAIN, max_size=4))
def test_a_state_that_is_taken_comes_back_as_it_was(state: dict[str, Any]) -> None:
    again = json.loads(dump_state(state))
    assert again == state
    assert dump_state(again) == dump_state(state)
