"""Each resource type that moto lacks: made from a template, seen through the API, and gone with its stack."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.sandbox_account import SandboxAccount


def ref(name: str) -> dict[str, Any]:
    return {"Ref": name}


def get(name: str, attribute: str = "Arn") -> dict[str, Any]:
    return {"Fn::GetAtt": [name, attribute]}


ROLE: dict[str, Any] = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": []}}}
#: As the CDK writes it: without TLS nobody may do anything. It must not keep anyone from the sandbox, which has none.
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "*",
            "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ],
}
MACHINE = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"done": True}, "End": True}}}


def template(name: str) -> dict[str, Any]:
    """One of each; names end with the stack's."""
    made: dict[str, tuple[str, dict[str, Any]]] = {
        "Bucket": (
            "S3::Bucket",
            {
                "BucketName": f"b-{name}",
                "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
            },
        ),
        "BucketPolicy": ("S3::BucketPolicy", {"Bucket": ref("Bucket"), "PolicyDocument": POLICY}),
        "Topic": ("SNS::Topic", {"TopicName": f"t-{name}"}),
        "TopicPolicy": ("SNS::TopicPolicy", {"Topics": [ref("Topic")], "PolicyDocument": POLICY}),
        "Queue": ("SQS::Queue", {"QueueName": f"q-{name}"}),
        "QueuePolicy": ("SQS::QueuePolicy", {"Queues": [ref("Queue")], "PolicyDocument": POLICY}),
        "Filtered": (
            "SNS::Subscription",
            {"TopicArn": ref("Topic"), "Protocol": "sqs", "Endpoint": get("Queue"), "FilterPolicy": {"site": ["a"]}},
        ),
        "Uploads": (
            "Events::Rule",
            {
                "EventPattern": {"source": ["aws.s3"], "detail": {"bucket": {"name": [ref("Bucket")]}}},
                "Targets": [{"Id": "q", "Arn": get("Queue"), "InputPath": "$.detail.object.key"}],
            },
        ),
        "Alarm": (
            "CloudWatch::Alarm",
            {
                "AlarmName": f"a-{name}",
                "ComparisonOperator": "GreaterThanThreshold",
                "EvaluationPeriods": 1,
                "Threshold": 0,
                "MetricName": "M",
                "Namespace": "N",
                "Period": 60,
                "Statistic": "Maximum",
                "AlarmActions": [ref("Topic")],
            },
        ),
        "Parent": ("IoT::ThingGroup", {"ThingGroupName": f"p-{name}"}),
        "Child": ("IoT::ThingGroup", {"ThingGroupName": f"c-{name}", "ParentGroupName": ref("Parent")}),
        "Stream": (
            "KinesisFirehose::DeliveryStream",
            {
                "DeliveryStreamName": f"s-{name}",
                "ExtendedS3DestinationConfiguration": {
                    "BucketARN": get("Bucket"),
                    "RoleARN": get("Role"),
                    "BufferingHints": {"SizeInMBs": 64},
                },
            },
        ),
        "Database": ("Glue::Database", {"CatalogId": ref("AWS::AccountId"), "DatabaseInput": {"Name": f"d-{name}"}}),
        "Table": (
            "Glue::Table",
            {"CatalogId": ref("AWS::AccountId"), "DatabaseName": ref("Database"), "TableInput": {"Name": f"t-{name}"}},
        ),
        "Group": (
            "Athena::WorkGroup",
            {"Name": f"w-{name}", "WorkGroupConfiguration": {"EnforceWorkGroupConfiguration": True}},
        ),
        "Query": ("Athena::NamedQuery", {"Name": f"n-{name}", "Database": ref("Database"), "QueryString": "SELECT 1"}),
        "Secret": ("SecretsManager::Secret", {"Name": f"x-{name}", "GenerateSecretString": {}}),
        "Machine": (
            "StepFunctions::StateMachine",
            {"StateMachineName": f"m-{name}", "RoleArn": get("Role"), "DefinitionString": json.dumps(MACHINE)},
        ),
        "Parameter": (
            "SSM::Parameter",
            {"Name": f"/v/{name}", "Type": "String", "Value": get("Machine"), "Tags": {"a": "b"}},
        ),
        "Network": ("EC2::VPC", {"CidrBlock": "10.9.0.0/16", "EnableDnsSupport": True}),
        "NetA": (
            "EC2::Subnet",
            {"VpcId": ref("Network"), "CidrBlock": "10.9.1.0/24", "AvailabilityZone": "us-east-1a"},
        ),
        "NetB": (
            "EC2::Subnet",
            {"VpcId": ref("Network"), "CidrBlock": "10.9.2.0/24", "AvailabilityZone": "us-east-1b"},
        ),
        "Firewall": ("EC2::SecurityGroup", {"GroupDescription": "d", "VpcId": ref("Network")}),
        "Endpoint": (
            "EC2::VPCEndpoint",
            {
                "VpcId": ref("Network"),
                "ServiceName": "com.amazonaws.us-east-1.s3",
                "VpcEndpointType": "Interface",
                "SubnetIds": [ref("NetA"), ref("NetB")],
                "SecurityGroupIds": [get("Firewall", "GroupId")],
                "PolicyDocument": POLICY,
            },
        ),
        "Zone": (
            "Route53::HostedZone",
            {"Name": f"{name}.example", "VPCs": [{"VPCId": ref("Network"), "VPCRegion": ref("AWS::Region")}]},
        ),
        "Record": (
            "Route53::RecordSet",
            {
                "Name": f"iot.{name}.example",
                "Type": "A",
                "HostedZoneId": ref("Zone"),
                "AliasTarget": {
                    "HostedZoneId": {
                        "Fn::Select": [0, {"Fn::Split": [":", {"Fn::Select": [0, get("Endpoint", "DnsEntries")]}]}]
                    },
                    "DNSName": {
                        "Fn::Select": [1, {"Fn::Split": [":", {"Fn::Select": [0, get("Endpoint", "DnsEntries")]}]}]
                    },
                },
            },
        ),
        "Resolver": (
            "Route53Resolver::ResolverEndpoint",
            {
                "Direction": "INBOUND",
                "SecurityGroupIds": [get("Firewall", "GroupId")],
                "IpAddresses": [{"SubnetId": ref("NetA")}, {"SubnetId": ref("NetB")}],
            },
        ),
        "Logs": ("Logs::LogGroup", {"LogGroupName": f"l-{name}"}),
        "Lines": ("Logs::LogStream", {"LogGroupName": ref("Logs"), "LogStreamName": "first"}),
        "Flows": (
            "EC2::FlowLog",
            {
                "ResourceId": ref("Network"),
                "ResourceType": "VPC",
                "TrafficType": "ALL",
                "LogGroupName": ref("Logs"),
                "DeliverLogsPermissionArn": get("Role"),
            },
        ),
        "Board": ("CloudWatch::Dashboard", {"DashboardName": f"o-{name}", "DashboardBody": "{}"}),
    }
    resources = {key: {"Type": f"AWS::{kind}", "Properties": about} for key, (kind, about) in made.items()}
    outputs = {"Alarm": {"Value": get("Alarm")}, "Resolver": {"Value": get("Resolver", "ResolverEndpointId")}}
    return {"Resources": {"Role": ROLE, **resources}, "Outputs": outputs}


