"""What functions find in the account: moto behind clients that can be made to fail; a queue; a clock."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest
from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError
from moto.core import DEFAULT_ACCOUNT_ID

from lambdas.common import runtime
from lambdas.common.places import Places
from lambdas.ledger.keeper import Keeper
from lambdas.ledger.notify import Channels, Notifier
from lambdas.ledger.rows import LedgerRows
from lambdas.ledger.sequences import Sequences
from vedette.contracts.alert import Severity
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import FunctionSettings

EVENTS = Path(__file__).parent / "events"
REGION = "eu-central-1"
DEVICES, LEDGER, SEQUENCES = "devices", "ledger", "sequences"
BUS, STREAM = "vedette-test", "alerts"


class Crash(BaseException):
    """The function's process is gone, as when the service ends it."""


def event(name: str) -> dict[str, Any]:
    """An event file."""
    document: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return document


def body(name: str) -> dict[str, Any]:
    """The message in an event file of one message."""
    document: dict[str, Any] = json.loads(event(name)["Records"][0]["body"])
    return document


def sqs(messages: Iterable[tuple[str, Any, int]]) -> dict[str, Any]:
    """An event of (message id, body, milliseconds since 1970)."""
    template = event("ledger-alert")["Records"][0]
    return {
        "Records": [
            template
            | {"messageId": number, "body": text if isinstance(text, str) else json.dumps(text)}
            | {"attributes": template["attributes"] | {"SentTimestamp": str(at_ms)}}
            for number, text, at_ms in messages
        ]
    }


def failed(answer: dict[str, Any]) -> set[str]:
    """Messages that will be delivered again."""
    return {one["itemIdentifier"] for one in answer["batchItemFailures"]}


def throttled(operation: str) -> ClientError:
    """What a service says that has too much to do."""
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, operation)


class Client:
    """A client of moto's that fails when it is told to.

    Attributes:
        before: operation → called before it is done, may raise; ``*`` stands for all.
        after: the same, after it was done and before its answer arrives.
        calls: operations so far.
    """

    def __init__(self, service: str) -> None:
        self._client = boto3.client(service, region_name=REGION)
        self.before: dict[str, Callable[..., None]] = {}
        self.after: dict[str, Callable[..., None]] = {}
        self.calls: list[str] = []

    def __getattr__(self, operation: str) -> Any:
        real = getattr(self._client, operation)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(operation)
            for name in (operation, "*"):
                if name in self.before:
                    self.before[name](**kwargs)
            answer = real(*args, **kwargs)
            for name in (operation, "*"):
                if name in self.after:
                    self.after[name](**kwargs)
            return answer

        return call


