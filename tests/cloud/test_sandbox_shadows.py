"""Shadows of the sandbox behave as AWS's: by the API and, for a device that is connected, by MQTT."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.cloud.broker_device import as_device, credentials
from tests.cloud.sandbox_account import SandboxAccount
from vedette.contracts.topics import shadow as topic
from vedette.local.bus import Subscription
from vedette.local.cloud.broker import program
from vedette.local.iot_broker import BrokerBridge
from vedette.local.server import IpcError

POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["iot:Publish", "iot:Receive"],
                "Resource": "arn:aws:iot:us-east-1:1:topic/$aws/things/${iot:Connection.Thing.ThingName}/shadow/*",
            }
        ],
    }
)


@pytest.fixture
def thing(bare_sandbox: SandboxAccount) -> str:
    name = f"cam-{uuid.uuid4().hex[:8]}"
    bare_sandbox.client("iot").create_thing(thingName=name)
    return name


class Shadow:
    """By the API."""

    def __init__(self, account: SandboxAccount, thing: str) -> None:
        self.client = account.client("iot-data")
        self.about = {"thingName": thing, "shadowName": "vedette"}

    def update(self, **document: Any) -> dict[str, Any]:
        answer = self.client.update_thing_shadow(**self.about, payload=json.dumps(document))
        return dict(json.loads(answer["payload"].read()))

    def get(self) -> dict[str, Any]:
        return dict(json.loads(self.client.get_thing_shadow(**self.about)["payload"].read()))

    def delete(self) -> dict[str, Any]:
        return dict(json.loads(self.client.delete_thing_shadow(**self.about)["payload"].read()))


def test_versions_count_up_and_guard_against_each_other(bare_sandbox: SandboxAccount, thing: str) -> None:
    shadow = Shadow(bare_sandbox, thing)
    with pytest.raises(shadow.client.exceptions.ResourceNotFoundException):
        shadow.get()
    assert shadow.update(state={"desired": {"a": {"x": 1, "y": 2}}}, clientToken="me")["clientToken"] == "me"
    assert shadow.update(state={"desired": {"a": {"x": None}}}, version=1)["version"] == 2
    with pytest.raises(shadow.client.exceptions.ConflictException):
        shadow.update(state={"desired": {"a": {"z": 3}}}, version=1)
    found = shadow.get()
    assert found["state"] == {"desired": {"a": {"y": 2}}, "delta": {"a": {"y": 2}}}
    assert set(found["metadata"]["desired"]["a"]) == {"y"}
    shadow.update(state={"reported": {"a": {"y": 2}, "own": [1]}})
    assert "delta" not in shadow.get()["state"]
    assert bare_sandbox.client("iot-data").list_named_shadows_for_thing(thingName=thing)["results"] == ["vedette"]
    shadow.delete()
    with pytest.raises(shadow.client.exceptions.ResourceNotFoundException):
        shadow.delete()
    assert shadow.update(state={"desired": {"b": 1}})["version"] == 4, "the version goes on after a deletion"
    assert shadow.get()["state"]["desired"] == {"b": 1}


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("nonsense", "Invalid JSON"),
        ("[]", "Invalid JSON"),
        ("{}", "Missing required node: state"),
        ('{"state": 5}', "State node must be an object"),
        ('{"state": {"other": {}}}', "invalid node"),
        ('{"state": {"desired": 5}}', "Desired node must be an object"),
        ('{"state": {"desired": {}}, "version": "1"}', "Invalid version"),
        ('{"state": {"desired": {}}, "clientToken": "%s"}' % ("x" * 65), "Invalid clientToken"),
        ('{"state": {"desired": {"a":{"b":{"c":{"d":{"e":{"f":1}}}}}}}}', None),
        ('{"state": {"desired": {"a":{"b":{"c":{"d":{"e":{"f":{"g":1}}}}}}}}}', "nesting"),
        ('{"state": {"desired": {"a": "%s"}}}' % ("x" * 8200), "maximum size"),
    ],
)
def test_what_is_wrong_is_refused(bare_sandbox: SandboxAccount, thing: str, payload: str, said: str | None) -> None:
    client = bare_sandbox.client("iot-data")

    def ask() -> None:
        client.update_thing_shadow(thingName=thing, shadowName="vedette", payload=payload)

    if said is None:
        ask()
    else:
        with pytest.raises(client.exceptions.ClientError, match=said):
            ask()


def test_the_limit_counts_both_sections(bare_sandbox: SandboxAccount, thing: str) -> None:
    shadow = Shadow(bare_sandbox, thing)
    shadow.update(state={"desired": {"a": "x" * 5000}})
    with pytest.raises(shadow.client.exceptions.ClientError, match="RequestEntityTooLarge"):
        shadow.update(state={"reported": {"a": "x" * 5000}})
    shadow.update(state={"desired": None, "reported": {"a": "x" * 5000}})
    assert "desired" not in shadow.get()["state"]


@pytest.mark.skipif(program() is None, reason="mosquitto is not installed")
def test_a_device_hears_and_changes_its_own_shadow(bare_sandbox: SandboxAccount, thing: str) -> None:
    iot = bare_sandbox.client("iot")
    arn = iot.create_keys_and_certificate(setAsActive=True)["certificateArn"]
    iot.attach_thing_principal(thingName=thing, principal=arn)
    iot.create_policy(policyName=f"of-{thing}", policyDocument=POLICY)
    iot.attach_policy(policyName=f"of-{thing}", target=arn)
    shadow, heard = Shadow(bare_sandbox, thing), asyncio.Queue[tuple[str, dict[str, Any]]]()

    async def act(bridge: BrokerBridge) -> None:
        answers = ("get/accepted", "get/rejected", "update/accepted", "update/rejected", "update/delta")
        for what in answers:
            await bridge.subscribe(
                Subscription(
                    topic(thing, what),
                    lambda of, data: heard.put_nowait((of.partition("vedette/")[2], json.loads(data))),
                ),
                1,
            )

        async def told() -> tuple[str, dict[str, Any]]:
            return await asyncio.wait_for(heard.get(), 20)

        await bridge.publish(topic(thing, "get"), b'{"clientToken": "t1"}', 1)
        what, document = await told()
        assert (what, document["code"], document["clientToken"]) == ("get/rejected", 404, "t1")
        await asyncio.to_thread(shadow.update, state={"desired": {"a": 1}})
        assert {(await told())[0], (await told())[0]} == {"update/accepted", "update/delta"}
        await bridge.publish(topic(thing, "update"), b'{"state": {"reported": {"device": {"v": 1}}}}', 1)
        found = dict([await told(), await told()])
        assert found["update/accepted"]["state"] == {"reported": {"device": {"v": 1}}}
        assert found["update/delta"]["state"] == {"a": 1}, "what is not reported is told with every change"
        assert found["update/delta"]["version"] == 2
        await bridge.publish(topic(thing, "update"), b'{"state": {"reported": {"a": 1}}, "version": 1}', 1)
        what, document = await told()
        assert (what, document["code"]) == ("update/rejected", 409)
        await bridge.publish(topic(thing, "get"), b"", 1)
        what, document = await told()
        assert what == "get/accepted"
        assert document["state"] == {"desired": {"a": 1}, "reported": {"device": {"v": 1}}, "delta": {"a": 1}}
        with pytest.raises(IpcError):
            await bridge.publish(topic("another", "update"), b'{"state": {"desired": {"a": 5}}}', 1)

    as_device(credentials(bare_sandbox, thing), thing, act)
    assert shadow.get()["state"]["reported"] == {"device": {"v": 1}}
