"""What is wrong with a device, how many are, which event of a connection holds, what people read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cloud.functions_account import body
from vedette.contracts.alert import Alert
from vedette.contracts.device_health import DeviceHealth
from vedette.contracts.fleet_metrics import MAX_VERSIONS, Condition, FleetMetric, metric_count
from vedette.core.fleet.archive import Place
from vedette.core.fleet.device_state import (
    DISCONNECTED_S,
    DISK_BYTES,
    HOT_C,
    OFFLINE_S,
    OUTBOX_AGE_S,
    SLOW_MS,
    DeviceView,
    Figure,
    Tally,
    conditions,
    standing,
)
from vedette.core.fleet.notification import notice
from vedette.core.fleet.presence import RESET_MS, Presence

NOW_S = 1.8e9
WELL: dict[str, Any] = {key: value for key, value in body("health").items() if key != "thing"} | {
    "cameras_down": 0,
    "cameras": {},
}


def health(**changes: Any) -> DeviceHealth:
    return DeviceHealth.model_validate(WELL | changes)


def model(**changes: Any) -> dict[str, Any]:
    return {"models": {"well": {"state": "RUNNING"}, "m": {"state": "RUNNING"} | changes}}


def alerting(**changes: Any) -> dict[str, Any]:
    return {"alerting": WELL["alerting"] | changes}


def disk(free: int, total: int = 100 * DISK_BYTES) -> dict[str, Any]:
    return {"disk": {"free_bytes": free, "total_bytes": total}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ()),
        ({"cameras_down": 1}, (Condition.CAMERA_DOWN,)),
        ({"silent": ["vedette.CameraIngest"]}, (Condition.CAMERA_DOWN,)),
        ({"silent": ["vedette.AppHost"]}, ()),
        (model(age_p99_ms=SLOW_MS), ()),
        (model(age_p99_ms=SLOW_MS + 1), (Condition.MODEL_SLOW,)),
        (model(state="DEGRADED", age_p99_ms=2 * SLOW_MS), (Condition.MODEL_SLOW, Condition.MODEL_DEGRADED)),
        (model(state="LOADING"), ()),
        ({"silent": ["vedette.Inference"]}, (Condition.MODEL_DEGRADED,)),
        (disk(10 * DISK_BYTES), ()),
        (disk(10 * DISK_BYTES - 1), (Condition.DISK_LOW,)),
        (disk(DISK_BYTES - 1, DISK_BYTES), (Condition.DISK_LOW,)),
        (alerting(durable=False), (Condition.DISK_LOW,)),
        ({"temperature_c": HOT_C}, (Condition.HOT,)),
        ({"temperature_c": HOT_C - 0.1}, ()),
        ({"temperature_c": None, "disk": None}, ()),
        (alerting(oldest_age_s=OUTBOX_AGE_S), ()),
        (alerting(oldest_age_s=OUTBOX_AGE_S + 1), (Condition.OUTBOX_GROWING,)),
    ],
)
def test_conditions_begin_at_their_thresholds(changes: dict[str, Any], expected: tuple[Condition, ...]) -> None:
    assert conditions(health(**changes)) == expected


HOT = (Condition.HOT,)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (DeviceView(ring="r", conditions=HOT), ()),
        (DeviceView(ring="r", last_seen_s=NOW_S - OFFLINE_S, conditions=HOT), HOT),
        (DeviceView(ring="r", last_seen_s=NOW_S - OFFLINE_S - 1, conditions=HOT), (Condition.OFFLINE,)),
        (DeviceView(ring="r", last_seen_s=NOW_S - OFFLINE_S - 1, connected=True), (Condition.OFFLINE,)),
        (
            DeviceView(
                ring="r",
                last_seen_s=NOW_S - DISCONNECTED_S,
                connected=False,
                connection_s=NOW_S - DISCONNECTED_S,
            ),
            (Condition.OFFLINE,),
        ),
        (DeviceView(ring="r", last_seen_s=NOW_S - 60, connected=False, connection_s=NOW_S - 130), ()),
        (DeviceView(ring="r", last_seen_s=NOW_S - 130, connected=False, connection_s=NOW_S - 60), ()),
    ],
)
def test_a_device_is_offline_when_it_is_silent_or_stays_away(
    device: DeviceView, expected: tuple[Condition, ...]
) -> None:
    assert standing(device, NOW_S) == expected


DEVICE = st.builds(
    DeviceView,
    ring=st.sampled_from(["canary", "early", "rest", "gone"]),
    version=st.sampled_from(["", *(f"1.{n}" for n in range(9))]),
    last_seen_s=st.sampled_from([None, NOW_S, NOW_S - 1_000]),
    conditions=st.sets(st.sampled_from(sorted(set(Condition) - {Condition.OFFLINE}))).map(
        lambda found: tuple(sorted(found))
    ),
    cameras_down=st.integers(0, 3),
)


def figures(devices: list[DeviceView]) -> list[Figure]:
    tally = Tally("main", ("canary", "early", "rest"))
    for device in devices:
        tally.add(device, NOW_S)
    return list(tally.figures())


@given(st.lists(DEVICE, max_size=60))
def test_the_number_of_figures_does_not_grow_and_the_parts_add_up(devices: list[DeviceView]) -> None:
    found = figures(devices)
    assert len(found) <= metric_count(3)
    assert len({(one.metric, one.dimensions) for one in found}) == len(found)

    def value(metric: FleetMetric, *names: str) -> int:
        return sum(f.value for f in found if f.metric is metric and [n for n, _ in f.dimensions] == ["Fleet", *names])

    unwell = [device for device in devices if standing(device, NOW_S)]
    assert value(FleetMetric.DEVICES) == len(devices)
    assert value(FleetMetric.UNWELL) == len(unwell)
    assert value(FleetMetric.DEVICES, "Version") == sum(bool(device.version) for device in devices)
    assert value(FleetMetric.UNWELL, "Version") == sum(bool(device.version) for device in unwell)
    assert value(FleetMetric.DEVICES, "Ring") == sum(device.ring != "gone" for device in devices)
    assert value(FleetMetric.OFFLINE) == sum(standing(d, NOW_S) == (Condition.OFFLINE,) for d in devices)


def test_rare_versions_are_counted_together() -> None:
    devices = [DeviceView(ring="rest", version=f"1.{n}") for n in range(MAX_VERSIONS + 3) for _ in range(20 - n)]
    versions = {
        dict(one.dimensions)["Version"]: one.value
        for one in figures(devices)
        if one.metric is FleetMetric.DEVICES and "Version" in dict(one.dimensions)
    }
    assert versions == {"1.0": 20, "1.1": 19, "1.2": 18, "1.3": 17, "1.4": 16, "other": 15 + 14 + 13}


PRESENCE = st.builds(Presence, st.booleans(), st.integers(0, 5), st.integers(0, 4).map(lambda n: n * RESET_MS))


@given(PRESENCE, PRESENCE)
def test_of_two_events_one_at_most_is_the_later(one: Presence, other: Presence) -> None:
    assert not (one.later_than(other) and other.later_than(one))
    assert not one.later_than(one)


@given(st.permutations([(True, 3, 0), (False, 3, 50), (True, 4, 40), (False, 4, 90)]))
def test_the_last_event_wins_in_any_order(order: list[tuple[bool, int, int]]) -> None:
    """The end of a connection may come after the beginning of the next one."""
    kept: Presence | None = None
    for event in order:
        now = Presence(*event)
        if kept is None or now.later_than(kept):
            kept = now
    assert kept == Presence(False, 4, 90)


def test_numbers_that_begin_anew_after_a_long_time_are_later() -> None:
    before, after = Presence(False, 57, 0), Presence(True, 0, 2 * RESET_MS)
    assert after.later_than(before)
    assert not before.later_than(after)


def test_people_read_what_happened_where() -> None:
    alert = Alert.model_validate(body("ledger-alert")["alert"])
    said = notice(alert, Place("berlin", "main"))
    texts = json.loads(said.message)
    assert said.subject == "[berlin] CRITICAL: Person without a helmet in hall for 3.5 s."
    assert texts["sms"] == "berlin: CRITICAL 07:59:59 Person without a helmet in hall for 3.5 s."
    assert "  Site:      berlin\n" in texts["email"]
    assert "camera hall, application safety, device edge-1" in texts["email"]
    assert json.loads(texts["default"]) == {
        "site": "berlin",
        "fleet": "main",
        "alert": alert.model_dump(mode="json", exclude_none=True),
    }
    assert said.attributes == {
        "site": "berlin",
        "application": "safety",
        "severity": "critical",
        "device": "edge-1",
    }


@given(st.text(max_size=400))
def test_subjects_and_short_messages_are_what_sns_takes(message: str) -> None:
    alert = Alert.model_validate(body("ledger-alert")["alert"] | {"message": message})
    said = notice(alert, Place("a" * 24, "main"))
    short = json.loads(said.message)["sms"]
    assert said.subject.isascii()
    assert 0 < len(said.subject) < 100
    assert said.subject.isprintable()
    assert short.isascii()
    assert len(short) <= 140
