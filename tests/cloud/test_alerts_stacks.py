"""What takes alerts and watches devices: who may do what, where things go when they fail, and how many there are."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from infra.constructs.subscribers import Wanted, wanted
from infra.saved_queries import saved_queries
from infra.settings import Settings, read_settings
from tests.cloud.conftest import EVERYTHING, resources, templates
from vedette.contracts import topics
from vedette.contracts.alert import Severity
from vedette.contracts.archive import ALERT_COLUMNS, ALERTS, INSIGHT_COLUMNS, INSIGHTS
from vedette.contracts.fleet_metrics import METRIC_OF, Condition, FleetMetric, metric_count
from vedette.core.cost import estimate

LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
QUEUE = {
    *("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"),
    *("sqs:ReceiveMessage", "kms:Decrypt"),
}
TABLES = {"kms:Decrypt", "kms:DescribeKey"}
ARCHIVE = {
    *("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"),
    *("s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"),
    *("kms:Decrypt", "kms:GenerateDataKey", "logs:PutLogEvents"),
    *("glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions"),
}
RULE = {"sqs:SendMessage", "kms:Decrypt", "kms:GenerateDataKey"}
#: Every role of the two stacks → everything that it may do.
MAY = {
    "alerts": {
        "LedgerFunction": LOGS
        | QUEUE
        | TABLES
        | {
            *("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:GetItem", "dynamodb:BatchGetItem"),
            *("sns:Publish", "events:PutEvents", "iot:Publish", "firehose:PutRecordBatch", "kms:GenerateDataKey"),
        },
        "InsightsFunction": LOGS | QUEUE | TABLES | {"dynamodb:BatchGetItem", "firehose:PutRecordBatch"},
        "AlertsArchive": ARCHIVE,
        "InsightsArchive": ARCHIVE,
        "AlertRule": RULE,
        "InsightRule": RULE,
    },
    "monitoring": {
        "HealthFunction": LOGS | QUEUE | TABLES | {"dynamodb:GetItem", "dynamodb:UpdateItem", "events:PutEvents"},
        "PresenceFunction": LOGS | QUEUE | TABLES | {"dynamodb:GetItem", "dynamodb:UpdateItem", "events:PutEvents"},
        "SweepFunction": LOGS | QUEUE | TABLES | {"dynamodb:PutItem", "dynamodb:Query", "cloudwatch:PutMetricData"},
        "HealthRule": RULE,
        "PresenceRule": RULE,
    },
}


def template(concern: str, context: str = EVERYTHING) -> dict[str, Any]:
    return templates(context)[concern]


def policies(concern: str) -> dict[str, list[dict[str, Any]]]:
    """Statements by the construct whose role they belong to."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, policy in resources(template(concern), "AWS::IAM::Policy").items():
        owner = re.match(r"[A-Za-z]+?(?=Role)", name)
        assert owner, name
        found.setdefault(owner[0], []).extend(policy["Properties"]["PolicyDocument"]["Statement"])
    return found


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("concern", sorted(MAY))
def test_roles_may_do_this_and_nothing_else(concern: str) -> None:
    found = {
        owner: {action for statement in statements for action in as_list(statement["Action"])}
        for owner, statements in policies(concern).items()
    }
    assert found == MAY[concern]


def statement(concern: str, owner: str, action: str) -> list[dict[str, Any]]:
    return [one for one in policies(concern)[owner] if action in as_list(one["Action"])]


def test_the_ledger_writes_its_own_tables_and_only_reads_devices() -> None:
    (read,) = statement("alerts", "LedgerFunction", "dynamodb:BatchGetItem")
    assert as_list(read["Action"]) == ["dynamodb:BatchGetItem"]
    assert "Devices" in json.dumps(read["Resource"])
    writes = statement("alerts", "LedgerFunction", "dynamodb:PutItem")
    assert all("Devices" not in json.dumps(one["Resource"]) for one in writes)
    (publish,) = statement("alerts", "LedgerFunction", "iot:Publish")
    assert json.dumps(publish["Resource"]).endswith(':topic/vedette/*/ack"]]}')
    (topics_,) = statement("alerts", "LedgerFunction", "sns:Publish")
    assert len(topics_["Resource"]) == len(Severity)


def test_metrics_go_into_our_namespace_only() -> None:
    (put,) = statement("monitoring", "SweepFunction", "cloudwatch:PutMetricData")
    assert put["Condition"] == {"StringEquals": {"cloudwatch:namespace": "Vedette"}}