class Account:
    """Tables, topics, a bus, a delivery stream."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0
        self.tables = Client("dynamodb")
        self.sns = Client("sns")
        self.events = Client("events")
        self.firehose = Client("firehose")
        self.iot = Client("iot-data")
        for table, key in ((DEVICES, "thing"), (LEDGER, "alert_id"), (SEQUENCES, "stream")):
            self.tables.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        self.register("edge-1")
        self.topics = {one: self.sns.create_topic(Name=one.value)["TopicArn"] for one in Severity}
        self.events.create_event_bus(Name=BUS)
        boto3.client("s3", region_name=REGION).create_bucket(
            Bucket="insights", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        self.firehose.create_delivery_stream(
            DeliveryStreamName=STREAM,
            ExtendedS3DestinationConfiguration={
                "RoleARN": f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/rows",
                "BucketARN": "arn:aws:s3:::insights",
            },
        )
        self.sent: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []
        self.events.after["put_events"] = lambda **said: self.sent.extend(said["Entries"])
        self.firehose.after["put_record_batch"] = lambda **said: self.rows.extend(
            json.loads(record["Data"]) for record in said["Records"]
        )
        self.forget_calls()

    def forget_calls(self) -> None:
        for client in (self.tables, self.sns, self.events, self.firehose, self.iot):
            client.calls.clear()

    def register(self, thing: str, site: str = "berlin") -> None:
        values = {"thing": thing, "serial": thing, "fleet": "main", "ring": "canary", "site": site}
        self.tables.put_item(TableName=DEVICES, Item={name: {"S": value} for name, value in values.items()})

    def keeper(self) -> Keeper:
        """A process of the ledger's function."""
        log = Logger(service="test", level="CRITICAL")
        channels = Channels(
            sns=self.sns,
            events=self.events,
            firehose=self.firehose,
            topics=self.topics,
            bus=BUS,
            stream=STREAM,
        )
        return Keeper(
            places=Places(self.tables, DEVICES, lambda: self.now_s),
            rows=LedgerRows(self.tables, LEDGER, 90),
            notifier=Notifier(channels, log),
            sequences=Sequences(self.tables, SEQUENCES),
            iot=self.iot,
            log=log,
            now=lambda: self.now_s,
        )

    def items(self, table: str) -> list[dict[str, dict[str, Any]]]:
        """Everything in a table, straight out of moto: a scan by its API takes a third of a second."""
        from moto.dynamodb import dynamodb_backends

        kept = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].tables[table].all_items()
        return [item.to_json()["Attributes"] for item in kept]

    def told(self, severity: Severity = Severity.CRITICAL) -> list[dict[str, Any]]:
        """What the topic's subscribers got: the alerts."""
        from moto.sns import sns_backends

        topic = sns_backends[DEFAULT_ACCOUNT_ID][REGION].topics[self.topics[severity]]
        return [json.loads(json.loads(sent[1])["default"])["alert"] for sent in topic.sent_notifications]

    def acknowledged(self) -> list[tuple[str, dict[str, Any]]]:
        """Topic and message of each acknowledgement."""
        from moto.iotdata import iotdata_backends

        published = iotdata_backends[DEFAULT_ACCOUNT_ID][REGION].published_payloads
        return [(topic, json.loads(payload)) for topic, payload in published]


@contextmanager
def account() -> Iterator[Account]:
    """A fresh account."""
    with moto.mock_aws():
        yield Account()


class Queue:
    """Delivers in any order, more than once, and again what failed; a message is gone once its delivery succeeded.

    Args:
        account: whose clock goes on.
        chance: decides.
    """

    PAUSE_S = 180.0

    def __init__(self, account: Account, chance: random.Random) -> None:
        self._account = account
        self._chance = chance
        self._messages: dict[str, tuple[Any, int]] = {}
        self._count = 0

    def send(self, message: Any) -> None:
        self._count += 1
        self._messages[f"m{self._count}"] = (message, int(self._account.now_s * 1000))

    def deliver(self, keeper: Keeper, most: int = 10) -> None:
        """One call."""
        ids = self._chance.sample(sorted(self._messages), min(most, len(self._messages)))
        try:
            again = failed(keeper.work(sqs((one, *self._messages[one]) for one in ids)))
        except (Crash, CloudError):
            again = set(ids)
        kept_anyway = {one for one in ids if self._chance.random() < 0.1}  # SQS delivers at least once
        for one in set(ids) - again - kept_anyway:
            del self._messages[one]

    def drain(self, keeper: Keeper, calls: int = 400) -> None:
        """Until nothing is left, with the pause between deliveries of the same message."""
        for _ in range(calls):
            if not self._messages:
                return
            self._account.now_s += self.PAUSE_S
            self.deliver(keeper)
        raise AssertionError(f"{len(self._messages)} messages never went through")

    def __len__(self) -> int:
        return len(self._messages)


def as_process(monkeypatch: pytest.MonkeyPatch, told: FunctionSettings, *caches: Any) -> None:
    """Make this process one of a function that starts: its environment, and nothing from before.

    Args:
        monkeypatch: undoes it.
        told: settings of the function.
        caches: of the handler, with what it makes once per process.
    """
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    for name, value in told.environment().items():
        monkeypatch.setenv(name, value)
    for cached in (runtime.settings, runtime.client, runtime.logger, *caches):
        cached.cache_clear()