#: What each resource looks like through the API; raises, or gives nothing, where there is none.
LOOKS: dict[str, Callable[[SandboxAccount, str], Any]] = {
    "BucketPolicy": lambda a, n: a.client("s3").get_bucket_policy(Bucket=f"b-{n}")["Policy"],
    "TopicPolicy": lambda a, n: (
        "Deny"
        in a.client("sns").get_topic_attributes(TopicArn=f"arn:aws:sns:us-east-1:123456789012:t-{n}")["Attributes"][
            "Policy"
        ]
    ),
    "QueuePolicy": lambda a, n: a.client("sqs").get_queue_attributes(
        QueueUrl=a.client("sqs").get_queue_url(QueueName=f"q-{n}")["QueueUrl"], AttributeNames=["Policy"]
    )["Attributes"]["Policy"],
    "Subscription": lambda a, n: a.client("sns").list_subscriptions_by_topic(
        TopicArn=f"arn:aws:sns:us-east-1:123456789012:t-{n}"
    )["Subscriptions"],
    "Alarm": lambda a, n: a.client("cloudwatch").describe_alarms(AlarmNames=[f"a-{n}"])["MetricAlarms"],
    "ThingGroup": lambda a, n: (
        a.client("iot").describe_thing_group(thingGroupName=f"c-{n}")["thingGroupMetadata"]["parentGroupName"]
        == f"p-{n}"
    ),
    "Stream": lambda a, n: a.client("firehose").describe_delivery_stream(DeliveryStreamName=f"s-{n}"),
    "Table": lambda a, n: a.client("glue").get_table(DatabaseName=f"d-{n}", Name=f"t-{n}"),
    "WorkGroup": lambda a, n: a.client("athena").get_work_group(WorkGroup=f"w-{n}")["WorkGroup"],
    "Secret": lambda a, n: len(a.client("secretsmanager").get_secret_value(SecretId=f"x-{n}")["SecretString"]) > 20,
    "Parameter": lambda a, n: a.client("ssm").get_parameter(Name=f"/v/{n}")["Parameter"]["Value"].endswith(f"m-{n}"),
    "Endpoint": lambda a, n: [
        e for e in a.client("ec2").describe_vpc_endpoints()["VpcEndpoints"] if e["VpcEndpointType"] == "Interface"
    ],
    "Zone": lambda a, n: a.client("route53").list_hosted_zones_by_name(DNSName=f"{n}.example")["HostedZones"],
    "Resolver": lambda a, n: a.client("route53resolver").list_resolver_endpoints()["ResolverEndpoints"],
    "LogStream": lambda a, n: a.client("logs").describe_log_streams(logGroupName=f"l-{n}")["logStreams"],
    "FlowLog": lambda a, n: a.client("ec2").describe_flow_logs()["FlowLogs"],
    "Dashboard": lambda a, n: a.client("cloudwatch").get_dashboard(DashboardName=f"o-{n}")["DashboardBody"],
}


