"""One sandbox with every stack deployed, shared by all tests that need an account in which things really run."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from vedette.adapters.aws.account import Account
from vedette.contracts.account import DEFAULT_STAGE, parameter
from vedette.contracts.topics import cloud_health

HEALTH = Path(__file__).parent / "events" / "health.json"

#: A fleet of its own for the commands of fleet operators: what other tests do to the devices of ``main`` is not theirs.
FLEET_OF_COMMANDS = "shops"
#: What the stacks are deployed with: functions for this machine, nothing kept when they are destroyed, every stack
#: and our components, whose folder is built first.
CONTEXT = {
    "lambda_platform": "host",
    "keep_data": False,
    "network": {"on_premises_cidrs": ["10.1.0.0/16"]},
    "baseline": {"aws.greengrass.Nucleus": {"version": "2.14.3"}},
    "fleets": [{"name": "main"}, {"name": FLEET_OF_COMMANDS, "rings": ["canary", "rest"]}],
}
LIMIT_S = 60.0
#: Longest that a state machine waits here, whatever its definition says.
WAITS_S = 0.5


@dataclass
class SandboxAccount:
    """A running sandbox.

    Attributes:
        running: its server (``vedette.local.cloud.lifecycle.Running``).
        directory: its files.
    """

    running: Any
    directory: Path
    _clients: dict[str, Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """For commands that work on this account."""
        return dict(self.running.environment())

    def client(self, service: str) -> Any:
        """A client of the account."""
        import boto3

        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                region_name=self.running.region,
                endpoint_url=self.running.endpoint,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
            )
        return self._clients[service]

    def made(self, key: str) -> str:
        """What the stacks published under a key."""
        return str(self.client("ssm").get_parameter(Name=parameter(DEFAULT_STAGE, key))["Parameter"]["Value"])

    def state(self, kind: str) -> list[dict[str, Any]]:
        """What happened: ``invocation``, ``event``, ``published``, ``problem``, …"""
        return list(self.running.ask(f"/vedette/state/{kind}")["entries"])

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One of the sandbox's own paths."""
        return dict(self.running.ask(path, body))

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """What a function answers; an error of the function's is an AssertionError."""
        answer = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
        payload = json.loads(answer["Payload"].read() or b"null")
        assert "FunctionError" not in answer, payload
        return payload

    def until(self, what: str, look: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
        """The first true value of a look, or a failure that names the account's latest problems."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if value := look():
                return value
            time.sleep(0.05)
        raise AssertionError(f"{what}: not within {limit_s:g} s; problems: {self.state('problem')[-3:]}")


def free_port() -> int:
    """A port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def bare_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxAccount]:
    """A sandbox with no stacks."""
    from vedette.local.cloud import lifecycle

    directory = tmp_path_factory.mktemp("bare-sandbox")
    running = lifecycle.start(directory, port=free_port(), region="us-east-1", stage=DEFAULT_STAGE)
    try:
        yield SandboxAccount(running, directory)
    finally:
        lifecycle.stop(directory)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxAccount]:
    """A sandbox with every stack of the app."""
    from vedette.local.cloud import lifecycle
    from vedette.local.cloud.cdk import Cdk, Target
    from vedette.local.component_tree import BuildSettings, build_tree

    directory = tmp_path_factory.mktemp("sandbox")
    began = time.monotonic()
    running = lifecycle.start(directory, port=free_port(), region="us-east-1", stage=DEFAULT_STAGE)
    try:
        account = SandboxAccount(running, directory)
        build_tree(directory / "components", BuildSettings.choose(libraries=False))
        context = {**CONTEXT, "components": str(directory / "components")}
        target = Target(account.ask("/vedette/state")["account"], "us-east-1", account.environment, directory, context)
        cdk = Cdk(target)
        cdk.bootstrap()
        cdk.deploy()
        account.ask("/vedette/waits", {"at_most_s": WAITS_S})
        sys.stderr.write(f"sandbox deployed in {time.monotonic() - began:.1f} s\n")
        yield account
    finally:
        lifecycle.stop(directory)


@pytest.fixture
def sandbox_commands(sandbox: SandboxAccount, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The sandbox as commands find it, by the environment."""
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    return Account()


def leave_rings_to(sandbox: SandboxAccount, things: Collection[str], fleet: str = "main") -> None:
    """Take the devices that other tests left in a fleet out of its rings: they take part in no rollout."""
    devices, iot, table = sandbox.client("dynamodb"), sandbox.client("iot"), sandbox.made("devices-table")
    for page in devices.get_paginator("scan").paginate(TableName=table):
        for item in page["Items"]:
            thing = item["thing"]["S"]
            if thing in things or item.get("fleet", {}).get("S") != fleet:
                continue
            with contextlib.suppress(iot.exceptions.ResourceNotFoundException):  # never became one
                for group in iot.list_thing_groups_for_thing(thingName=thing)["thingGroups"]:
                    iot.remove_thing_from_thing_group(thingGroupName=group["groupName"], thingName=thing)
            devices.delete_item(TableName=table, Key={"thing": {"S": thing}})


def tell_health(sandbox: SandboxAccount, thing: str, camera: str) -> None:
    """What the device says of itself once a minute."""
    message = json.loads(json.loads(HEALTH.read_text())["Records"][0]["body"])
    message.pop("thing")
    down = int(camera != "STREAMING")
    message |= {"device": thing, "time": datetime.now(UTC).isoformat(), "cameras": {"cam-1": camera}}
    message |= {"cameras_total": 1, "cameras_down": down}
    body = {"topic": cloud_health(thing), "payload": message, "client_id": thing}
    sandbox.ask("/vedette/publish", body)
    devices, told = sandbox.client("dynamodb"), message["cameras"]

    def stored() -> bool:
        item = devices.get_item(TableName=sandbox.made("devices-table"), Key={"thing": {"S": thing}})["Item"]
        return "health" in item and json.loads(item["health"]["S"])["cameras"] == told

    sandbox.until(f"what {thing} says of itself", stored)
