"""A rollout from plan to end, driven as the state machine does: moto's tables, a fake Greengrass, a simulated clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lambdas.common import runtime
from lambdas.rollout_api import handler as api
from lambdas.rollout_step import handler as step
from lambdas.sweep.handler import Sweeper
from tests.cloud.fake_greengrass import Greengrass

EVENTS = Path(__file__).parent / "events"
ARNS = "arn:aws:greengrass:eu-central-1:123456789012:components:"
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:rollouts"
POLICY = {"check_every_s": 60, "soak_s": 120, "timeout_s": 600}
ENVIRONMENT = {
    "STAGE": "prod",
    "DESIRED_TABLE": "desired",
    "ROLLOUTS_TABLE": "rollouts",
    "DEVICES_TABLE": "devices",
    "RINGS_TABLE": "rings",
    "COUNT_QUEUE": "https://queue",
    "LOG_KEY": "arn:aws:kms:eu-central-1:123456789012:key/logs",
    "LOG_DAYS": "30",
    "EVENT_BUS": "default",
    "GROUPS_ARN": "arn:aws:iot:eu-central-1:123456789012:thinggroup/",
    "BASELINE": json.dumps({"aws.greengrass.Nucleus": {"version": "2.14.3"}}),
    "STATE_MACHINE_ARN": MACHINE,
    "COMPONENTS_ARN": ARNS,
    "FLEETS": json.dumps({"main": ["canary", "early", "rest"]}),
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-central-1",
}


class Machine:
    """Step Functions and EventBridge; runs nothing by itself."""

    class exceptions:  # noqa: N801 - as boto3 has it
        class ExecutionAlreadyExists(Exception):  # noqa: N818 - as boto3 has it
            pass

    def __init__(self) -> None:
        self.started: dict[str, dict[str, Any]] = {}
        self.told: list[dict[str, Any]] = []
        self.failure: ClientError | None = None
        self.deaf = False

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> None:  # noqa: N803
        assert stateMachineArn == MACHINE
        if self.failure is not None:
            raise self.failure
        if name in self.started:
            raise self.exceptions.ExecutionAlreadyExists
        self.started[name] = json.loads(input)

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        if self.deaf:
            raise throttled("PutEvents")
        self.told += [json.loads(entry["Detail"]) for entry in Entries]
        return {"Entries": [{"EventId": "e"} for _ in Entries]}


class Counts:
    """The queue of the sweep, and the sweep: every minute, and when a rollout asks.

    Attributes:
        clock: whether it counts every minute.
        asked: how often a rollout has asked.
        deaf: an order is not heard.
    """

    def __init__(self, dynamodb: Any, now: Callable[[], float]) -> None:
        self.clock, self.asked, self.deaf, self._last = True, 0, False, 0
        fleets: dict[str, tuple[str, ...]] = {"main": ("canary", "early", "rest")}
        self._sweeper = Sweeper(
            tables=dynamodb,
            cloudwatch=None,
            table="devices",
            index="by-fleet",
            rings="rings",
            fleets=fleets,
            log=runtime.logger("sweep"),
            now=now,
        )

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803 - as boto3 has it
        assert QueueUrl == "https://queue"
        self.asked += 1
        if not self.deaf:
            self.count(MessageBody)

    def count(self, order: str = '{"count": "*"}') -> None:
        record = {"messageId": "m", "body": order, "attributes": {"SentTimestamp": "0"}}
        assert self._sweeper.work({"Records": [record]}) == {"batchItemFailures": []}

    def tick(self, now: int) -> None:
        if self.clock and now - self._last >= 60:
            self._last = now
            self.count()


class Account:
    """Everything around the two functions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.greengrass, self.machine, self.now = Greengrass(), Machine(), 1_800_000_000
        self.dynamodb = boto3.client("dynamodb")
        self.counts = Counts(self.dynamodb, lambda: self.now)
        others = {"greengrassv2": self.greengrass, "stepfunctions": self.machine, "events": self.machine}
        others |= {"iot": self.greengrass, "sqs": self.counts}
        others["logs"] = self.logs = boto3.client("logs")
        for module in ("fleet_view", "log_groups", "own_devices", "ring_look", "rollout_store"):
            monkeypatch.setattr(f"lambdas.common.{module}.client", lambda name: others.get(name, self.dynamodb))
        for module in ("rollout_api", "rollout_step"):
            monkeypatch.setattr(f"lambdas.{module}.handler.client", lambda name: others.get(name, self.dynamodb))
        monkeypatch.setattr("lambdas.rollout_step.comparing.client", lambda name: others.get(name, self.dynamodb))
        monkeypatch.setattr("lambdas.rollout_api.planning.client", lambda name: others.get(name, self.dynamodb))
        monkeypatch.setattr("time.time", lambda: self.now)
        for version in ("1.0.0", "2.0.0", "3.0.0"):
            for name in ("ppe", "belt"):
                self.greengrass.components[f"{ARNS}vedette.app.{name}:versions:{version}"] = "DEPLOYABLE"

    def device(self, thing: str, *, connected: bool = True, **attributes: Any) -> None:
        """A registered device; one that is connected has told nothing yet, unless the attributes say so."""
        ring = thing.partition("-")[0]
        self.greengrass.things.add(thing)
        item = {"thing": {"S": thing}, "fleet": {"S": "main"}, "ring": {"S": ring}}
        connection = {"connected": {"BOOL": True}, "connection_version": {"N": "1"}, "connection_ms": {"N": "1"}}
        self.dynamodb.put_item(TableName="devices", Item=item | (connection if connected else {}) | attributes)

    def ask(self, **request: Any) -> dict[str, Any]:
        return api.handle(request, None)

    def start(self, name: str, version: str | None, rollout_id: str, **more: Any) -> dict[str, Any]:
        event = json.loads((EVENTS / "rollout_start.json").read_text())
        to = None if version is None else {"version": version, "bindings": {"gate": ["cam-1"]}}
        change = {"kind": "application", "name": name, "to": to}
        return api.handle({**event, "rollout_id": rollout_id, "change": change, "policy": POLICY, **more}, None)

    def step(self, action: str, rollout_id: str, **more: Any) -> str:
        self.counts.tick(self.now)
        return step.handle({"action": action, "rollout_id": rollout_id, **more}, None)["next"]

    def drive(self, rollout_id: str, *, limit: int = 100) -> list[str]:
        """What the state machine does, with its waits."""
        action, said = "begin", []
        for _ in range(limit):
            following = self.step(action, rollout_id)
            said.append(f"{action}→{following}")
            if following == "done":
                return said
            if following == "wait":
                self.now += self.machine.started[rollout_id]["wait_s"]
                action = "check"
            else:
                action = following
        raise AssertionError(said)

    def status(self, rollout_id: str) -> dict[str, Any]:
        rollout: dict[str, Any] = self.ask(action="status", rollout_id=rollout_id)["rollout"]
        return rollout


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    runtime.settings.cache_clear()
    with mock_aws():
        make_tables()
        made = Account(monkeypatch)
        for thing in ("canary-1", "early-1", "early-2", "rest-1"):
            made.device(thing)
        yield made
    runtime.settings.cache_clear()


