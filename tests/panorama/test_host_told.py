"""How Panorama code is told: to people on the device, to the account, to whoever judges a rollout."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from tests.core.test_device_health import alerting
from vedette.cli.panorama_view import panorama_notes, panorama_table
from vedette.compose.app_host import AppHostService
from vedette.contracts.fleet_metrics import Condition
from vedette.core.device_health import device_health
from vedette.core.fleet.device_job import wrong_with
from vedette.core.fleet.device_state import conditions

WELL: dict[str, Any] = {
    "state": "RUNNING",
    "code": "",
    "error": "",
    "restarts": 0,
    "pictures_per_s": 14.2,
    "calls": 10,
    "calls_per_s": 14.0,
    "puts_per_s": 13.9,
    "call_p50_ms": 7.2,
    "call_p95_ms": 15.7,
    "walls": ["mounts", "network"],
}
BROKEN: dict[str, Any] = {
    "state": "RESTARTING",
    "code": "V808",
    "error": "its program ended: it ended with exit code 1\nTraceback\nRuntimeError: no labels",
    "restarts": 3,
    "cameras": {"hall": "V205 nobody serves there"},
    "routes": {"8080": "127.0.0.1:8080: Address already in use"},
    "note": "it has asked for nothing for 40 s",
    "missing_walls": {"network": "not permitted"},
}


def printed(codes: dict[str, dict[str, Any]]) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(panorama_table(codes))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_row_for_each_application() -> None:
    text = printed({"shop": WELL, "gate": BROKEN})
    assert "14.2" in text
    assert "7.2 (15.7)" in text
    assert "RESTARTING" in text


def test_everything_that_is_wrong_is_said_in_words() -> None:
    notes = "\n".join(panorama_notes({"shop": WELL, "gate": BROKEN}))
    assert "shop" not in notes
    for expected in (
        "V808 its program ended: it ended with exit code 1",
        "RuntimeError: no labels",
        "no pictures of hall: V205 nobody serves there",
        "nobody reaches it at port 8080: 127.0.0.1:8080: Address already in use",
        "it has asked for nothing for 40 s",
        "this machine lacks a network of its own: not permitted",
    ):
        assert expected in notes


def test_the_account_learns_of_it_and_a_rollout_is_judged_by_it() -> None:
    def told(status: dict[str, Any]) -> Any:
        components = {"vedette.AppHost": {"wall_s": 100.0, "panorama": {"shop": status}, "problems": ["is RESTARTING"]}}
        return device_health(alerting(), components, version="1", now_s=100.0, machine={})

    assert Condition.MODEL_DEGRADED not in conditions(told(WELL))
    assert told(WELL).models["panorama:shop"].p50_ms == 7.2
    assert Condition.MODEL_DEGRADED in conditions(told(BROKEN))
    assert Condition.MODEL_DEGRADED in conditions(told({"state": "REFUSED", "code": "V805"}))
    assert "is RESTARTING" in told(BROKEN).problems


def test_an_update_that_breaks_it_is_found() -> None:
    now_s = datetime(2026, 11, 27, tzinfo=UTC).timestamp()
    found = wrong_with({"vedette.AppHost": {"wall_s": now_s, "panorama": {"shop": BROKEN}}}, now_s)
    assert found == ("Panorama code of shop does not run well",)
    assert wrong_with({"vedette.AppHost": {"wall_s": now_s, "panorama": {"shop": WELL}}}, now_s) == ()


def test_the_status_file_and_the_local_message_hold_both_kinds() -> None:
    class Silent:
        """A bus that nobody listens to."""

    service = AppHostService(Silent())  # type: ignore[arg-type]
    states = {"shop/greeter": {"state": "RUNNING"}, "panorama:shop": BROKEN, "panorama:gate": WELL}
    summary = service._summary(states)
    assert summary["hooks"] == {"shop/greeter": {"state": "RUNNING"}}
    assert summary["panorama"] == {"shop": BROKEN, "gate": WELL}
    assert [text.partition(":")[0] for text in summary["problems"]] == ["Panorama code of shop is RESTARTING"]
    messages = dict(service._messages(states, None))
    assert messages["vedette/hooks/shop"] == {
        "application": "shop",
        "hooks": {"greeter": {"state": "RUNNING"}},
        "panorama": BROKEN,
    }
    assert messages["vedette/hooks/gate"]["panorama"] == WELL
    assert [topic for topic, _ in service._messages(states, {"gate"})] == ["vedette/hooks/gate"]
