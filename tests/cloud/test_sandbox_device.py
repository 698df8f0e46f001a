"""A registered device connects by MQTT with its own certificate; its alert is kept once and acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.cloud.broker_device import as_device, credentials
from tests.cloud.sandbox_account import SandboxAccount
from vedette.adapters.aws.account import Account
from vedette.adapters.aws.registry import Registry
from vedette.contracts.topics import cloud_ack, cloud_alerts
from vedette.local.bus import Subscription
from vedette.local.cloud.broker import program
from vedette.local.iot_broker import BrokerBridge
from vedette.local.server import IpcError

pytestmark = [pytest.mark.slow, pytest.mark.skipif(program() is None, reason="mosquitto is not installed")]
APPLICATION = """
api: vedette/v1
name: yard
cameras: { yard: {} }
models: { objects: { family: yolox, file: %s, labels: coco } }
pipelines: { people: { model: objects, cameras: [yard], labels: [person] } }
rules: { there: { type: dwell, zone: [[0, 0], [1, 0], [1, 1], [0, 1]], for_s: 1 } }
actions: { cloud: { type: iot_core } }
"""
EVENT = Path(__file__).parent / "events" / "ledger-alert.json"


@pytest.fixture
def thing(sandbox: SandboxAccount, sandbox_commands: Account) -> str:
    """A machine that became a device."""
    serial = f"SN-{uuid.uuid4().hex[:6]}"
    new = Registry(sandbox_commands).register(serial, ring="rest")
    claim = {"parameters": {"SerialNumber": serial, "Token": new.token}}
    return str(sandbox.ask(f"/vedette/provision/{sandbox.made('provisioning-template')}", claim)["thingName"])


def alert(thing: str, identity: str, epoch: str) -> bytes:
    """One alert of the device, as its outbox sends it."""
    message = json.loads(json.loads(EVENT.read_text())["Records"][0]["body"])
    message.pop("thing")
    message["alert"] |= {"device": thing, "alert_id": identity}
    return json.dumps(message | {"alert_id": identity, "epoch": epoch, "seq": 1}).encode()


def test_an_alert_is_kept_once_and_acknowledged(sandbox: SandboxAccount, thing: str) -> None:
    identity, epoch = uuid.uuid4().hex, uuid.uuid4().hex[:4]
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def act(bridge: BrokerBridge) -> None:
        subscription: Subscription[bytes] = Subscription(cloud_ack(thing), lambda _, payload: heard.put_nowait(payload))
        await bridge.subscribe(subscription, 1)
        for _ in range(2):
            await bridge.publish(cloud_alerts(thing), alert(thing, identity, epoch), 1)
        answer = json.loads(await asyncio.wait_for(heard.get(), 60))
        assert answer == {"epoch": epoch, "through_seq": 1}
        with pytest.raises(IpcError):
            await bridge.publish(cloud_alerts("another"), alert("another", uuid.uuid4().hex, epoch), 1)

    as_device(credentials(sandbox, thing), thing, act)
    table = sandbox.made("ledger-table")
    items = sandbox.client("dynamodb").scan(TableName=table, ConsistentRead=True)["Items"]
    assert [one["alert_id"]["S"] for one in items].count(identity) == 1


@pytest.mark.footage
@pytest.mark.processes
def test_the_alerts_of_a_whole_run_are_kept_and_leave_the_outbox_empty(
    sandbox: SandboxAccount, thing: str, shared_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "vedette.yaml").write_text(APPLICATION % (shared_data / "models" / "yolox_nano.onnx"))
    broker = credentials(sandbox, thing)
    state, alerts = tmp_path / "s", tmp_path / "alerts.jsonl"
    command = [
        sys.executable,
        "-m",
        "vedette",
        "run",
        str(tmp_path),
        "--headless",
        "--loop",
        "--for",
        "25s",
        "--thing",
        thing,
    ]
    command += ["--camera", f"yard={shared_data / 'videos' / 'person-parking-lot-7sec.mp4'}", "--state", str(state)]
    command += ["--json", str(alerts), "--broker", f"{broker.host}:{broker.port}", "--ca", str(broker.ca_file)]
    command += ["--cert", str(broker.cert_file), "--key", str(broker.key_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = {json.loads(line)["alert_id"] for line in alerts.read_text().splitlines()}
    assert told
    table = sandbox.made("ledger-table")

    def kept() -> set[str]:
        items = sandbox.client("dynamodb").scan(TableName=table, ConsistentRead=True)["Items"]
        return {one["alert_id"]["S"] for one in items if one["device"]["S"] == thing}

    sandbox.until("the alerts in the ledger", lambda: kept() == told)
    with contextlib.closing(sqlite3.connect(state / "state" / "outbox.db")) as outbox:
        assert outbox.execute("SELECT count(*) FROM alerts").fetchone() == (0,)