def test_roles_of_rules_and_streams_serve_this_account_only() -> None:
    for concern in MAY:
        for name, role in resources(template(concern), "AWS::IAM::Role").items():
            (said,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            service = said["Principal"]["Service"]
            if service in {"iot.amazonaws.com", "firehose.amazonaws.com"}:
                assert said["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}, name


def test_rules_are_the_ones_that_devices_send_to() -> None:
    found = {
        rule["Properties"]["RuleName"]: rule["Properties"]["TopicRulePayload"]
        for concern in MAY
        for rule in resources(template(concern), "AWS::IoT::TopicRule").values()
    }
    assert set(found) == {topics.RULE_ALERTS, topics.RULE_INSIGHTS, topics.RULE_HEALTH, "vedette_presence"}
    assert found["vedette_presence"]["Sql"] == "SELECT * FROM '$aws/events/presence/+/+'"
    for rule, topic in (
        (topics.RULE_ALERTS, topics.cloud_alerts("+")),
        (topics.RULE_INSIGHTS, topics.cloud_insights("+")),
        (topics.RULE_HEALTH, topics.cloud_health("+")),
    ):
        wanted = topic.partition(f"{rule}/")[2]
        assert found[rule]["Sql"] == f"SELECT *, topic(2) AS thing FROM '{wanted}' WHERE isUndefined(thing)"
    for payload in found.values():
        assert "Queue" in json.dumps(payload["Actions"])
        assert "DeadLetters" in json.dumps(payload["ErrorAction"])


def test_every_queue_has_dead_letters_and_every_dead_letter_an_alarm() -> None:
    for concern in MAY:
        queues = resources(template(concern), "AWS::SQS::Queue")
        dead = {name for name in queues if "DeadLetters" in name or "Undelivered" in name}
        for name, queue in queues.items():
            assert "KmsMasterKeyId" in queue["Properties"], name
            assert (name in dead) != ("RedrivePolicy" in queue["Properties"]), name
        watched = json.dumps(resources(template(concern), "AWS::CloudWatch::Alarm"))
        assert all(name in watched for name in dead)


def test_functions_answer_for_each_message_and_are_hidden_from_long_enough() -> None:
    for concern in MAY:
        made = template(concern)["Resources"]
        mappings = resources(template(concern), "AWS::Lambda::EventSourceMapping")
        assert mappings
        for name, one in mappings.items():
            said = one["Properties"]
            assert said["FunctionResponseTypes"] == ["ReportBatchItemFailures"], name
            function = made[said["FunctionName"]["Ref"]]["Properties"]
            queue = made[said["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]
            assert queue["VisibilityTimeout"] >= 6 * function["Timeout"], name


def test_a_lease_outlives_the_function_and_ends_before_the_next_delivery() -> None:
    from lambdas.ledger.rows import LEASE_S

    (function,) = (f for n, f in resources(template("alerts"), "AWS::Lambda::Function").items() if "Ledger" in n)
    queues = resources(template("alerts"), "AWS::SQS::Queue").items()
    (queue,) = (one for name, one in queues if name.startswith("AlertQueue") and "DeadLetters" not in name)
    assert function["Properties"]["Timeout"] < LEASE_S < queue["Properties"]["VisibilityTimeout"]


def test_the_ledger_ends_rows_and_never_sequences() -> None:
    tables = resources(template("alerts"), "AWS::DynamoDB::Table")
    (ledger,) = (one["Properties"] for name, one in tables.items() if name.startswith("Ledger"))
    (sequences,) = (one["Properties"] for name, one in tables.items() if name.startswith("Sequences"))
    assert ledger["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert "TimeToLiveSpecification" not in sequences
    keys = {i["IndexName"]: [k["AttributeName"] for k in i["KeySchema"]] for i in ledger["GlobalSecondaryIndexes"]}
    assert keys == {"by-device": ["device", "time"], "by-site": ["site", "time"]}


def test_subscriptions_are_filtered_by_site_and_have_dead_letters() -> None:
    found = {
        (
            one["Properties"]["Protocol"],
            one["Properties"]["Endpoint"],
            json.dumps(one["Properties"].get("FilterPolicy")),
        )
        for one in resources(template("alerts"), "AWS::SNS::Subscription").values()
        if "RedrivePolicy" in one["Properties"]
    }
    assert found == {
        ("email", "guard@example.org", "null"),
        ("sms", "+4930123456", '{"site": ["berlin"]}'),
    }
    assert len(resources(template("alerts"), "AWS::SNS::Subscription")) == 3
    assert resources(template("alerts", "{}"), "AWS::SNS::Subscription") == {}


def test_who_is_named_twice_gets_the_sites_of_both() -> None:
    def subscribers(*entries: dict[str, Any]) -> Settings:
        named = [{"protocol": "email", "endpoint": "a@example.org"} | one for one in entries]
        return read_settings(json.dumps({"subscribers": named}))

    key = Wanted(Severity.CRITICAL, "email", "a@example.org")
    assert wanted(subscribers({"sites": ["a"]}, {"sites": ["b"]})) == {key: frozenset({"a", "b"})}
    assert wanted(subscribers({"sites": ["a"]}, {})) == {key: frozenset()}
    assert wanted(subscribers({}, {"sites": ["a"]})) == {key: frozenset()}


def test_rows_become_parquet_below_their_day() -> None:
    tables = {
        one["Properties"]["TableInput"]["Name"]: one["Properties"]["TableInput"]
        for one in resources(template("alerts"), "AWS::Glue::Table").values()
    }
    for name, columns in ((ALERTS, ALERT_COLUMNS), (INSIGHTS, INSIGHT_COLUMNS)):
        made = tables[name]
        assert {c["Name"]: c["Type"] for c in made["StorageDescriptor"]["Columns"]} == columns
        assert json.dumps(made["Parameters"]["storage.location.template"]).endswith(f'/{name}/day=${{day}}/"]]}}')
        assert made["Parameters"]["projection.enabled"] == "true"
    for stream in resources(template("alerts"), "AWS::KinesisFirehose::DeliveryStream").values():
        target = stream["Properties"]["ExtendedS3DestinationConfiguration"]
        assert target["DataFormatConversionConfiguration"]["Enabled"] is True
        assert target["Prefix"] in {f"{name}/day=!{{timestamp:yyyy-MM-dd}}/" for name in tables}
        assert target["ErrorOutputPrefix"].startswith("errors/")
        assert target["BufferingHints"]["SizeInMBs"] >= 64, "less is refused where rows become Parquet"


def test_saved_queries_name_columns_that_exist_and_count_a_row_once() -> None:
    words = set(ALERT_COLUMNS) | set(INSIGHT_COLUMNS)
    queries = list(saved_queries())
    assert len(queries) == len(resources(template("alerts"), "AWS::Athena::NamedQuery")) >= 6
    for query in queries:
        assert query.name, query
        assert query.description.endswith("."), query
        assert "WHERE copy = 1" in query.sql
        columns = ALERT_COLUMNS if f"FROM {ALERTS}\n" in query.sql else INSIGHT_COLUMNS
        used = set(re.findall(r"\b[a-z_]+\b", query.sql)) & words
        assert used <= set(columns), query.name


def test_there_is_one_alarm_for_each_condition_and_fleet_whatever_the_devices() -> None:
    alarms = [one["Properties"] for one in resources(template("monitoring"), "AWS::CloudWatch::Alarm").values()]
    ours = [one for one in alarms if one.get("Namespace") == "Vedette"]
    names = {(one["Dimensions"][0]["Value"], one["MetricName"]) for one in ours}
    watched = {METRIC_OF[condition].value for condition in Condition} | {FleetMetric.DEVICES.value}
    assert names == {(fleet, metric) for fleet in ("main", "north") for metric in watched}
    assert len(ours) == len(names)
    for one in ours:
        missing = one["TreatMissingData"]
        assert missing == ("breaching" if one["MetricName"] == "Devices" else "ignore")
    assert len(resources(template("monitoring"), "AWS::CloudWatch::Dashboard")) == 2


def test_the_estimate_of_costs_counts_what_the_stacks_have() -> None:
    def count(kind: str) -> int:
        return sum(len(resources(one, kind)) for one in templates().values())

    assert count("AWS::CloudWatch::Alarm") == estimate.ALARMS
    assert count("AWS::KMS::Key") == estimate.KEYS
    assert count("AWS::Lambda::EventSourceMapping") == estimate.QUEUES
    assert count("AWS::CloudWatch::Dashboard") == 1
    assert metric_count(3) == estimate.METRICS
