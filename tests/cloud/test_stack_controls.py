"""Controls that every resource of a kind has, whichever stack it is in: encrypted, for this account only, kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.cloud.conftest import EVERYTHING, resources, templates
from tests.cloud.iot_policy import ACCOUNT, resolved
from tests.cloud.test_templates import as_list, statements

#: Services whose roles take no condition on their source: a function's role is given to that function by name, and
#: EventBridge takes on the role of a rule for that rule only (CDK writes it).
WITHOUT_SOURCE = {"lambda.amazonaws.com", "events.amazonaws.com"}
NOT_ENCRYPTED = {"Bool": {"aws:SecureTransport": "false"}}
OLD_TLS = {"NumericLessThan": {"s3:TlsVersion": 1.2}}
#: As long as SQS keeps anything: whoever looks at dead letters looks after the weekend, or after the holidays.
LONGEST_S = 14 * 86_400


def every(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, resource) of a type in all stacks; there has to be one."""
    found = [
        (f"{concern}/{name}", one)
        for concern, template in templates(EVERYTHING).items()
        for name, one in resources(template, kind).items()
    ]
    assert found, kind
    yield from found


def properties(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from ((where, one["Properties"]) for where, one in every(kind))


def denied(policy: dict[str, Any]) -> list[Any]:
    """Conditions under which everybody is refused everything that may be asked of the resource."""
    return [
        one["Condition"]
        for one in policy["PolicyDocument"]["Statement"]
        if one["Effect"] == "Deny" and one["Principal"] in ("*", {"AWS": "*"})
    ]


def test_buckets_belong_to_the_account_and_are_closed_in_every_way() -> None:
    for where, said in properties("AWS::S3::Bucket"):
        assert said["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}, where
        closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        assert said["PublicAccessBlockConfiguration"] == dict.fromkeys(closed, True), where


def test_what_can_be_asked_without_encryption_is_refused_for_everybody() -> None:
    for kind, policy, key, conditions in (
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "Bucket", [NOT_ENCRYPTED, OLD_TLS]),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Queues", [NOT_ENCRYPTED]),
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "Topics", [NOT_ENCRYPTED]),
    ):
        guarded: dict[str, list[Any]] = {}
        for where, said in properties(policy):
            for one in as_list(said[key]):
                guarded.setdefault(f"{where.partition('/')[0]}/{one['Ref']}", []).extend(denied(said))
        for where, _ in every(kind):
            if kind == "AWS::S3::Bucket" and where.startswith("storage/AccessLogs"):
                assert NOT_ENCRYPTED in guarded[where]
                continue
            assert all(condition in guarded.get(where, []) for condition in conditions), where


def test_policies_of_resources_let_named_sources_in_and_to_that_resource_only() -> None:
    for kind in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"):
        for where, said in properties(kind):
            for one in said["PolicyDocument"]["Statement"]:
                assert one["Resource"] != "*", where
                if one["Effect"] == "Allow":
                    asked = {key for operator in one["Condition"].values() for key in operator}
                    wanted = {"aws:SourceArn"} | ({"aws:SourceAccount"} if "Bucket" in kind else set())
                    assert wanted <= asked, where


def test_messages_rows_and_streams_are_encrypted_with_keys_of_ours() -> None:
    for kind in ("AWS::SQS::Queue", "AWS::SNS::Topic"):
        for where, said in properties(kind):
            assert "MessagesKey" in json.dumps(said["KmsMasterKeyId"]), where
    for where, said in properties("AWS::DynamoDB::Table"):
        assert said["SSESpecification"]["SSEEnabled"] is True, where
        assert "TablesKey" in json.dumps(said["SSESpecification"]["KMSMasterKeyId"]), where
    for where, said in properties("AWS::KinesisFirehose::DeliveryStream"):
        assert "ObjectsKey" in json.dumps(said["DeliveryStreamEncryptionConfigurationInput"]["KeyARN"]), where
        written = said["ExtendedS3DestinationConfiguration"]
        assert "ObjectsKey" in json.dumps(written["EncryptionConfiguration"]["KMSEncryptionConfig"]), where
        assert written["CloudWatchLoggingOptions"]["Enabled"] is True, where


def test_queries_are_encrypted_bounded_and_cannot_be_told_otherwise() -> None:
    for where, said in properties("AWS::Athena::WorkGroup"):
        group = said["WorkGroupConfiguration"]
        assert group["EnforceWorkGroupConfiguration"] is True, where
        assert group["BytesScannedCutoffPerQuery"] <= 10 << 30, where
        assert group["ResultConfiguration"]["EncryptionConfiguration"]["EncryptionOption"] == "SSE_KMS", where


