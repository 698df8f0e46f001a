"""The ledger's function: once in the ledger, people told, acknowledged as far as is safe; whatever fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lambdas.ledger import handler
from lambdas.ledger.rows import LEASE_S
from lambdas.ledger.sequences import ATTEMPTS
from tests.cloud import functions_account
from tests.cloud.functions_account import (
    BUS,
    DEVICES,
    LEDGER,
    SEQUENCES,
    STREAM,
    Account,
    Crash,
    as_process,
    body,
    event,
    failed,
    sqs,
    throttled,
)
from vedette.contracts.alert import Severity
from vedette.contracts.functions import LedgerSettings

NOW_MS = 1_800_000_000_000


@pytest.fixture
def account() -> Iterator[Account]:
    with functions_account.account() as made:
        yield made


def message(seq: int, *, device: str = "edge-1", severity: str = "critical", number: int | None = None) -> Any:
    alert_id = f"{seq if number is None else number:032x}"
    document = body("ledger-alert")
    alert = document["alert"] | {"alert_id": alert_id, "device": device, "severity": severity}
    return document | {"seq": seq, "alert_id": alert_id, "alert": alert, "thing": device}


def batch(*messages: Any) -> dict[str, Any]:
    return sqs((f"m{at}", one, NOW_MS) for at, one in enumerate(messages))


def row(account: Account, number: int = 1) -> dict[str, Any]:
    (found,) = (one for one in account.items(LEDGER) if one["alert_id"]["S"] == f"{number:032x}")
    return found


def progress(account: Account) -> dict[str, tuple[int, str]]:
    return {one["stream"]["S"]: (int(one["through"]["N"]), one["ranges"]["S"]) for one in account.items(SEQUENCES)}


def test_an_alert_goes_to_everybody_and_is_acknowledged(account: Account) -> None:
    assert failed(account.keeper().work(event("ledger-alert"))) == set()
    (item,) = account.items(LEDGER)
    alert = body("ledger-alert")["alert"]
    assert (item["site"]["S"], item["fleet"]["S"], item["device"]["S"]) == ("berlin", "main", "edge-1")
    assert item["time"]["S"] == "2027-01-15T07:59:59.250000Z"
    assert int(item["expires_at"]["N"]) == 1_800_000_000 + 90 * 86_400
    assert item["notified_at"]["S"] == "2027-01-15T08:00:00.000000Z"
    assert "notifying_until" not in item
    assert json.loads(item["document"]["S"])["alert_id"] == alert["alert_id"]
    (told,) = account.told()
    assert told["message"] == alert["message"]
    (sent,) = account.sent
    assert (sent["EventBusName"], sent["Source"], sent["DetailType"]) == (BUS, "vedette", "Alert")
    assert json.loads(sent["Detail"])["site"] == "berlin"
    (archived,) = account.rows
    assert (archived["rule"], archived["received"]) == ("no-helmet", "2027-01-15T08:00:00.500000Z")
    assert account.acknowledged() == [("vedette/edge-1/ack", {"epoch": "4f1c", "through_seq": 1})]


def test_severities_have_topics_of_their_own(account: Account) -> None:
    severities = [one.value for one in Severity]
    messages = [message(at + 1, severity=severity) for at, severity in enumerate(severities)]
    assert failed(account.keeper().work(batch(*messages))) == set()
    assert [len(account.told(one)) for one in Severity] == [1, 1, 1]
    assert account.sns.calls == ["publish_batch"] * 3


def test_repeats_are_one_row_and_one_notification_and_are_acknowledged_each_time(account: Account) -> None:
    keeper = account.keeper()
    assert failed(keeper.work(batch(message(1), message(1)))) == set()
    assert failed(keeper.work(batch(message(1)))) == set()
    assert failed(keeper.work(batch(message(2, number=1)))) == set()  # under a new number, from a rebuilt outbox
    assert (len(account.items(LEDGER)), len(account.told()), len(account.sent), len(account.rows)) == (1, 1, 1, 1)
    assert [said["through_seq"] for _, said in account.acknowledged()] == [1, 1, 2]


def test_gaps_are_never_acknowledged_and_tombstones_close_them(account: Account) -> None:
    keeper = account.keeper()
    keeper.work(batch(message(6)))
    assert (account.acknowledged(), progress(account)) == ([], {"edge-1#4f1c": (0, "6-6")})
    keeper.work(event("ledger-alert"))
    keeper.work(event("ledger-tombstone"))
    assert [said["through_seq"] for _, said in account.acknowledged()] == [1, 6]
    assert progress(account) == {"edge-1#4f1c": (6, "")}


def test_streams_of_one_batch_are_acknowledged_once_each(account: Account) -> None:
    account.register("edge-2", "hamburg")
    other = [message(seq, device="edge-2", number=100 + seq) for seq in (1, 2)]
    assert failed(account.keeper().work(batch(message(1), *other, message(2), message(3)))) == set()
    assert sorted((topic, said["through_seq"]) for topic, said in account.acknowledged()) == [
        ("vedette/edge-1/ack", 3),
        ("vedette/edge-2/ack", 2),
    ]
    assert {one["site"]["S"] for one in account.items(LEDGER)} == {"berlin", "hamburg"}


def test_an_alert_of_a_device_that_nobody_registered_is_kept(account: Account) -> None:
    assert failed(account.keeper().work(batch(message(1, device="stranger")))) == set()
    assert row(account)["site"]["S"] == "unknown"
    assert len(account.told()) == 1


def test_poison_fails_by_itself(account: Account) -> None:
    poison = event("ledger-poison")["Records"]
    good = sqs([("good", message(1), NOW_MS)])["Records"]
    answer = account.keeper().work({"Records": [*poison, *good]})
    assert failed(answer) == {record["messageId"] for record in poison}
    assert len(account.items(LEDGER)) == 1
    assert account.acknowledged() == [("vedette/edge-1/ack", {"epoch": "4f1c", "through_seq": 1})]


def test_no_device_can_take_another_ones_alert_away(account: Account) -> None:
    keeper = account.keeper()
    assert failed(keeper.work(batch(message(1, device="stranger")))) == set()
    assert failed(keeper.work(batch(message(1)))) == {"m0"}
    assert [topic for topic, _ in account.acknowledged()] == ["vedette/stranger/ack"]


def test_when_sns_is_throttled_the_row_stays_and_only_people_are_told_again(account: Account) -> None:
    account.sns.before["publish_batch"] = lambda **_: (_ for _ in ()).throw(throttled("PublishBatch"))
    keeper = account.keeper()
    assert failed(keeper.work(batch(message(1)))) == {"m0"}
    assert set(row(account)["sent"]["SS"]) == {"events", "archive"}
    assert account.acknowledged()[0][1]["through_seq"] == 1  # the row is durable; the queue sees to the people
    account.sns.before.clear()
    assert failed(keeper.work(batch(message(1)))) == set()
    assert (len(account.told()), len(account.sent), len(account.rows)) == (1, 1, 1)
    assert "sent" not in row(account)
    assert "notified_at" in row(account)


def test_one_topic_that_refuses_does_not_repeat_the_others(account: Account) -> None:
    def refuse(**said: Any) -> None:
        if said["TopicArn"] == account.topics[Severity.INFO]:
            raise throttled("PublishBatch")

    account.sns.before["publish_batch"] = refuse
    keeper = account.keeper()
    messages = (message(1, severity="info"), message(2))
    assert failed(keeper.work(batch(*messages))) == {"m0"}
    account.sns.before.clear()
    assert failed(keeper.work(batch(*messages))) == set()
    assert (len(account.told(Severity.INFO)), len(account.told())) == (1, 1)


@pytest.mark.parametrize(("client", "operation"), [("events", "put_events"), ("firehose", "put_record_batch")])
def test_a_bus_or_stream_that_refuses_is_tried_again_alone(account: Account, client: str, operation: str) -> None:
    refusing = getattr(account, client)
    refusing.before[operation] = lambda **_: (_ for _ in ()).throw(throttled(operation))
    keeper = account.keeper()
    assert failed(keeper.work(batch(message(1)))) == {"m0"}
    refusing.before.clear()
    assert failed(keeper.work(batch(message(1)))) == set()
    assert (len(account.told()), len(account.sent), len(account.rows)) == (1, 1, 1)


def test_a_crash_between_row_and_notification_ends_with_the_lease(account: Account) -> None:
    def die(**_: Any) -> None:
        raise Crash

    account.sns.before["publish_batch"] = die
    with pytest.raises(Crash):
        account.keeper().work(batch(message(1)))
    assert account.acknowledged() == []
    account.sns.before.clear()
    keeper = account.keeper()
    account.now_s += LEASE_S - 1
    assert failed(keeper.work(batch(message(1)))) == {"m0"}, "somebody may still be telling people"
    assert account.told() == []
    account.now_s += 2
    assert failed(keeper.work(batch(message(1)))) == set()
    assert len(account.told()) == 1


def test_of_two_calls_at_the_same_time_one_tells_people(account: Account) -> None:
    other = account.keeper()
    answers: list[set[str]] = []

    def meanwhile(**_: Any) -> None:
        account.sns.before.clear()
        answers.append(failed(other.work(batch(message(1)))))

    account.sns.before["publish_batch"] = meanwhile
    assert failed(account.keeper().work(batch(message(1)))) == set()
    assert answers == [{"m0"}], "a message that waits for the other is delivered again, in case the other dies"
    assert len(account.told()) == 1


def test_the_ledger_refusing_keeps_the_number_unacknowledged(account: Account) -> None:
    account.tables.before["put_item"] = lambda **said: (
        (_ for _ in ()).throw(throttled("PutItem")) if said["TableName"] == LEDGER else None
    )
    assert failed(account.keeper().work(batch(message(1)))) == {"m0"}
    assert (account.items(LEDGER), account.acknowledged(), account.told()) == ([], [], [])


def test_batches_that_meet_on_a_sequence_lose_nothing(account: Account) -> None:
    rivals = iter(range(2, 5))

    def rival(**said: Any) -> None:
        """Between our reading and our writing somebody else writes."""
        if said["TableName"] == SEQUENCES and (seq := next(rivals, None)) is not None:
            before = account.tables.before.pop("put_item")
            assert failed(account.keeper().work(batch(message(seq)))) == set()
            account.tables.before["put_item"] = before

    account.tables.before["put_item"] = rival
    assert failed(account.keeper().work(batch(message(1)))) == set()
    assert progress(account) == {"edge-1#4f1c": (4, "")}
    assert account.acknowledged()[-1][1]["through_seq"] == 4


def test_a_sequence_that_is_always_taken_is_left_to_the_queue(account: Account) -> None:
    rivals = iter(range(2, 2 + 2 * ATTEMPTS))

    def rival(**said: Any) -> None:
        if said["TableName"] == SEQUENCES:
            before = account.tables.before.pop("put_item")
            account.keeper().work(batch(message(next(rivals))))
            account.tables.before["put_item"] = before

    account.tables.before["put_item"] = rival
    assert failed(account.keeper().work(batch(message(1)))) == {"m0"}
    account.tables.before.clear()
    assert failed(account.keeper().work(batch(message(1)))) == set()
    assert progress(account)["edge-1#4f1c"] == (ATTEMPTS + 1, "")


def test_an_acknowledgement_that_cannot_be_sent_is_sent_later(account: Account) -> None:
    account.iot.before["publish"] = lambda **_: (_ for _ in ()).throw(throttled("Publish"))
    keeper = account.keeper()
    assert failed(keeper.work(batch(message(1)))) == {"m0"}
    account.iot.before.clear()
    assert failed(keeper.work(batch(message(1)))) == set()
    assert (len(account.told()), len(account.acknowledged())) == (1, 1)


def test_places_are_read_once_a_minute_and_a_refusal_fails_the_batch(account: Account) -> None:
    keeper = account.keeper()
    keeper.work(batch(message(1)))
    keeper.work(batch(message(2)))
    assert account.tables.calls.count("batch_get_item") == 1
    account.now_s += 61
    account.register("edge-1", "bonn")
    keeper.work(batch(message(3)))
    assert row(account, 3)["site"]["S"] == "bonn"
    account.now_s += 61
    account.tables.before["batch_get_item"] = lambda **_: (_ for _ in ()).throw(throttled("BatchGetItem"))
    with pytest.raises(Exception, match="V003 the table of devices: ThrottlingException"):
        keeper.work(batch(message(4)))


def test_what_is_no_event_of_a_queue_is_refused(account: Account) -> None:
    with pytest.raises(Exception, match="V011 the function was not called by its queue"):
        account.keeper().work({"Records": [{"body": "{}"}]})


def test_the_handler_reads_its_environment(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    told = LedgerSettings(
        stage="test",
        ledger_table=LEDGER,
        sequences_table=SEQUENCES,
        devices_table=DEVICES,
        topic_info=account.topics[Severity.INFO],
        topic_warning=account.topics[Severity.WARNING],
        topic_critical=account.topics[Severity.CRITICAL],
        event_bus=BUS,
        alerts_stream=STREAM,
        ledger_days=3,
    )
    as_process(monkeypatch, told, handler.keeper)
    assert handler.handle(event("ledger-alert"), None) == {"batchItemFailures": []}
    (item,) = account.items(LEDGER)
    kept_s = int(item["expires_at"]["N"]) - datetime.now(UTC).timestamp()
    assert abs(kept_s - 3 * 86_400) < 60