def make_tables() -> None:
    client = boto3.client("dynamodb")
    for name, keys, index in (
        ("desired", (("ring", "S"), ("version", "N")), ()),
        ("rollouts", (("rollout_id", "S"),), (("fleet", "S"), ("created_at", "N"))),
        ("rings", (("ring", "S"),), ()),
        ("devices", (("thing", "S"),), (("fleet", "S"), ("thing", "S"))),
    ):
        schema = [
            {"AttributeName": key, "KeyType": kind} for (key, _), kind in zip(keys, ("HASH", "RANGE"), strict=False)
        ]
        indexed = [
            {"AttributeName": key, "KeyType": kind} for (key, _), kind in zip(index, ("HASH", "RANGE"), strict=False)
        ]
        indexes = [{"IndexName": "by-fleet", "KeySchema": indexed, "Projection": {"ProjectionType": "ALL"}}]
        client.create_table(
            TableName=name,
            KeySchema=schema,
            AttributeDefinitions=[
                {"AttributeName": key, "AttributeType": kind} for key, kind in dict((*keys, *index)).items()
            ],
            BillingMode="PAY_PER_REQUEST",
            **({"GlobalSecondaryIndexes": indexes} if indexed else {}),
        )


def throttled(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, operation)


def test_ring_by_ring_to_the_end(account: Account) -> None:
    assert account.start("ppe", "1.0.0", "rollout-1")["rollout"]["status"] == "running"
    said = account.drive("rollout-1")
    assert [one for one in said if one.startswith("begin")] == ["begin→wait"] * 3
    assert said[-2:] == ["check→finish", "finish→done"]
    for ring in ("canary", "early", "rest"):
        assert account.greengrass.running(ring) == {"aws.greengrass.Nucleus": "2.14.3", "vedette.app.ppe": "1.0.0"}
    ended = account.status("rollout-1")
    assert ended["status"] == "succeeded"
    assert [ring["counts"]["succeeded"] for ring in ended["rings"]] == [1, 2, 1]
    assert [event["what"] for event in account.machine.told] == ["deploying", "passed"] * 3 + ["succeeded"]


