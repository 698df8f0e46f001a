"""``vedette device list``, ``show``, ``retire``: what is known is shown, what was retired can do nothing any more."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.devices_account import REGISTRATIONS, Greengrass, client, devices_account, item, provisioned, run, tell
from vedette.adapters.aws.account import Account
from vedette.adapters.aws.devices import Devices
from vedette.adapters.aws.registry import Registry
from vedette.adapters.aws.retirement import Retirement
from vedette.adapters.label import label, qr_code
from vedette.contracts.account import ring_group
from vedette.contracts.errors import CloudError
from vedette.core.fleet.bundle import console_page
from vedette.core.fleet.device_summary import ago


@pytest.fixture
def greengrass(monkeypatch: pytest.MonkeyPatch) -> Iterator[Greengrass]:
    with devices_account(monkeypatch) as made:
        yield made


def device(serial: str, ring: str = "rest", **attributes: dict[str, Any]) -> str:
    """A device that was registered and provisioned; the ARN of its certificate."""
    thing = Registry(Account()).register(serial, ring=ring, site="berlin").device.thing
    tell(thing, **attributes)
    return provisioned(thing, ring)


def seen(ago_s: float, *conditions: str) -> dict[str, dict[str, Any]]:
    at_ms = str(int((time.time() - ago_s) * 1000))
    return {
        "last_seen_ms": {"N": at_ms},
        "version": {"S": "0.1.0"},
        "conditions": {"S": ",".join(conditions)},
        "cameras_down": {"N": "2" if "camera_down" in conditions else "0"},
    }


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(*arguments, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_list_tells_the_unwell_from_the_well(greengrass: Greengrass, capsys: pytest.CaptureFixture[str]) -> None:
    device("a", "rest", **seen(10))
    device("b", "canary", **seen(10, "camera_down"))
    device("c", "rest", **seen(4000, "hot"))
    device("d")
    device("e", "rest", **seen(10))
    for thing in "abc":
        greengrass.has(thing)
    greengrass.has("e", "UNHEALTHY")
    found = {one["thing"]: one for one in answer(capsys, "list")["devices"]}
    assert {name: one["conditions"] for name, one in found.items()} == {
        "a": [],
        "b": ["camera_down"],
        "c": ["offline"],
        "d": [],
        "e": [],
    }
    assert [one["thing"] for one in answer(capsys, "list", "--unwell")["devices"]] == ["b", "c", "e"]
    assert [one["thing"] for one in answer(capsys, "list", "--ring", "canary")["devices"]] == ["b"]
    assert answer(capsys, "list", "--site", "madrid")["devices"] == []
    assert run("list") == 0
    said = capsys.readouterr().out
    assert "2 cameras down" in said
    assert "5 devices, 3 with something wrong." in said


def test_a_device_is_found_by_name_serial_number_and_label(
    greengrass: Greengrass, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device("SN.7", "rest", **seen(10))
    greengrass.has("SN-7")
    picture = tmp_path / "label.png"
    picture.write_bytes(label(console_page("eu-central-1", "SN-7"), ("SN-7", "S/N SN.7")))
    for arguments in (("SN-7",), ("SN.7",), ("--scan", str(picture))):
        found = answer(capsys, "show", *arguments)
        assert (found["thing"], found["serial"], found["ring"]) == ("SN-7", "SN.7", "rest")
        assert [one["status"] for one in found["certificates"]] == ["ACTIVE"]
        assert found["registration"]["state"] == "waiting"
        assert [one["name"] for one in found["components"]] == ["vedette.Alerting"]
    assert run("show", "SN-7") == 0
    assert "vedette.Alerting" in capsys.readouterr().out


@pytest.mark.usefixtures("greengrass")
def test_what_is_no_device_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign, nothing = tmp_path / "foreign.png", tmp_path / "nothing.png"
    foreign.write_bytes(qr_code("https://example.org/#/greengrass/v2/cores/SN-7"))
    nothing.write_bytes(b"no picture")
    for arguments, code in (
        (("nobody",), "V020"),
        (("--scan", str(foreign)), "V020"),
        (("--scan", str(nothing)), "V701"),
        ((), "V701"),
        (("SN-7", "--scan", str(foreign)), "V701"),
    ):
        assert run("show", *arguments) == 1
        assert code in capsys.readouterr().err, arguments


def test_a_retired_device_can_do_nothing_and_nobody_counts_it(
    greengrass: Greengrass, capsys: pytest.CaptureFixture[str]
) -> None:
    arn = device("SN.7", "rest", **seen(10, "hot"))
    greengrass.has("SN-7")
    assert run("retire", "SN-7", "--yes") == 0
    iot = client("iot")
    assert (
        iot.describe_certificate(certificateId=arn.rpartition("/")[2])["certificateDescription"]["status"] == "REVOKED"
    )
    assert iot.list_attached_policies(target=arn)["policies"] == []
    assert iot.list_thing_principals(thingName="SN-7")["principals"] == []
    assert iot.list_things_in_thing_group(thingGroupName=ring_group("main", "rest"))["things"] == []
    assert client("dynamodb").scan(TableName=REGISTRATIONS)["Items"] == []
    assert greengrass.devices == {}
    assert answer(capsys, "list")["devices"] == []
    found = answer(capsys, "show", "SN-7")
    assert found["retired"]
    assert found["fleet"] == "main"
    assert found["conditions"] == []
    assert run("retire", "SN-7", "--yes") == 0


@pytest.mark.usefixtures("greengrass")
def test_a_retired_serial_number_comes_back_only_when_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    device("SN-7")
    assert run("retire", "SN-7", "--yes") == 0
    assert run("register", "SN-7") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "was retired" in said
    assert "--again" in said
    assert run("register", "SN-7", "--again", "--ring", "canary") == 0
    assert {"retired_ms", "retired_fleet"}.isdisjoint(item("SN-7"))
    assert item("SN-7")["fleet"]["S"] == "main"


@pytest.mark.parametrize("broken", ["update_certificate", "detach_policy", "detach_thing_principal",
                                    "remove_thing_from_thing_group"])  # fmt: skip
def test_a_retirement_that_broke_off_is_finished_by_the_next(
    greengrass: Greengrass, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError

    arn = device("SN-7")
    greengrass.has("SN-7")
    account = Account()
    iot = account.client("iot")

    def fail(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, broken)

    with monkeypatch.context() as patched:
        patched.setattr(iot, broken, fail)
        with pytest.raises(CloudError):
            Retirement(account).retire(Devices(account).item("SN-7"))
    assert "retired_ms" not in item("SN-7")
    Retirement(account).retire(Devices(account).item("SN-7"))
    assert "retired_ms" in item("SN-7")
    status = iot.describe_certificate(certificateId=arn.rpartition("/")[2])["certificateDescription"]["status"]
    assert status == "REVOKED"


@pytest.mark.usefixtures("greengrass")
def test_nothing_is_retired_unasked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    device("SN-7")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run("retire", "SN-7") == 1  # standard input is empty: no answer is no
    assert run("retire", "SN-7", "--json") == 1
    assert "--yes" in capsys.readouterr().err
    assert "retired_ms" not in item("SN-7")


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7300, "2 h"), (2e5, "2 d")])
def test_times_are_told_for_people(seconds: float, said: str) -> None:
    assert ago(seconds) == said