@pytest.fixture(scope="module")
def name(bare_sandbox: SandboxAccount) -> str:
    name = uuid.uuid4().hex[:8]
    bare_sandbox.client("cloudformation").create_stack(StackName=f"all-{name}", TemplateBody=json.dumps(template(name)))
    return name


@pytest.mark.parametrize("look", LOOKS)
def test_it_is_there(bare_sandbox: SandboxAccount, name: str, look: str) -> None:
    assert LOOKS[look](bare_sandbox, name)


def test_an_upload_is_an_event(bare_sandbox: SandboxAccount, name: str) -> None:
    bare_sandbox.client("s3").put_object(Bucket=f"b-{name}", Key="incoming/model.yaml", Body=b"x")
    sqs = bare_sandbox.client("sqs")
    url = sqs.get_queue_url(QueueName=f"q-{name}")["QueueUrl"]
    (found,) = bare_sandbox.until("the event", lambda: sqs.receive_message(QueueUrl=url).get("Messages"))
    assert found["Body"] == '"incoming/model.yaml"'


GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_every_type_of_the_stacks_is_emulated(file: Path) -> None:
    from moto.cloudformation.parsing import get_model_map

    from vedette.local.cloud.server import KINDS

    emulated = {kind.type for kind in KINDS} | set(get_model_map())
    assert {one["Type"] for one in json.loads(file.read_text())["Resources"].values()} <= emulated


def test_attributes_reach_the_outputs(bare_sandbox: SandboxAccount, name: str) -> None:
    (stack,) = bare_sandbox.client("cloudformation").describe_stacks(StackName=f"all-{name}")["Stacks"]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    assert outputs["Alarm"] == f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:a-{name}"
    assert outputs["Resolver"].startswith("rslvr-in-")


def test_a_state_machine_is_interpreted(bare_sandbox: SandboxAccount, name: str) -> None:
    client = bare_sandbox.client("stepfunctions")
    arn = f"arn:aws:states:us-east-1:123456789012:stateMachine:m-{name}"
    execution = client.start_execution(stateMachineArn=arn, name=uuid.uuid4().hex)["executionArn"]

    def output() -> Any:
        found = client.describe_execution(executionArn=execution)
        return found.get("output") if found["status"] == "SUCCEEDED" else None

    assert json.loads(bare_sandbox.until("the execution", output)) == {"done": True}


def test_changes_reach_what_is_there(bare_sandbox: SandboxAccount, name: str) -> None:
    made = template(name)
    about = {key: one["Properties"] for key, one in made["Resources"].items()}
    about["Alarm"]["Threshold"] = 5
    about["Parameter"]["Value"] = f"new-m-{name}"
    about["Machine"]["DefinitionString"] = json.dumps(MACHINE | {"Comment": "changed"})
    about["Filtered"]["FilterPolicy"] = {"site": ["b"]}
    about["Stream"]["ExtendedS3DestinationConfiguration"]["Prefix"] = "new/"
    bare_sandbox.client("cloudformation").update_stack(StackName=f"all-{name}", TemplateBody=json.dumps(made))
    assert LOOKS["Alarm"](bare_sandbox, name)[0]["Threshold"] == 5
    assert LOOKS["Parameter"](bare_sandbox, name)
    (subscription,) = LOOKS["Subscription"](bare_sandbox, name)
    attributes = bare_sandbox.client("sns").get_subscription_attributes(SubscriptionArn=subscription["SubscriptionArn"])
    assert json.loads(attributes["Attributes"]["FilterPolicy"]) == {"site": ["b"]}
    arn = f"arn:aws:states:us-east-1:123456789012:stateMachine:m-{name}"
    assert "changed" in bare_sandbox.client("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"]


def test_it_goes_with_its_stack(bare_sandbox: SandboxAccount) -> None:
    name, client = uuid.uuid4().hex[:8], bare_sandbox.client("cloudformation")
    client.create_stack(StackName=f"all-{name}", TemplateBody=json.dumps(template(name)))
    client.delete_stack(StackName=f"all-{name}")
    for gone in ("Stream", "Table", "Secret", "Parameter", "Dashboard", "ThingGroup"):
        with pytest.raises(client.exceptions.ClientError):
            LOOKS[gone](bare_sandbox, name)
    assert LOOKS["Alarm"](bare_sandbox, name) == []
