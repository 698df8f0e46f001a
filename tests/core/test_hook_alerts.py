from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from tests.journal.test_hook_events import EVENT
from vedette.core.hook_alerts import hook_alert_id, make_hook_alert

#: What an alert of a hook is told apart by; nothing else of the event is part of its id.
IDENTITY = {
    "application", "camera", "hook", "pipeline", "seen_by", "epoch", "frame_no", "key", "number",
}  # fmt: skip


def test_the_id_is_stable() -> None:
    """A changed id repeats alerts after an update: change it knowingly."""
    assert hook_alert_id("thing", EVENT) == "229aab9aa354638f57fa29c16095e9f3"


@pytest.mark.parametrize("name", [field.name for field in fields(EVENT)])
def test_the_id_depends_on_what_happened_and_nothing_else(name: str) -> None:
    value: Any = getattr(EVENT, name)
    other: Any = value + "x" if isinstance(value, str) else () if isinstance(value, tuple) else value + 1
    change: dict[str, Any] = {name: other}
    changed = replace(EVENT, **change)
    assert (hook_alert_id("thing", changed) != hook_alert_id("thing", EVENT)) == (name in IDENTITY)
    assert hook_alert_id("other", EVENT) != hook_alert_id("thing", EVENT)


def test_the_alert_says_what_the_hook_said() -> None:
    alert = make_hook_alert("thing", EVENT)
    assert (alert.rule, alert.application, alert.camera, alert.severity.value) == ("greeter", "app", "gate", "warning")
    assert (alert.track_ids, alert.boxes, alert.count) == (EVENT.track_ids, EVENT.boxes, 2)
    assert (alert.epoch, alert.frame_no, alert.media_time_s) == ("e1", 7, 0.7)
    assert alert.time.timestamp() == 1.7e9


def test_a_picture_is_named_only_where_the_alert_is_about_its_camera() -> None:
    alert = make_hook_alert("thing", replace(EVENT, camera="yard", app_camera="yard"))
    assert (alert.epoch, alert.frame_no, alert.camera) == ("", 0, "yard")


@pytest.mark.parametrize(
    "change",
    [
        {"severity": "urgent"},
        {"message": "x" * 500},
        {"hook": "a/b"},
        {"wall_s": 1e300},
        {"boxes": ((1.0, 2.0, 3.0, float("nan")),)},
        {"count": -1},
    ],
)
def test_what_no_alert_may_hold_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        make_hook_alert("thing", replace(EVENT, **change))
