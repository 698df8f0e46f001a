"""The sandbox's broker: a device connects with its certificate and may do what its policy allows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.broker_device import as_device, credentials
from tests.cloud.sandbox_account import SandboxAccount, free_port
from vedette.contracts.errors import CloudError
from vedette.local.bus import Subscription
from vedette.local.cloud import lifecycle
from vedette.local.cloud.broker import program
from vedette.local.cloud.broker_access import access_list
from vedette.local.iot import BrokerIot
from vedette.local.iot_broker import BrokerBridge
from vedette.local.server import IpcError

needs_mosquitto = pytest.mark.skipif(program() is None, reason="mosquitto is not installed")
THING = "${iot:Connection.Thing.ThingName}"


def statement(action: str | list[str], *topics: str, effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": [f"arn:aws:iot:us-east-1:1:{one}" for one in topics]}


POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            statement(
                "iot:Publish", f"topic/vedette/{THING}/alerts", f"topic/$aws/rules/from_devices/vedette/{THING}/alerts"
            ),
            statement(["iot:Receive"], f"topic/vedette/{THING}/ack", f"topic/$aws/things/{THING}/jobs/*"),
            statement("iot:Subscribe", f"topicfilter/vedette/{THING}/ack"),
        ],
    }
)


def test_the_access_list_follows_from_the_policy() -> None:
    lines = access_list({"cam-2": [POLICY], "cam-1": [POLICY]}).splitlines()
    assert lines[lines.index("user cam-1") + 1 : lines.index("user cam-2") - 1] == [
        "topic write vedette/cam-1/alerts",
        "topic write $aws/rules/from_devices/vedette/cam-1/alerts",
        "topic read vedette/cam-1/ack",
        "topic read $aws/things/cam-1/jobs/#",
    ]


@pytest.mark.parametrize(
    "one",
    [
        statement("iot:Publish", "topic/vedette/*/alerts"),
        statement("iot:Publish", "topic/vedette/${iot:ClientId}/alerts"),
        statement("iot:Publish", "topicfilter/a"),
        statement("iot:Connect", "client/a"),
        statement("iot:Publish", "topic/a", effect="Deny"),
        {"Effect": "Allow", "Action": "iot:Publish", "Resource": "*"},
    ],
)
def test_what_the_broker_cannot_say_is_not_allowed(one: dict[str, Any]) -> None:
    assert access_list({"cam": [json.dumps({"Statement": [one]})]}).splitlines()[-1] == "user cam"


@pytest.fixture(scope="module")
def rule(bare_sandbox: SandboxAccount) -> str:
    """URL of the queue that devices' alerts go to."""
    url = str(bare_sandbox.client("sqs").create_queue(QueueName="from-devices")["QueueUrl"])
    payload = {
        "sql": "SELECT *, topic(2) AS thing FROM 'vedette/+/alerts'",
        "actions": [{"sqs": {"queueUrl": url, "roleArn": "arn:aws:iam::123456789012:role/r", "useBase64": False}}],
    }
    bare_sandbox.client("iot").create_topic_rule(ruleName="from_devices", topicRulePayload=payload)
    bare_sandbox.client("iot").create_policy(policyName="of-devices", policyDocument=POLICY)
    return url


def admitted(account: SandboxAccount, thing: str) -> BrokerIot:
    """A thing with a certificate and a policy, and what it connects with."""
    iot = account.client("iot")
    iot.create_thing(thingName=thing)
    arn = iot.create_keys_and_certificate(setAsActive=True)["certificateArn"]
    iot.attach_thing_principal(thingName=thing, principal=arn)
    iot.attach_policy(policyName="of-devices", target=arn)

    return credentials(account, thing)


@needs_mosquitto
def test_an_alert_goes_up_and_an_answer_comes_down(bare_sandbox: SandboxAccount, rule: str) -> None:
    thing = f"cam-{uuid.uuid4().hex[:6]}"
    settings = admitted(bare_sandbox, thing)
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def act(bridge: BrokerBridge) -> None:
        subscription: Subscription[bytes] = Subscription(
            f"vedette/{thing}/ack", lambda _, payload: heard.put_nowait(payload)
        )
        await bridge.subscribe(subscription, 1)
        for topic in (f"vedette/{thing}/alerts", f"$aws/rules/from_devices/vedette/{thing}/alerts"):
            await bridge.publish(topic, json.dumps({"to": topic}).encode(), 1)
        publish = bare_sandbox.client("iot-data").publish
        await asyncio.to_thread(publish, topic=f"vedette/{thing}/ack", payload=b'{"through_seq": 2}')
        assert await asyncio.wait_for(heard.get(), 20) == b'{"through_seq": 2}'

    as_device(settings, thing, act)
    found: list[dict[str, Any]] = []

    def both() -> bool:
        messages = bare_sandbox.client("sqs").receive_message(QueueUrl=rule, MaxNumberOfMessages=10)
        found.extend(json.loads(one["Body"]) for one in messages.get("Messages", []))
        return len(found) >= 2

    bare_sandbox.until("both messages", both)
    assert [one["thing"] for one in found] == [thing, thing]
    assert bare_sandbox.state("problem") == []


@needs_mosquitto
def test_a_device_cannot_speak_for_another(bare_sandbox: SandboxAccount, rule: str) -> None:
    thing = f"cam-{uuid.uuid4().hex[:6]}"

    async def act(bridge: BrokerBridge) -> None:
        for topic in (f"vedette/{thing}2/alerts", "vedette/other/alerts", f"vedette/{thing}/ack", "other"):
            with pytest.raises(IpcError):
                await bridge.publish(topic, b"{}", 1)

    as_device(admitted(bare_sandbox, thing), thing, act)
    assert not [one for one in bare_sandbox.state("published") if "other" in one["topic"]]


@needs_mosquitto
def test_a_thing_without_a_policy_is_not_admitted(bare_sandbox: SandboxAccount, rule: str) -> None:
    admitted(bare_sandbox, f"cam-{uuid.uuid4().hex[:6]}")
    bare_sandbox.client("iot").create_thing(thingName="bare")
    with pytest.raises(Exception, match="no certificate with a policy"):
        bare_sandbox.ask("/vedette/devices/bare/credentials", {})


def brokers(directory: Path) -> list[int]:
    """Processes that run the broker of a sandbox."""
    wanted, found = str(directory / "broker" / "mosquitto.conf").encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if wanted in words and b"mosquitto" in words[0]:
                    found.append(int(entry.name))
    return found


@needs_mosquitto
@pytest.mark.slow
def test_a_server_that_is_killed_leaves_no_broker_behind(tmp_path: Path) -> None:
    running = lifecycle.start(tmp_path, port=free_port(), region="us-east-1", stage="prod")
    account = SandboxAccount(running, tmp_path)
    try:
        account.until("the broker", lambda: brokers(tmp_path))
        os.kill(running.pid, signal.SIGKILL)
        account.until("its end", lambda: not brokers(tmp_path))
    finally:
        with contextlib.suppress(CloudError):
            lifecycle.stop(tmp_path)
