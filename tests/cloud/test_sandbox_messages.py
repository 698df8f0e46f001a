"""Messages through the sandbox: rules, queues, functions, topics, events, from small templates of the test's own."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.cloud.sandbox_account import SandboxAccount

CODE = """
import json, os, boto3
def handle(event, context):
    if "crash" in json.dumps(event): os._exit(3)
    if "slow" in json.dumps(event):
        while True: pass
    bad = [r["messageId"] for r in event.get("Records", []) if "poison" in r["body"]]
    for record in event.get("Records", []):
        if "poison" not in record["body"]:
            boto3.client("sns").publish(TopicArn=os.environ["TOPIC"], Message=record["body"])
    if event.get("fail"): raise ValueError("asked to fail")
    print("handled", context.function_name)
    return {"batchItemFailures": [{"itemIdentifier": one} for one in bad], "echo": event.get("echo")}
"""


def get(resource: str) -> dict[str, Any]:
    """Its ARN, in a template."""
    return {"Fn::GetAtt": [resource, "Arn"]}


def template(name: str) -> dict[str, Any]:
    """A rule that feeds a queue, whose function tells a topic; what fails is set aside."""
    role = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    made = {
        "Role": ("IAM::Role", {"AssumeRolePolicyDocument": role}),
        "Topic": ("SNS::Topic", {}),
        "Seen": ("SQS::Queue", {"QueueName": f"{name}-seen"}),
        "Hears": (
            "SNS::Subscription",
            {"TopicArn": {"Ref": "Topic"}, "Protocol": "sqs", "Endpoint": get("Seen"), "RawMessageDelivery": True},
        ),
        "Dead": ("SQS::Queue", {"QueueName": f"{name}-dead"}),
        "Queue": (
            "SQS::Queue",
            {"QueueName": name, "RedrivePolicy": {"deadLetterTargetArn": get("Dead"), "maxReceiveCount": 2}},
        ),
        "Function": (
            "Lambda::Function",
            {
                "FunctionName": name,
                "Code": {"ZipFile": CODE},
                "Handler": "index.handle",
                "Runtime": "python3.13",
                "Role": get("Role"),
                "Timeout": 2,
                "Environment": {"Variables": {"TOPIC": {"Ref": "Topic"}}},
            },
        ),
        "Gives": (
            "Lambda::EventSourceMapping",
            {
                "EventSourceArn": get("Queue"),
                "FunctionName": {"Ref": "Function"},
                "BatchSize": 5,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            },
        ),
        "Rule": (
            "IoT::TopicRule",
            {
                "RuleName": name.replace("-", "_"),
                "TopicRulePayload": {
                    "Sql": f"SELECT *, topic(2) AS thing FROM '{name}/+/alerts'",
                    "Actions": [{"Sqs": {"QueueUrl": {"Ref": "Queue"}, "RoleArn": get("Role"), "UseBase64": False}}],
                },
            },
        ),
        "OnEvent": (
            "Events::Rule",
            {
                "EventPattern": {"source": [name]},
                "Targets": [
                    {
                        "Id": "a",
                        "Arn": get("Seen"),
                        "InputTransformer": {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"number": <n>}'},
                    },
                    {"Id": "b", "Arn": get("Function"), "Input": '{"echo": "constant"}'},
                ],
            },
        ),
        "Hourly": (
            "Events::Rule",
            {
                "Name": f"{name}-hourly",
                "ScheduleExpression": "rate(1 hour)",
                "Targets": [{"Id": "q", "Arn": get("Seen"), "InputPath": "$.detail-type"}],
            },
        ),
        "Nightly": (
            "Scheduler::Schedule",
            {
                "Name": f"{name}-nightly",
                "ScheduleExpression": "rate(1 day)",
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": {"Arn": get("Seen"), "RoleArn": get("Role"), "Input": '"nightly"'},
            },
        ),
    }
    return {
        "Resources": {
            key: {"Type": f"AWS::{kind}", "Properties": properties} for key, (kind, properties) in made.items()
        }
    }


@pytest.fixture(scope="module")
def stack(bare_sandbox: SandboxAccount) -> str:
    name = f"messages-{uuid.uuid4().hex[:6]}"
    bare_sandbox.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template(name)))
    return name


def received(account: SandboxAccount, queue: str) -> list[str]:
    """Messages taken from a queue just now."""
    url = account.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
    found = account.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in found:
        account.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in found]


def test_from_a_device_to_a_subscriber(bare_sandbox: SandboxAccount, stack: str) -> None:
    topic = f"$aws/rules/{stack.replace('-', '_')}/{stack}/cam-1/alerts"
    bare_sandbox.client("iot-data").publish(topic=topic, payload=b'{"x": 1}')
    found = bare_sandbox.until("the message", lambda: received(bare_sandbox, f"{stack}-seen"))
    assert [json.loads(one) for one in found] == [{"x": 1, "thing": "cam-1"}]


def test_only_what_failed_is_set_aside(bare_sandbox: SandboxAccount, stack: str) -> None:
    for text in ("good", "poison"):
        bare_sandbox.client("iot-data").publish(
            topic=f"{stack}/cam-1/alerts", payload=json.dumps({"is": text}).encode()
        )
    dead = bare_sandbox.until("the dead letter", lambda: received(bare_sandbox, f"{stack}-dead"))
    seen = bare_sandbox.until("the good one", lambda: received(bare_sandbox, f"{stack}-seen"))
    assert [json.loads(one)["is"] for one in dead] == ["poison"]
    assert [json.loads(one)["is"] for one in seen] == ["good"]


@pytest.mark.parametrize(
    ("event", "kind"),
    [({"fail": True}, "ValueError"), ({"crash": 1}, "Runtime.ExitError"), ({"slow": 1}, "Sandbox.Timedout")],
)
def test_a_function_that_fails_says_how(
    bare_sandbox: SandboxAccount, stack: str, event: dict[str, Any], kind: str
) -> None:
    answer = bare_sandbox.client("lambda").invoke(FunctionName=stack, Payload=json.dumps(event))
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorType"] == kind
    assert bare_sandbox.invoke(stack, {"echo": "and lives on"})["echo"] == "and lives on"


def test_what_a_function_prints_is_in_its_log(bare_sandbox: SandboxAccount, stack: str) -> None:
    bare_sandbox.invoke(stack, {})
    log = bare_sandbox.directory / "functions" / f"{stack}.log"
    bare_sandbox.until("the line", lambda: f"handled {stack}" in log.read_text())


def test_events_reach_their_targets_in_the_form_asked_for(bare_sandbox: SandboxAccount, stack: str) -> None:
    entry = {"Source": stack, "DetailType": "Test", "Detail": '{"n": 7}'}
    bare_sandbox.client("events").put_events(Entries=[entry])
    assert bare_sandbox.until("the event", lambda: received(bare_sandbox, f"{stack}-seen")) == ['{"number": 7}']
    bare_sandbox.until(
        "the function",
        lambda: any(
            e["event"] == {"echo": "constant"} for e in bare_sandbox.state("invocation") if e["function"] == stack
        ),
    )


def test_a_schedule_runs_when_asked(bare_sandbox: SandboxAccount, stack: str) -> None:
    for name, message in (("nightly", '"nightly"'), ("hourly", '"Scheduled Event"')):
        bare_sandbox.ask(f"/vedette/schedules/{stack}-{name}/run", {})
        assert bare_sandbox.until("the schedule", lambda: received(bare_sandbox, f"{stack}-seen")) == [message]
    with pytest.raises(Exception, match="no schedule and no rule"):
        bare_sandbox.ask(f"/vedette/schedules/{stack}-weekly/run", {})


@pytest.mark.parametrize(
    ("kind", "properties", "said"),
    [
        ("AWS::Panorama::Package", {}, "does not emulate AWS::Panorama::Package"),
        ("Custom::Anything", {"ServiceToken": "x"}, "runs no custom resources"),
        ("AWS::SQS::QueuePolicy", {}, "property 'Queues' is missing"),
        ("AWS::CloudWatch::Alarm", {"Treshold": 3}, "Treshold"),
        (
            "AWS::IoT::TopicRule",
            {"TopicRulePayload": {"Sql": "SELECT decode(x) FROM 'a'", "Actions": []}},
            "not emulated",
        ),
        (
            "AWS::IoT::TopicRule",
            {
                "TopicRulePayload": {
                    "Sql": "SELECT * FROM 'a'",
                    "Actions": [{"Kinesis": {"RoleArn": "r", "StreamName": "s"}}],
                }
            },
            "action kinesis is not emulated",
        ),
    ],
)
def test_what_is_not_emulated_fails_the_stack(
    bare_sandbox: SandboxAccount, kind: str, properties: dict[str, Any], said: str
) -> None:
    name = f"refused-{uuid.uuid4().hex[:6]}"
    made = {"Resources": {"One": {"Type": kind, "Properties": properties}}}
    client = bare_sandbox.client("cloudformation")
    with pytest.raises(client.exceptions.ClientError, match=said):
        client.create_stack(StackName=name, TemplateBody=json.dumps(made))
    assert client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "ROLLBACK_COMPLETE"


def test_an_attribute_that_nobody_can_tell_fails_the_stack(bare_sandbox: SandboxAccount) -> None:
    made = {
        "Resources": {
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {}},
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::GetAtt": ["Topic", "Colour"]}}},
        }
    }
    client = bare_sandbox.client("cloudformation")
    with pytest.raises(client.exceptions.ClientError, match="cannot tell the attribute Colour of Topic"):
        client.create_stack(StackName="attribute", TemplateBody=json.dumps(made))


def test_a_stack_is_changed_and_ended(bare_sandbox: SandboxAccount) -> None:
    name = f"changed-{uuid.uuid4().hex[:6]}"
    client = bare_sandbox.client("cloudformation")
    made = template(name)
    client.create_stack(StackName=name, TemplateBody=json.dumps(made))
    rule = name.replace("-", "_")
    made["Resources"]["Rule"]["Properties"]["TopicRulePayload"]["Sql"] = "SELECT * FROM 'elsewhere'"
    made["Resources"]["Nightly"]["Properties"]["ScheduleExpression"] = "rate(2 days)"
    client.update_stack(StackName=name, TemplateBody=json.dumps(made))
    assert bare_sandbox.client("iot").get_topic_rule(ruleName=rule)["rule"]["sql"] == "SELECT * FROM 'elsewhere'"
    schedule = bare_sandbox.client("scheduler").get_schedule(Name=f"{name}-nightly")
    assert schedule["ScheduleExpression"] == "rate(2 days)"
    client.delete_stack(StackName=name)
    assert rule not in [entry["ruleName"] for entry in bare_sandbox.client("iot").list_topic_rules()["rules"]]
    assert bare_sandbox.client("scheduler").list_schedules(NamePrefix=name)["Schedules"] == []
