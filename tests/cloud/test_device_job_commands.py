"""``vedette device reboot`` and ``update`` against the sandbox: ring by ring, and the exit code tells the truth."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.cloud.devices_account import run
from tests.cloud.sandbox_account import SandboxAccount
from vedette.adapters.aws import jobs as jobs_module
from vedette.adapters.aws.account import Account
from vedette.adapters.aws.kept_secrets import UpdateKey
from vedette.contracts.account import RINGS, fleet_group, parameter, ring_group
from vedette.contracts.device_job import UpdateJob, update_statement


@dataclass
class Fleet:
    """A fleet of simulated devices.

    Attributes:
        account: the sandbox.
        name: of the fleet, and of the stage.
    """

    account: SandboxAccount
    name: str

    def add(self, ring: str, **behaviour: Any) -> str:
        """A device that behaves so."""
        thing, iot = f"{self.name}-{ring}-{uuid.uuid4().hex[:4]}", self.account.client("iot")
        iot.create_thing(thingName=thing)
        iot.add_thing_to_thing_group(thingName=thing, thingGroupName=ring_group(self.name, ring))
        self.account.ask(f"/vedette/devices/{thing}", behaviour)
        item = {"thing": thing, "serial": thing, "fleet": self.name, "ring": ring, "site": "berlin"}
        self.account.client("dynamodb").put_item(
            TableName=f"devices-{self.name}", Item={key: {"S": value} for key, value in item.items()}
        )
        return thing

    def jobs(self, thing: str) -> list[str]:
        """Statuses of a device's jobs."""
        found = self.account.client("iot").list_job_executions_for_thing(thingName=thing)["executionSummaries"]
        return [one["jobExecutionSummary"]["status"] for one in found]