def test_rows_can_be_had_again_and_what_holds_data_outlives_its_stack() -> None:
    for where, said in properties("AWS::DynamoDB::Table"):
        assert said["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}, where
    for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::KMS::Key"):
        for where, one in every(kind):
            assert one["DeletionPolicy"] == one["UpdateReplacePolicy"] == "Retain", where


def test_rows_that_are_of_no_use_any_more_end() -> None:
    ending = {where.rstrip("0123456789ABCDEF") for where, said in properties("AWS::DynamoDB::Table")
              if said.get("TimeToLiveSpecification", {}).get("Enabled")}  # fmt: skip
    assert ending == {"alerts/Ledger", "deployments/Rollouts", "fleet/Registrations"}


def test_what_cannot_be_worked_on_is_kept_and_found() -> None:
    for where, said in properties("AWS::SQS::Queue"):
        is_dead = "DeadLetters" in where or "Undelivered" in where
        assert ("RedrivePolicy" in said) is not is_dead, where
        assert said["MessageRetentionPeriod"] >= (LONGEST_S if is_dead else 4 * 86_400), where
    for where, said in properties("AWS::SNS::Subscription"):
        if not where.startswith("storage/Operators"):  # these tell of dead letters themselves
            assert "deadLetterTargetArn" in said["RedrivePolicy"], where
    for where, said in properties("AWS::Events::Rule"):
        for target in said["Targets"]:
            assert "DeadLetterConfig" in target, where
            # A target that runs something itself; a queue takes what it is given.
            assert "RetryPolicy" in target or "Queue" in json.dumps(target["Arn"]), where
    for where, said in properties("AWS::Lambda::EventInvokeConfig"):
        assert "DeadLetters" in json.dumps(said["DestinationConfig"]["OnFailure"]), where
    for where, said in properties("AWS::Lambda::EventSourceMapping"):
        assert said["FunctionResponseTypes"] == ["ReportBatchItemFailures"], where
        assert 2 <= said["ScalingConfig"]["MaximumConcurrency"] <= 50, where


def test_functions_are_called_by_what_is_named_only() -> None:
    for where, said in properties("AWS::Lambda::Permission"):
        assert "SourceArn" in said, where


def test_roles_of_services_are_for_what_this_account_asks_of_them() -> None:
    for where, said in properties("AWS::IAM::Role"):
        for one in said["AssumeRolePolicyDocument"]["Statement"]:
            service = one["Principal"]["Service"]
            if service in WITHOUT_SOURCE:
                continue
            assert resolved(one["Condition"])["StringEquals"]["aws:SourceAccount"] == ACCOUNT, where
            if service == "states.amazonaws.com":
                assert "stateMachine:" in resolved(one["Condition"])["ArnLike"]["aws:SourceArn"], where


def test_keys_are_used_through_services_and_buckets_listed_below_prefixes() -> None:
    through = listed = 0
    for concern, template in templates(EVERYTHING).items():
        for name, one in statements(template):
            where = f"{concern}/{name}"
            actions = as_list(one["Action"])
            if "TablesKey" in json.dumps(one["Resource"]):
                assert "kms:ViaService" in one["Condition"]["StringEquals"], where
                through += 1
            if actions == ["s3:ListBucket"]:
                assert one["Condition"]["StringLike"]["s3:prefix"], where
                listed += 1
    assert through
    assert listed


def test_statements_for_devices_name_actions_and_resources() -> None:
    for where, said in properties("AWS::IoT::Policy"):
        for one in said["PolicyDocument"]["Statement"]:
            assert not [action for action in as_list(one["Action"]) if "*" in action], where
            # Greengrass' data plane knows no narrower resource for a device.
            if not all(action.startswith("greengrass:") for action in as_list(one["Action"])):
                assert "*" not in as_list(one["Resource"]), where


def test_executions_are_logged_and_traced_and_the_network_is_watched() -> None:
    for where, said in properties("AWS::StepFunctions::StateMachine"):
        assert said["LoggingConfiguration"]["Level"] == "ALL", where
        assert said["TracingConfiguration"] == {"Enabled": True}, where
    watched = [said["ResourceId"] for _, said in properties("AWS::EC2::FlowLog") if said["TrafficType"] == "ALL"]
    assert watched == [{"Ref": name.partition("/")[2]} for name, _ in every("AWS::EC2::VPC")]