def test_a_bus_that_takes_nothing_stops_no_rollout(account: Account) -> None:
    account.machine.deaf = True
    account.start("ppe", "1.0.0", "rollout-1")
    account.drive("rollout-1")
    assert account.status("rollout-1")["status"] == "succeeded"


def test_a_bad_canary_is_taken_back_and_nobody_else_sees_it(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1")
    account.drive("rollout-1")
    before = account.greengrass.deployments[0]
    account.greengrass.broken = {("vedette.app.ppe", "2.0.0")}
    account.start("ppe", "2.0.0", "rollout-2")
    assert account.drive("rollout-2") == ["begin→wait", "check→roll-back", "roll-back→done"]
    own = dict.fromkeys(("clientToken", "deploymentName", "iotJobConfiguration"))
    assert account.greengrass.deployments[-1] | own == before | own
    ended = account.status("rollout-2")
    assert ended["status"] == "rolled-back"
    assert ended["reason"] == "ring canary: 1 of 1 devices could not take the change"
    assert [ring["status"] for ring in ended["rings"]] == ["restored", "waiting", "waiting"]
    assert account.start("ppe", "3.0.0", "rollout-3")["rollout"]["status"] == "running"


def test_a_failure_in_the_last_ring_is_taken_back_everywhere(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1")
    account.drive("rollout-1")
    account.start("ppe", "2.0.0", "rollout-2")
    for _ in range(2):
        account.step("begin", "rollout-2")
        while account.step("check", "rollout-2") == "wait":
            account.now += 60
    account.greengrass.broken = {("vedette.app.ppe", "2.0.0")}
    account.step("begin", "rollout-2")
    assert account.step("check", "rollout-2") == "roll-back"
    assert account.step("roll-back", "rollout-2") == "done"
    for ring in ("canary", "early", "rest"):
        assert account.greengrass.running(ring)["vedette.app.ppe"] == "1.0.0"


def test_devices_that_report_new_problems_end_it(account: Account) -> None:
    account.device("early-1", conditions={"S": "hot"}, last_seen_ms={"N": str(account.now * 1000)})
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    account.step("begin", "rollout-1")
    assert account.step("check", "rollout-1") == "wait"
    account.now += 120
    account.device("early-2", conditions={"S": "camera_down"}, last_seen_ms={"N": str(account.now * 1000)})
    assert account.step("check", "rollout-1") == "roll-back"
    account.step("roll-back", "rollout-1")
    assert "1 of 2 devices report problems that they did not have" in account.status("rollout-1")["reason"]


def test_one_that_recovers_hides_no_other_that_becomes_unwell(account: Account) -> None:
    account.device("early-1", conditions={"S": "hot"}, last_seen_ms={"N": str(account.now * 1000)})
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    account.step("begin", "rollout-1")
    account.now += 60
    account.device("early-1", conditions={"S": ""}, last_seen_ms={"N": str(account.now * 1000)})
    account.device("early-2", conditions={"S": "camera_down"}, last_seen_ms={"N": str(account.now * 1000)})
    assert account.step("check", "rollout-1") == "wait"  # for enough devices to run it long enough
    account.now += 120
    for thing, wrong in (("early-1", ""), ("early-2", "camera_down")):
        account.device(thing, conditions={"S": wrong}, last_seen_ms={"N": str(account.now * 1000)})
    assert account.step("check", "rollout-1") == "roll-back"


def test_a_device_that_falls_silent_ends_it(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"], policy={**POLICY, "least_succeeded": 0.5})
    account.step("begin", "rollout-1")
    assert account.step("check", "rollout-1") == "wait"
    account.device("early-2", last_seen_ms={"N": str(account.now * 1000)})
    account.now += 500
    assert account.step("check", "rollout-1") == "roll-back"
    assert account.status("rollout-1")["rings"][0]["counts"]["offline"] == 1


def test_no_evidence_is_no_pass(account: Account) -> None:
    account.greengrass.unheard = {"early-1"}
    account.device("early-1", connected=False)
    account.device("early-2", last_seen_ms={"N": str((account.now - 600) * 1000)})
    account.start("ppe", "1.0.0", "rollout-1", rings=["early"])
    said = account.drive("rollout-1")
    assert said[-1] == "roll-back→done"
    assert len(said) == 12
    ended = account.status("rollout-1")
    assert "not enough evidence after 600 s" in ended["reason"]
    assert ended["rings"][0]["counts"]["offline"] == 2


def test_abort_takes_everything_back(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1")
    account.step("begin", "rollout-1")
    account.ask(action="abort", rollout_id="rollout-1", by="anna", reason="wrong site")
    account.ask(action="abort", rollout_id="rollout-1", by="ben")
    assert account.step("check", "rollout-1") == "roll-back"
    assert account.step("roll-back", "rollout-1") == "done"
    ended = account.status("rollout-1")
    assert ended["reason"] == "aborted by anna: wrong site"
    assert "vedette.app.ppe" not in account.greengrass.running("canary")
    refused = account.ask(action="abort", rollout_id="rollout-1", by="anna")["refused"]
    assert refused["code"] == "V009"
    assert "is over" in refused["message"]


def test_one_rollout_of_an_application_at_a_time_and_two_of_two(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1")
    refused = account.start("ppe", "2.0.0", "rollout-2")["refused"]
    assert refused["code"] == "V009"
    assert "'rollout-1' of application/ppe is under way" in refused["message"]
    assert "rollout" in account.start("belt", "1.0.0", "rollout-3")
    account.step("begin", "rollout-1")
    account.step("begin", "rollout-3")
    account.greengrass.broken = set()
    running = account.greengrass.running("canary")
    assert {"vedette.app.ppe", "vedette.app.belt"} <= set(running)
    account.step("roll-back", "rollout-1", error={"Error": "Boom", "Cause": "x"})
    assert "vedette.app.belt" in account.greengrass.running("canary")
    assert "vedette.app.ppe" not in account.greengrass.running("canary")
    assert account.status("rollout-1")["reason"] == "a step broke off: Boom x"


def test_a_step_that_broke_off_is_repeated_without_harm(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1")
    account.greengrass.failure = throttled("CreateDeployment")
    with pytest.raises(ClientError):
        account.step("begin", "rollout-1")
    assert account.status("rollout-1")["rings"][0]["status"] == "deploying"
    assert account.step("begin", "rollout-1") == "wait"
    assert account.step("begin", "rollout-1") == "wait"
    assert len(account.greengrass.deployments) == 1
    versions = account.dynamodb.scan(TableName="desired")["Items"]
    assert [item["version"]["N"] for item in versions] == ["1"]
    account.step("roll-back", "rollout-1")
    for action in ("roll-back", "begin", "check", "finish"):
        assert account.step(action, "rollout-1") == "done"


def test_starting_again_with_the_same_id_is_the_same_rollout(account: Account) -> None:
    first = account.start("ppe", "1.0.0", "rollout-1")
    assert account.start("ppe", "1.0.0", "rollout-1") == first
    assert list(account.machine.started) == ["rollout-1"]
    other = account.start("belt", "1.0.0", "rollout-1")["refused"]
    assert "is of something else" in other["message"]


def test_a_machine_that_does_not_start_leaves_nothing_locked(account: Account) -> None:
    account.machine.failure = throttled("StartExecution")
    refused = account.start("ppe", "1.0.0", "rollout-1")["refused"]
    assert (refused["code"], refused["retryable"]) == ("V003", True)
    assert account.status("rollout-1")["status"] == "rolled-back"
    account.machine.failure = None
    assert "rollout" in account.start("ppe", "1.0.0", "rollout-2")


def test_a_plan_says_what_would_change_and_a_start_holds_to_it(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1")
    account.drive("rollout-1")
    change = {"kind": "application", "name": "ppe", "to": {"version": "2.0.0"}}
    plan = account.ask(action="plan", fleet="main", change=change)["plan"]
    assert [(ring["ring"], ring["devices"], ring["version"]) for ring in plan["rings"]] == [
        ("canary", 1, 1),
        ("early", 2, 1),
        ("rest", 1, 1),
    ]
    assert {ring["now"]["to"]["version"] for ring in plan["rings"]} == {"1.0.0"}
    planned_on = {ring["ring"]: ring["now"] for ring in plan["rings"]}
    account.start("ppe", "3.0.0", "rollout-2")
    account.drive("rollout-2")
    refused = account.start("ppe", "2.0.0", "rollout-3", planned_on=planned_on)["refused"]
    assert "runs something else than when this was planned" in refused["message"]
    listed = account.ask(action="list", fleet="main")["list"]["rollouts"]
    assert [one["rollout_id"] for one in listed] == ["rollout-2", "rollout-1"]


def test_removing_an_application(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1")
    account.drive("rollout-1")
    account.start("ppe", None, "rollout-2")
    account.drive("rollout-2")
    assert account.greengrass.running("rest") == {"aws.greengrass.Nucleus": "2.14.3"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fleet": "north"}, "there is no fleet 'north'; there are: main"),
        ({"rings": ["late"]}, "fleet 'main' has no ring 'late'; it has: canary, early, rest"),
        (
            {"change": {"kind": "application", "name": "ppe", "to": {"version": "9.0.0"}}},
            "vedette.app.ppe 9.0.0 is not",
        ),
        ({"change": {"kind": "application", "name": "ppe", "to": {"version": "latest"}}}, "version"),
        ({"policy": {**POLICY, "timeout_s": 86400, "check_every_s": 1}}, "259200 checks; 2000 are allowed"),
        ({"policy": {**POLICY, "timeout_s": 604800, "check_every_s": 3600}}, "1814400 s; 604800 are allowed"),
        ({"by": ""}, "by"),
        ({"action": "explode"}, "action"),
    ],
)
def test_what_cannot_be_rolled_out_is_refused_by_name(account: Account, changes: Any, message: str) -> None:
    refused = account.start("ppe", "1.0.0", "rollout-1", **changes)["refused"]
    assert refused["code"] == "V009"
    assert message in refused["message"]
    assert account.machine.started == {}


def test_a_component_that_failed_its_check_is_not_deployed(account: Account) -> None:
    account.greengrass.components[f"{ARNS}vedette.app.ppe:versions:1.0.0"] = "FAILED"
    assert "cannot be deployed: FAILED" in account.start("ppe", "1.0.0", "rollout-1")["refused"]["message"]


def test_no_such_rollout(account: Account) -> None:
    for action in ({"action": "status"}, {"action": "abort", "by": "me"}):
        refused = account.ask(rollout_id="rollout-9", **action)["refused"]
        assert refused["code"] == "V009"
        assert "no rollout 'rollout-9'" in refused["message"]


def test_somebody_who_writes_the_desired_state_by_hand_ends_the_rollout(account: Account) -> None:
    account.start("ppe", "1.0.0", "rollout-1")
    account.step("begin", "rollout-1")
    item = account.dynamodb.scan(TableName="desired")["Items"][0]
    state = json.loads(item["state"]["S"]) | {"version": 2, "applications": {}}
    account.dynamodb.put_item(
        TableName="desired", Item={**item, "version": {"N": "2"}, "state": {"S": json.dumps(state)}}
    )
    assert account.step("check", "rollout-1") == "roll-back"
    assert "somebody else" in account.status("rollout-1")["reason"]
