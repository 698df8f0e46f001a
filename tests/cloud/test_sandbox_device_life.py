"""A device from its registration to its retirement, in an account with every stack."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.devices_account import run
from tests.cloud.sandbox_account import SandboxAccount
from vedette.contracts.device_bundle import BundleManifest
from vedette.contracts.errors import CloudError

pytestmark = pytest.mark.slow


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(*arguments, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.usefixtures("sandbox_commands")
def test_a_bundle_becomes_a_device_that_is_shown_restarted_and_retired(
    sandbox: SandboxAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serial = f"SN.{uuid.uuid4().hex[:6]}"
    bundle = tmp_path / "bundle"
    assert run("register", serial, "--ring", "canary", "--site", "berlin", "--out", str(bundle)) == 0
    manifest = BundleManifest.model_validate_json((bundle / "bundle.json").read_text())
    thing = manifest.device.thing
    assert thing in [one["thing"] for one in answer(capsys, "list", "--ring", "canary")["devices"]]
    assert answer(capsys, "show", serial)["registration"]["state"] == "waiting"
    claim = {"parameters": {"SerialNumber": serial, "Token": (bundle / "token").read_text().strip()}}
    assert sandbox.ask(f"/vedette/provision/{manifest.template}", claim)["thingName"] == thing
    shown = answer(capsys, "show", "--scan", str(bundle / "label.png"))
    assert (shown["thing"], shown["registration"]["state"]) == (thing, "used")
    assert [one["status"] for one in shown["certificates"]] == ["ACTIVE"]
    assert shown["groups"] == ["vedette-main-canary"]
    assert answer(capsys, "reboot", "--device", thing, "--wait")["succeeded"]
    assert [one["status"] for one in answer(capsys, "show", thing)["jobs"]] == ["SUCCEEDED"]
    assert answer(capsys, "retire", thing, "--yes")["retired"]
    assert thing not in [one["thing"] for one in answer(capsys, "list")["devices"]]
    assert [one["status"] for one in answer(capsys, "show", thing)["certificates"]] == []
    with pytest.raises(CloudError):
        sandbox.ask(f"/vedette/provision/{manifest.template}", claim)
