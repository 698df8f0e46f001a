"""What devices send, through the deployed rules, queues and functions, in the sandbox."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cloud.functions_account import body
from tests.cloud.sandbox_account import SandboxAccount
from vedette.contracts import topics

pytestmark = pytest.mark.slow

THING = "edge-alerts"


def send(sandbox: SandboxAccount, topic: str, message: dict[str, Any]) -> None:
    sandbox.client("iot-data").publish(topic=topic, qos=1, payload=json.dumps(message).encode())


def register(sandbox: SandboxAccount, thing: str = THING) -> None:
    values = {"thing": thing, "serial": thing, "fleet": "main", "ring": "canary", "site": "berlin"}
    sandbox.client("dynamodb").put_item(
        TableName=sandbox.made("devices-table"), Item={name: {"S": value} for name, value in values.items()}
    )


def device(sandbox: SandboxAccount, thing: str = THING) -> dict[str, Any]:
    found = sandbox.client("dynamodb").get_item(
        TableName=sandbox.made("devices-table"), Key={"thing": {"S": thing}}, ConsistentRead=True
    )
    item: dict[str, Any] = found["Item"]
    return item


def subscriber(sandbox: SandboxAccount, severity: str) -> str:
    """A queue that gets what subscribers of the topic get."""
    sqs = sandbox.client("sqs")
    url: str = sqs.create_queue(QueueName=f"subscriber-{severity}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sandbox.client("sns").subscribe(
        TopicArn=sandbox.made(f"alerts-topic-{severity}"),
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"FilterPolicy": json.dumps({"site": ["berlin"]})},
    )
    return url


def listener(sandbox: SandboxAccount) -> str:
    """A queue that gets the alerts on the account's bus."""
    events, bus, sqs = sandbox.client("events"), sandbox.made("event-bus"), sandbox.client("sqs")
    url: str = sqs.create_queue(QueueName="listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["vedette"], "detail-type": ["Alert"]}
    events.put_rule(Name="listener", EventBusName=bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule="listener", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    return url


def received(sandbox: SandboxAccount, url: str) -> list[dict[str, Any]]:
    """Everything that comes into a queue."""
    sqs, found = sandbox.client("sqs"), []
    for _ in range(3):
        found += sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
    return [json.loads(one["Body"]) for one in found]


def test_an_alert_twice_is_one_row_one_message_one_event_one_object_and_two_acknowledgements(
    sandbox: SandboxAccount,
) -> None:
    register(sandbox)
    inbox, bus = subscriber(sandbox, "critical"), listener(sandbox)
    message = {key: value for key, value in body("ledger-alert").items() if key != "thing"}
    message["alert"] = message["alert"] | {"device": THING}

    def acknowledged() -> list[Any]:
        wanted = topics.cloud_ack(THING)
        return [one for one in sandbox.state("published") if one["topic"] == wanted]

    send(sandbox, topics.cloud_alerts(THING), message)
    sandbox.until("the first acknowledgement", acknowledged)
    send(sandbox, topics.cloud_alerts(THING), message)
    sandbox.until("the second acknowledgement", lambda: len(acknowledged()) == 2)
    for one in acknowledged():
        said = one["payload"] if isinstance(one["payload"], dict) else json.loads(one["payload"])
        assert said == {"epoch": "4f1c", "through_seq": 1}
    rows = sandbox.client("dynamodb").query(
        TableName=sandbox.made("ledger-table"),
        IndexName="by-device",
        KeyConditionExpression="device = :d",
        ExpressionAttributeValues={":d": {"S": THING}},
    )["Items"]
    assert [one["rule"]["S"] for one in rows] == ["no-helmet"]
    (got,) = received(sandbox, inbox)
    assert json.loads(got["Message"])["alert"]["alert_id"] == message["alert_id"]
    (event,) = received(sandbox, bus)
    assert (event["detail"]["site"], event["detail"]["alert"]["rule"]) == ("berlin", "no-helmet")
    objects = sandbox.client("s3").list_objects_v2(Bucket=sandbox.made("insights-bucket"), Prefix="alerts/")
    assert len(objects["Contents"]) == 1


def test_poison_ends_in_the_dead_letters(sandbox: SandboxAccount) -> None:
    send(sandbox, topics.cloud_alerts(THING), {"epoch": "e", "seq": 0})
    queues = sandbox.client("sqs").list_queues()["QueueUrls"]
    (dead,) = (url for url in queues if "AlertQueueDeadLetters" in url)

    def waiting() -> int:
        said = sandbox.client("sqs").get_queue_attributes(QueueUrl=dead, AttributeNames=["ApproximateNumberOfMessages"])
        return int(said["Attributes"]["ApproximateNumberOfMessages"])

    sandbox.until("the message among the dead letters", waiting)
    got = sandbox.client("sqs").receive_message(QueueUrl=dead)["Messages"]
    assert json.loads(got[0]["Body"]) == {"epoch": "e", "seq": 0, "thing": THING}


def test_insights_become_rows(sandbox: SandboxAccount) -> None:
    register(sandbox)
    report = {key: value for key, value in body("insights-report").items() if key != "thing"} | {"device": THING}
    send(sandbox, topics.cloud_insights(THING), report)
    bucket, s3 = sandbox.made("insights-bucket"), sandbox.client("s3")
    found = sandbox.until(
        "rows of insights", lambda: s3.list_objects_v2(Bucket=bucket, Prefix="insights/").get("Contents")
    )
    lines = s3.get_object(Bucket=bucket, Key=found[0]["Key"])["Body"].read().splitlines()
    assert [json.loads(line)["site"] for line in lines] == ["berlin", "berlin"]


def test_states_connections_and_the_count(sandbox: SandboxAccount) -> None:
    thing = "edge-states"
    register(sandbox, thing)
    now = datetime.now(UTC)
    health = {key: value for key, value in body("health").items() if key != "thing"}
    send(sandbox, topics.cloud_health(thing), health | {"device": thing, "time": now.isoformat()})
    sandbox.until("the device's state", lambda: "conditions" in device(sandbox, thing))
    assert device(sandbox, thing)["conditions"]["S"] == "camera_down"
    presence = body("presence-connected") | {"clientId": thing, "timestamp": int(now.timestamp() * 1000)}
    send(sandbox, f"$aws/events/presence/connected/{thing}", presence)
    sandbox.until("the connection", lambda: "connected" in device(sandbox, thing))
    queues = sandbox.client("sqs").list_queues()["QueueUrls"]
    (orders,) = (url for url in queues if "SweepQueue" in url and "Dead" not in url)
    sandbox.client("sqs").send_message(QueueUrl=orders, MessageBody="{}")

    def counted() -> list[Any]:
        points: list[Any] = sandbox.client("cloudwatch").get_metric_statistics(
            Namespace="Vedette",
            MetricName="CamerasDown",
            Dimensions=[{"Name": "Fleet", "Value": "main"}],
            StartTime=now - timedelta(minutes=10),
            EndTime=now + timedelta(minutes=10),
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        return points

    assert max(point["Maximum"] for point in sandbox.until("the count", counted)) == 1
