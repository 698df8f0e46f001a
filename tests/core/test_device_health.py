"""The message about a device: what it says, and that it always fits."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.adapters.machine import machine_health
from vedette.contracts.camera import CameraState
from vedette.contracts.device_health import MAX_HEALTH_BYTES, DeviceHealth
from vedette.contracts.health import AlertingHealth, ReceiverHealth
from vedette.core.device_health import SILENT_S, device_health, fitted

NOW_S = 1.8e9
TEXT = st.text(max_size=300)


def alerting(**changes: Any) -> AlertingHealth:
    fields: dict[str, Any] = {
        "time": datetime.fromtimestamp(NOW_S, UTC),
        "device": "edge-1",
        "judged": 1,
        "alerts": 1,
        "lag_s": 0.0,
        "durable": True,
        "volatile": 0,
        "receivers": {
            "iot_core": ReceiverHealth(pending=3, oldest_age_s=12.34),
            "app/file": ReceiverHealth(pending=5, oldest_age_s=2.0),
        },
        "evicted": {"info": 2, "warning": 1},
        "dead_letters": 0,
        "salvaged": 0,
        "not_analysed_s": 0.0,
        "unjudged": 0,
        "outbox_bytes": 4096,
    }
    return AlertingHealth.model_validate(fields | changes)


def made(components: dict[str, dict[str, Any]], **changes: Any) -> DeviceHealth:
    return device_health(alerting(**changes), components, version="0.1.0", now_s=NOW_S, machine={})


def test_states_and_totals_come_from_the_status_files() -> None:
    health = made(
        {
            "vedette.CameraIngest": {
                "wall_s": NOW_S - 1,
                "cameras": [
                    {"camera": "a", "state": "STREAMING"},
                    {"camera": "z", "state": "UNREACHABLE"},
                    {"camera": "d", "state": "DISABLED"},
                ],
                "problems": ["the disk is slow"],
            },
            "vedette.Inference": {
                "wall_s": NOW_S - SILENT_S - 1,
                "models": {
                    "well": {"state": "RUNNING", "cameras": {"a": {"inference_p99_ms": 20, "age_p99_ms": 50}}},
                    "ill": {
                        "state": "DEGRADED",
                        "code": "V306",
                        "cameras": {"a": {"inference_p50_ms": 7.04, "inference_p99_ms": 9}, "b": {"age_p99_ms": 1500}},
                    },
                },
            },
        },
        problems=("the disk is slow", "no sound"),
    )
    assert list(health.cameras.items()) == [
        ("z", CameraState.UNREACHABLE),
        ("a", CameraState.STREAMING),
        ("d", CameraState.DISABLED),
    ]
    assert (health.cameras_total, health.cameras_down, health.models_total) == (3, 1, 2)
    assert next(iter(health.models)) == "ill"
    assert health.models["ill"].model_dump() == {
        "state": "DEGRADED",
        "code": "V306",
        "p50_ms": 7.0,
        "p99_ms": 9.0,
        "age_p99_ms": 1500.0,
    }
    assert health.silent == ("vedette.Inference",)
    assert health.problems == ("the disk is slow", "no sound")
    assert (health.alerting.pending, health.alerting.oldest_age_s, health.alerting.evicted) == (5, 12.3, 3)


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"cameras": 3, "models": 3, "problems": 3, "wall_s": "x"},
        {"cameras": [1, {}, {"camera": 1, "state": "STREAMING"}, {"camera": "a", "state": "NEW"}]},
        {"models": {"m": 1}},
        {"models": {"m": {"cameras": {"a": {"inference_p99_ms": "fast"}, "b": 2}}}},
    ],
)
def test_status_files_of_another_form_are_left_out(status: dict[str, Any]) -> None:
    health = made({"vedette.CameraIngest": status, "vedette.Inference": status})
    assert health.cameras == {}
    assert all(model.p99_ms is None for model in health.models.values())


@given(st.integers(0, 200), st.integers(0, 80), st.lists(TEXT, max_size=40), TEXT)
def test_the_message_always_fits_and_the_totals_stay(cameras: int, models: int, problems: list[str], name: str) -> None:
    states = list(CameraState)
    health = made(
        {
            "vedette.CameraIngest": {
                "cameras": [{"camera": f"{name}{n}", "state": states[n % len(states)]} for n in range(cameras)],
                "problems": problems,
            },
            "vedette.Inference": {"models": {f"{name}{n}": {"state": name, "code": name} for n in range(models)}},
        }
    )
    body = fitted(health)
    assert len(body) <= MAX_HEALTH_BYTES
    told = DeviceHealth.model_validate_json(body)
    assert (told.cameras_total, told.cameras_down, told.models_total) == (
        health.cameras_total,
        health.cameras_down,
        health.models_total,
    )


def test_cameras_in_trouble_are_the_last_to_be_left_out() -> None:
    cameras = [{"camera": f"{'c' * 58}{n:03}", "state": "STREAMING"} for n in range(63)]
    health = made({"vedette.CameraIngest": {"cameras": [*cameras, {"camera": "zz", "state": "STALLED"}]}})
    told = DeviceHealth.model_validate_json(fitted(health, 2_000))
    assert 0 < len(told.cameras) < 64
    assert told.cameras["zz"] is CameraState.STALLED


def test_the_model_of_a_candidate_may_be_slow() -> None:
    slow = {"state": "DEGRADED", "cameras": {"a": {"age_p99_ms": 9000.0}}}
    models = {"yolox-0123456789ab": {"state": "RUNNING"}, "yolox-0123456789ab-candidate": slow}
    health = made({"vedette.Inference": {"wall_s": NOW_S, "models": models}})
    assert set(health.models) == {"yolox-0123456789ab"}
    assert health.models_total == 1


def test_the_machine_says_what_it_knows(tmp_path: Path) -> None:
    for zone, text in (("0", "41500\n"), ("1", "60250"), ("2", "nonsense"), ("3", "-273000")):
        (tmp_path / f"thermal_zone{zone}").mkdir()
        (tmp_path / f"thermal_zone{zone}" / "temp").write_text(text)
    memory = tmp_path / "meminfo"
    memory.write_text("MemTotal:       2048 kB\nMemFree: 3 kB\nMemAvailable:   1024 kB\n")
    found = machine_health(tmp_path, thermal=tmp_path, memory=memory)
    assert found["temperature_c"] == 60.2
    assert (found["memory"].available_bytes, found["memory"].total_bytes) == (1 << 20, 1 << 21)
    assert 0 < found["disk"].free_share <= 1
    nothing = machine_health(tmp_path / "none", thermal=tmp_path / "none", memory=tmp_path / "none")
    assert (nothing["temperature_c"], nothing["memory"], nothing["disk"]) == (None, None, None)


def test_this_machine_can_be_asked(tmp_path: Path) -> None:
    DeviceHealth.model_validate(made({}).model_dump() | machine_health(tmp_path))