@pytest.fixture
def fleet(bare_sandbox: SandboxAccount, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """A fleet with its rings and no devices, in a stage of its own."""
    for name, value in bare_sandbox.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(jobs_module, "_EVERY_S", 0.05)
    made = Fleet(bare_sandbox, f"f{uuid.uuid4().hex[:6]}")
    iot = bare_sandbox.client("iot")
    iot.create_thing_group(thingGroupName=fleet_group(made.name))
    for ring in reversed(RINGS):
        iot.create_thing_group(thingGroupName=ring_group(made.name, ring), parentGroupName=fleet_group(made.name))
    for key, partition in (("devices", "thing"), ("registrations", "serial")):
        table = f"{key}-{made.name}"
        bare_sandbox.client("dynamodb").create_table(
            TableName=table,
            KeySchema=[{"AttributeName": partition, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": partition, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        bare_sandbox.client("ssm").put_parameter(Name=parameter(made.name, f"{key}-table"), Value=table, Type="String")
    bucket = f"artefacts-{made.name}"
    bare_sandbox.client("s3").create_bucket(Bucket=bucket)
    bare_sandbox.client("ssm").put_parameter(Name=parameter(made.name, "artefacts-bucket"), Value=bucket, Type="String")
    return made


def told(capsys: pytest.CaptureFixture[str], fleet: Fleet, *arguments: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert run(*arguments, "--stage", fleet.name, "--json") == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_rings_go_one_after_the_other_in_their_order(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    things = [fleet.add(ring) for ring in ("canary", "rest", "rest")]
    said = told(capsys, fleet, "reboot", "--fleet", fleet.name, "--wait")
    assert said["succeeded"]
    assert [(one["target"], one["succeeded"]) for one in said["steps"]] == [
        ("ring canary", 1),
        ("ring early", 0),
        ("ring rest", 2),
    ]
    assert [fleet.jobs(thing) for thing in things] == [["SUCCEEDED"]] * 3


def test_a_ring_that_fails_keeps_the_next_from_beginning(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.add("canary", fails={"reboot": "*"})
    rest = fleet.add("rest")
    said = told(capsys, fleet, "reboot", "--fleet", fleet.name, "--wait", code=1)
    assert (said["succeeded"], said["steps"][-1]["failure"]) == (False, "1 device failed")
    assert fleet.jobs(rest) == []
    assert run("reboot", "--fleet", fleet.name, "--wait", "--stage", fleet.name) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "V022" in error
    assert "Not begun: ring early, ring rest." in error


def test_a_ring_of_which_nobody_answers_is_no_evidence(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.add("canary", online=False)
    rest = fleet.add("rest")
    arguments = ("reboot", "--fleet", fleet.name, "--wait", "--limit", "1")
    said = told(capsys, fleet, *arguments, code=1)
    assert said["steps"][-1]["failure"] == "no device has done it in time"
    fleet.add("canary")
    assert told(capsys, fleet, *arguments)["succeeded"]
    assert fleet.jobs(rest) == ["SUCCEEDED"]


def test_an_update_is_uploaded_signed_and_told_truly(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "nucleus.deb"
    package.write_bytes(b"a package")
    sha256 = hashlib.sha256(b"a package").hexdigest()
    good, broken = fleet.add("canary"), fleet.add("canary", fails={"update-nucleus": "2.6.1"})
    options = ("update", "--nucleus-package", str(package), "--to", "2.6.1", "--wait")
    assert told(capsys, fleet, *options, "--device", good)["succeeded"]
    assert not told(capsys, fleet, *options, "--device", broken, code=1)["succeeded"]
    assert (fleet.jobs(good), fleet.jobs(broken)) == (["SUCCEEDED"], ["FAILED"])
    iot = fleet.account.client("iot")
    job = iot.list_job_executions_for_thing(thingName=good)["executionSummaries"][0]["jobId"]
    document = UpdateJob.model_validate_json(iot.get_job_document(jobId=job)["document"])
    stored = fleet.account.client("s3").get_object(Bucket=document.bucket, Key=document.key)["Body"].read()
    assert (stored, document.sha256, document.size) == (b"a package", sha256, 9)
    public = serialization.load_pem_public_key(UpdateKey(Account(fleet.name)).public().encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    statement = update_statement("nucleus", "2.6.1", sha256)
    public.verify(base64.b64decode(document.signature), statement, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("reboot",), "V701"),
        (("reboot", "--device", "a", "--fleet", "b"), "V701"),
        (("reboot", "--device", "a", "--ring", "canary"), "V701"),
        (("reboot", "--fleet", "FLEET"), "V701"),
        (("reboot", "--fleet", "FLEET", "--ring", "nowhere"), "V021"),
        (("reboot", "--fleet", "nobody"), "V021"),
        (("reboot", "--device", "nobody"), "V020"),
        (("update", "--device", "a"), "V701"),
        (("update", "--device", "a", "--runtime", "/no/such/file"), "V701"),
        (("update", "--fleet", "FLEET", "--ring", "rest", "--runtime", "/no/such/file", "--to", "1"), "V021"),
        (("update", "--fleet", "FLEET", "--ring", "rest", "--runtime", "EMPTY", "--to", "1"), "V021"),
        (("update", "--fleet", "FLEET", "--ring", "rest", "--runtime", "FILE", "--to", "1; reboot"), "V021"),
        (("update", "--device", "a", "--runtime", "FILE", "--to", "1"), "V020"),
        (("update", "--device", "a", "--classic-nucleus", "2.14.3"), "V701"),
    ],
)
def test_a_wrong_call_is_named_before_anything_is_made(
    fleet: Fleet, tmp_path: Path, arguments: tuple[str, ...], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "file").write_text("x")
    places = {"FLEET": fleet.name, "EMPTY": str(tmp_path / "empty"), "FILE": str(tmp_path / "file")}
    before = len(fleet.account.client("iot").list_jobs()["jobs"])
    assert run(*(places.get(one, one) for one in arguments), "--stage", fleet.name) == 1
    assert code in capsys.readouterr().err
    assert len(fleet.account.client("iot").list_jobs()["jobs"]) == before
