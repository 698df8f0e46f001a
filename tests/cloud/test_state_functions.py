"""How devices are: messages about themselves, connections, the count, and the rows of insights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import boto3
import pytest
from aws_lambda_powertools import Logger

from lambdas.common.places import Places
from lambdas.common.ring_summaries import read_summary, write_summary
from lambdas.common.states import DeviceStates
from lambdas.common.streams import send_rows
from lambdas.health import handler as health_handler
from lambdas.health.handler import HealthBook
from lambdas.insights import handler as insights_handler
from lambdas.insights.handler import Archivist
from lambdas.presence import handler as presence_handler
from lambdas.presence.handler import PresenceBook
from lambdas.sweep import handler as sweep_handler
from lambdas.sweep.handler import Sweeper
from tests.cloud import functions_account
from tests.cloud.functions_account import (
    BUS,
    DEVICES,
    REGION,
    STREAM,
    Account,
    Client,
    as_process,
    body,
    event,
    failed,
    sqs,
    throttled,
)
from vedette.contracts.archive import ALERT_COLUMNS, INSIGHT_COLUMNS
from vedette.contracts.errors import CloudError
from vedette.contracts.fleet_metrics import metric_count
from vedette.contracts.functions import DeviceStateSettings, InsightsSettings, SweepSettings, fleets_of, fleets_text
from vedette.contracts.ring_summary import RingSummary

NOW_MS = 1_800_000_000_000
LOG = Logger(service="test", level="CRITICAL")
Tell = Callable[[dict[str, Any]], None]


@pytest.fixture
def account() -> Iterator[Account]:
    with functions_account.account() as made:
        yield made


@pytest.fixture
def told() -> list[dict[str, Any]]:
    return []


def item(account: Account, thing: str = "edge-1") -> dict[str, Any]:
    (found,) = (one for one in account.items(DEVICES) if one["thing"]["S"] == thing)
    return found


def refuse(operation: str) -> Callable[..., None]:
    def raise_(**_: Any) -> None:
        raise throttled(operation)

    return raise_


class TestHealth:
    def book(self, account: Account, tell: Tell) -> HealthBook:
        return HealthBook(DeviceStates(account.tables, DEVICES), tell, LOG)

    def message(self, at_s: int, **changes: Any) -> Any:
        return body("health") | {"time": f"2027-01-15T07:59:{at_s:02}Z"} | changes

    def one(self, message: Any, sent_ms: int = NOW_MS) -> dict[str, Any]:
        return sqs([("m0", message, sent_ms)])

    def test_the_newest_message_is_kept_and_a_change_is_told(
        self, account: Account, told: list[dict[str, Any]]
    ) -> None:
        book = self.book(account, told.append)
        assert failed(book.work(event("health"))) == set()
        found = item(account)
        assert (found["conditions"]["S"], found["cameras_down"]["N"]) == ("camera_down", "1")
        assert (found["last_seen_ms"]["N"], found["site"]["S"]) == ("1800000000500", "berlin")
        assert found["version"]["S"] == "0.1.0"
        assert json.loads(found["health"]["S"])["cameras"]["cam-2"] == "UNREACHABLE"
        (first,) = told
        assert (first["thing"], first["ring"], first["conditions"], first["before"]) == (
            "edge-1",
            "canary",
            ["camera_down"],
            [],
        )
        well = self.message(59, cameras={"cam-1": "STREAMING"}, cameras_down=0)
        book.work(self.one(well))
        assert item(account)["conditions"]["S"] == ""
        assert (told[1]["before"], told[1]["conditions"]) == (["camera_down"], [])
        book.work(self.one(well | {"time": "2027-01-15T07:59:59.5Z"}))
        assert len(told) == 2, "nothing changed"

    def test_older_messages_and_repeats_change_nothing(self, account: Account, told: list[dict[str, Any]]) -> None:
        book = self.book(account, told.append)
        book.work(self.one(self.message(50)))
        before = item(account)
        for message in (self.message(50, cameras_down=0), self.message(40, cameras_down=0)):
            assert failed(book.work(self.one(message, NOW_MS + 5))) == set()
        assert item(account) == before

    def test_a_clock_that_is_ahead_does_not_keep_out_later_messages(
        self, account: Account, told: list[dict[str, Any]]
    ) -> None:
        book = self.book(account, told.append)
        book.work(self.one(body("health") | {"time": "2031-01-01T00:00:00Z"}))
        book.work(self.one(self.message(59, cameras_down=0) | {"time": "2027-01-15T08:01:00Z"}, NOW_MS + 61_000))
        assert item(account)["conditions"]["S"] == ""

    def test_an_event_that_fails_comes_again_with_the_message(
        self, account: Account, told: list[dict[str, Any]]
    ) -> None:
        def tell(detail: dict[str, Any]) -> None:
            told.append(detail)
            if len(told) == 1:
                raise CloudError("the bus refused.", retryable=True)

        book = self.book(account, tell)
        assert len(failed(book.work(event("health")))) == 1
        assert "health_ms" not in item(account)
        assert failed(book.work(event("health"))) == set()
        assert len(told) == 2

    def test_two_messages_at_the_same_time_leave_the_newer_one(
        self, account: Account, told: list[dict[str, Any]]
    ) -> None:
        book = self.book(account, told.append)

        def rival(**_: Any) -> None:
            account.tables.before.clear()
            book.work(self.one(self.message(58, cameras_down=0)))

        account.tables.before["update_item"] = rival
        assert failed(book.work(self.one(self.message(40)))) == set()
        assert item(account)["conditions"]["S"] == ""

    def test_too_many_at_once_is_left_to_the_queue(self, account: Account, told: list[dict[str, Any]]) -> None:
        book, seconds = self.book(account, told.append), iter(range(1, 40))

        def rival(**_: Any) -> None:
            before = account.tables.before.pop("update_item")
            book.work(self.one(self.message(next(seconds))))
            account.tables.before["update_item"] = before

        account.tables.before["update_item"] = rival
        assert failed(book.work(self.one(self.message(59)))) == {"m0"}

    def test_strangers_are_left_out_and_poison_fails_by_itself(
        self, account: Account, told: list[dict[str, Any]]
    ) -> None:
        stranger = body("health") | {"device": "edge-9", "thing": "edge-9"}
        messages = ["no JSON", body("health") | {"thing": "edge-2"}, {"thing": "edge-1"}, {}, stranger]
        answer = self.book(account, told.append).work(sqs((f"m{n}", m, NOW_MS) for n, m in enumerate(messages)))
        assert failed(answer) == {"m0", "m1", "m2", "m3"}
        assert told == []

    def test_a_throttled_table_fails_the_message(self, account: Account, told: list[dict[str, Any]]) -> None:
        account.tables.before["get_item"] = refuse("GetItem")
        assert len(failed(self.book(account, told.append).work(event("health")))) == 1

    def test_the_handler_sends_to_the_bus(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = DeviceStateSettings(stage="test", devices_table=DEVICES, event_bus=BUS)
        as_process(monkeypatch, settings, health_handler.book)
        assert health_handler.handle(event("health"), None) == {"batchItemFailures": []}
        assert item(account)["conditions"]["S"] == "camera_down"


class TestPresence:
    def book(self, account: Account, tell: Tell) -> PresenceBook:
        return PresenceBook(DeviceStates(account.tables, DEVICES), tell, LOG)

    def test_the_end_of_a_connection_is_kept_whatever_comes_first(
        self, account: Account, told: list[dict[str, Any]]
    ) -> None:
        book = self.book(account, told.append)
        for name in ("presence-disconnected", "presence-connected", "presence-disconnected"):
            assert failed(book.work(event(name))) == set()
        found = item(account)
        assert found["connected"]["BOOL"] is False
        assert (found["connection_version"]["N"], found["connection_ms"]["N"]) == ("4", "1800000060000")
        assert [(one["connected"], one["reason"]) for one in told] == [(False, "CONNECTION_LOST")]

    def test_a_new_connection_is_told(self, account: Account, told: list[dict[str, Any]]) -> None:
        book = self.book(account, told.append)
        for name in ("presence-connected", "presence-disconnected"):
            book.work(event(name))
        again = body("presence-connected") | {"versionNumber": 5, "timestamp": NOW_MS + 90_000}
        book.work(sqs([("m", again, NOW_MS)]))
        assert [one["connected"] for one in told] == [True, False, True]
        assert item(account)["connected"]["BOOL"] is True

    def test_clients_that_are_no_device_are_left_out(self, account: Account, told: list[dict[str, Any]]) -> None:
        console = body("presence-connected") | {"clientId": "edge-1#2"}
        assert failed(self.book(account, told.append).work(sqs([("m", console, NOW_MS)]))) == set()
        assert (told, "connected" in item(account)) == ([], False)

    @pytest.mark.parametrize("text", ["no JSON", "[]", {"clientId": "edge-1"}, {"eventType": "exploded"}])
    def test_poison_fails(self, account: Account, told: list[dict[str, Any]], text: Any) -> None:
        assert failed(self.book(account, told.append).work(sqs([("m", text, NOW_MS)]))) == {"m"}

    def test_a_throttled_table_fails_the_event(self, account: Account, told: list[dict[str, Any]]) -> None:
        account.tables.before["update_item"] = refuse("UpdateItem")
        assert len(failed(self.book(account, told.append).work(event("presence-connected")))) == 1

    def test_the_handler_sends_to_the_bus(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = DeviceStateSettings(stage="test", devices_table=DEVICES, event_bus=BUS)
        as_process(monkeypatch, settings, presence_handler.book)
        assert presence_handler.handle(event("presence-connected"), None) == {"batchItemFailures": []}
        assert item(account)["connected"]["BOOL"] is True


def order(body: dict[str, Any]) -> dict[str, Any]:
    """What the queue of the sweep brings."""
    return {"Records": [{"messageId": "m", "body": json.dumps(body), "attributes": {"SentTimestamp": "0"}}]}


class TestSweep:
    INDEX, FLEETS = "by-fleet", {"main": ("canary", "rest"), "north": ("canary",)}

    @pytest.fixture
    def indexed(self, account: Account) -> Account:
        account.tables.create_table(
            TableName="rings",
            KeySchema=[{"AttributeName": "ring", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "ring", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        kinds = [{"AttributeName": name, "AttributeType": "S"} for name in ("thing", "fleet")]
        account.tables.create_table(
            TableName="indexed",
            KeySchema=[{"AttributeName": "thing", "KeyType": "HASH"}],
            AttributeDefinitions=kinds,
            BillingMode="PAY_PER_REQUEST",
            GlobalSecondaryIndexes=[
                {
                    "IndexName": self.INDEX,
                    "KeySchema": [
                        {"AttributeName": "fleet", "KeyType": "HASH"},
                        {"AttributeName": "thing", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        return account

    def put(self, account: Account, thing: str, fleet: str = "main", **values: dict[str, Any]) -> None:
        fixed = {"thing": thing, "fleet": fleet, "ring": "canary", "site": "berlin"}
        account.tables.put_item(
            TableName="indexed", Item={name: {"S": value} for name, value in fixed.items()} | values
        )

    def seen(self, account: Account, ago_s: float = 10) -> dict[str, Any]:
        return {"last_seen_ms": {"N": str(int((account.now_s - ago_s) * 1000))}, "version": {"S": "0.1.0"}}

    def sweeper(self, account: Account, cloudwatch: Any) -> Sweeper:
        return Sweeper(
            tables=account.tables,
            cloudwatch=cloudwatch,
            table="indexed",
            index=self.INDEX,
            rings="rings",
            fleets=dict(self.FLEETS),
            log=LOG,
            now=lambda: account.now_s,
        )

    def test_fleets_are_counted_and_never_a_device_is_named(self, indexed: Account) -> None:
        seen = self.seen(indexed)
        self.put(indexed, "a", **seen, conditions={"S": "camera_down,hot"}, cameras_down={"N": "3"})
        self.put(indexed, "b", **seen, conditions={"S": "newer_than_us"})
        self.put(indexed, "c", **self.seen(indexed, 3_600), conditions={"S": "hot"})
        self.put(indexed, "d")
        sent: list[dict[str, Any]] = []
        cloudwatch = Client("cloudwatch")
        cloudwatch.after["put_metric_data"] = lambda **said: sent.extend(said["MetricData"])
        assert failed(self.sweeper(indexed, cloudwatch).work(event("sweep"))) == set()
        main = {"Name": "Fleet", "Value": "main"}
        whole = {one["MetricName"]: one["Value"] for one in sent if one["Dimensions"] == [main]}
        assert whole == {
            "Devices": 4,
            "DevicesUnwell": 2,
            "DevicesOffline": 1,
            "CamerasDown": 3,
            "DevicesModelSlow": 0,
            "DevicesModelDegraded": 0,
            "DevicesDiskLow": 0,
            "DevicesHot": 1,
            "DevicesOutboxGrowing": 0,
        }
        assert {d["Name"] for one in sent for d in one["Dimensions"]} == {"Fleet", "Ring", "Version"}
        north = [one["Value"] for one in sent if one["Dimensions"] == [{"Name": "Fleet", "Value": "north"}]]
        assert north == [0] * 9, "a fleet without devices is counted too"
        assert len(sent) <= sum(metric_count(len(rings)) for rings in self.FLEETS.values())

    def test_each_ring_is_summed_up_for_rollouts(self, indexed: Account) -> None:
        seen = self.seen(indexed)
        self.put(indexed, "a", **seen, conditions={"S": "camera_down,hot"})
        self.put(indexed, "b", **seen)
        self.put(indexed, "c", **self.seen(indexed, 3_600))
        self.put(indexed, "d")
        self.put(indexed, "e", connected={"BOOL": True}, connection_version={"N": "1"}, connection_ms={"N": "1"})
        self.put(indexed, "f", fleet="north", **seen)
        self.sweeper(indexed, Client("cloudwatch")).work(order({"count": "main"}))
        found = read_summary(indexed.tables, "rings", "main", "canary")
        assert found is not None
        assert (found.devices, found.online, found.unwell, found.unhealthy) == (5, 3, 2, 1)
        assert (found.untold, found.untold_devices, found.fleet_devices) == (("d",), 1, 5)
        assert found.wrong == {"a": ("camera_down", "hot"), "c": ("offline",)}
        empty = read_summary(indexed.tables, "rings", "main", "rest")
        assert empty is not None
        assert empty.devices == 0
        assert read_summary(indexed.tables, "rings", "north", "canary") is None, "another fleet was not asked for"

    @pytest.mark.parametrize("body", ['{"count": "*"}', '{"count": "main"}'])
    def test_a_count_for_rollouts_sends_no_metrics(self, indexed: Account, body: str) -> None:
        cloudwatch = Client("cloudwatch")
        cloudwatch.before["put_metric_data"] = refuse("PutMetricData")
        assert failed(self.sweeper(indexed, cloudwatch).work(order(json.loads(body)))) == set()
        assert read_summary(indexed.tables, "rings", "main", "canary") is not None

    @pytest.mark.parametrize("body", ["{}", "no JSON", "[]", '{"count": 5}', '{"source": "aws.events"}'])
    def test_any_other_order_is_a_whole_round(self, indexed: Account, body: str) -> None:
        cloudwatch = Client("cloudwatch")
        cloudwatch.before["put_metric_data"] = refuse("PutMetricData")
        record = {"messageId": "m", "body": body, "attributes": {"SentTimestamp": "0"}}
        assert failed(self.sweeper(indexed, cloudwatch).work({"Records": [record]})) == {"m"}

    def test_an_unknown_fleet_is_counted_by_nobody(self, indexed: Account) -> None:
        assert failed(self.sweeper(indexed, Client("cloudwatch")).work(order({"count": "south"}))) == set()
        assert indexed.tables.scan(TableName="rings")["Items"] == []

    def test_a_count_that_began_earlier_does_not_replace_a_later_one(self, indexed: Account) -> None:
        sweeper = self.sweeper(indexed, Client("cloudwatch"))
        sweeper.work(order({"count": "*"}))
        later = read_summary(indexed.tables, "rings", "main", "canary")
        assert later is not None
        write_summary(
            indexed.tables, "rings", "main", "canary", RingSummary(counted_at=later.counted_at - 1, devices=9)
        )
        assert read_summary(indexed.tables, "rings", "main", "canary") == later

    def test_a_throttled_count_is_repeated(self, indexed: Account) -> None:
        cloudwatch = Client("cloudwatch")
        cloudwatch.before["put_metric_data"] = refuse("PutMetricData")
        orders = {one["messageId"] for one in event("sweep")["Records"]}
        assert failed(self.sweeper(indexed, cloudwatch).work(event("sweep"))) == orders

    def test_the_handler_counts(self, indexed: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = SweepSettings(
            stage="test",
            devices_table="indexed",
            devices_index=self.INDEX,
            rings_table="rings",
            fleets=fleets_text(self.FLEETS),
        )
        as_process(monkeypatch, settings, sweep_handler.sweeper)
        assert fleets_of(settings.fleets) == self.FLEETS
        assert sweep_handler.handle(event("sweep"), None) == {"batchItemFailures": []}
        listed = boto3.client("cloudwatch", region_name=REGION).list_metrics(Namespace="Vedette")["Metrics"]
        assert listed


class TestInsights:
    def archivist(self, account: Account, send: Callable[..., list[bool]] | None = None) -> Archivist:
        places = Places(account.tables, DEVICES, lambda: account.now_s)
        return Archivist(places, send or partial(send_rows, account.firehose, STREAM), LOG)

    def test_a_report_is_a_row_for_each_insight(self, account: Account) -> None:
        assert failed(self.archivist(account).work(event("insights-report"))) == set()
        crossings, queue = account.rows
        assert all(list(row) == list(INSIGHT_COLUMNS) for row in account.rows)
        assert (crossings["insight"], crossings["type"], crossings["site"]) == ("line", "crossings", "berlin")
        assert json.loads(crossings["figures"])["inward"] == 4
        assert json.loads(queue["figures"])["waits"] == {"count": 2, "p90_s": 41.0}
        assert queue["start_time"] == "2027-01-15T07:58:00.000000Z"

    def test_poison_fails_by_itself(self, account: Account) -> None:
        poison = event("insights-poison")["Records"]
        good = sqs([("good", body("insights-report"), NOW_MS)])["Records"]
        answer = self.archivist(account).work({"Records": [*poison, *good]})
        assert failed(answer) == {one["messageId"] for one in poison}
        assert len(account.rows) == 2

    def test_one_refused_row_repeats_its_report_only(self, account: Account) -> None:
        other = body("insights-report") | {"report_id": "2" * 32}
        messages = sqs([("first", body("insights-report"), NOW_MS), ("second", other, NOW_MS)])
        answer = self.archivist(account, lambda rows: [at != 2 for at in range(len(rows))]).work(messages)
        assert failed(answer) == {"second"}

    def test_a_stream_that_refuses_everything_repeats_the_batch(self, account: Account) -> None:
        account.firehose.before["put_record_batch"] = refuse("PutRecordBatch")
        with pytest.raises(CloudError, match="V003 the delivery stream alerts: ThrottlingException"):
            self.archivist(account).work(event("insights-report"))

    def test_the_handler_reads_its_environment(self, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = InsightsSettings(stage="test", devices_table=DEVICES, insights_stream=STREAM)
        as_process(monkeypatch, settings, insights_handler.archivist)
        assert insights_handler.handle(event("insights-report"), None) == {"batchItemFailures": []}


def test_rows_of_alerts_have_the_columns_of_their_table(account: Account) -> None:
    assert failed(account.keeper().work(event("ledger-alert"))) == set()
    assert [list(row) for row in account.rows] == [list(ALERT_COLUMNS)]
