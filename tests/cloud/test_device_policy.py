"""A device touches its own topics, prefixes, streams and secrets, and nobody else's, whatever the names look like."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cloud.conftest import EVERYTHING, resources, templates
from tests.cloud.iot_policy import ACCOUNT, REGION, allows, resolved
from vedette.contracts.topics import cloud_ack, cloud_alerts, cloud_comparison, cloud_health, cloud_insights

ATTACHED = {"iot:Connection.Thing.IsAttached": "true"}
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True)
#: Names that might be mistaken for a device's called ``cam``.
TRICKS = ("cam2", "ca", "Cam", "cam-", "cam/x", "*", "ca?", "cam#", "+", "#", "cam/../cam2", "${iot:ClientId}")
PUBLISHED = (cloud_alerts, cloud_comparison, cloud_insights, cloud_health)


def iot(kind: str, name: str) -> str:
    return f"arn:aws:iot:{REGION}:{ACCOUNT}:{kind}/{name}"


def policy_statements(name: str) -> list[dict[str, Any]]:
    for policy in resources(templates(EVERYTHING)["fleet"], "AWS::IoT::Policy").values():
        if policy["Properties"]["PolicyName"] == name:
            return list(resolved(policy["Properties"]["PolicyDocument"]["Statement"]))
    raise AssertionError(name)


@pytest.fixture(scope="module")
def device() -> list[dict[str, Any]]:
    return policy_statements("vedette-prod-device")


@pytest.fixture(scope="module")
def role() -> list[dict[str, Any]]:
    for name, policy in resources(templates(EVERYTHING)["fleet"], "AWS::IAM::Policy").items():
        if name.startswith("DeviceRole"):
            return list(resolved(policy["Properties"]["PolicyDocument"]["Statement"]))
    raise AssertionError("no policy of the role of devices")


def test_a_device_does_its_work(device: list[dict[str, Any]]) -> None:
    for client in ("cam", "cam#2", "cam#17"):
        assert allows(device, "iot:Connect", iot("client", client), thing="cam", context=ATTACHED)
    for topic in [made("cam") for made in PUBLISHED]:
        assert allows(device, "iot:Publish", iot("topic", topic), thing="cam")
    for topic in (
        "$aws/things/cam/jobs/notify-next",
        "$aws/things/cam/shadow/name/AWSManagedGreengrassV2Deployment/get",
    ):
        assert allows(device, "iot:Publish", iot("topic", topic), thing="cam")
        assert allows(device, "iot:Receive", iot("topic", topic), thing="cam")
        assert allows(device, "iot:Subscribe", iot("topicfilter", topic), thing="cam")
    assert allows(device, "iot:Publish", iot("topic", "$aws/things/cam/greengrassv2/health/json"), thing="cam")
    assert allows(device, "iot:Receive", iot("topic", cloud_ack("cam")), thing="cam")
    assert allows(device, "iot:Subscribe", iot("topicfilter", cloud_ack("cam")), thing="cam")


@pytest.mark.parametrize("other", TRICKS)
def test_no_trick_with_names_reaches_another_device(device: list[dict[str, Any]], other: str) -> None:
    assert not allows(device, "iot:Connect", iot("client", other), thing="cam", context=ATTACHED) or other == "cam#"
    for topic in [made(other) for made in PUBLISHED] + [f"$aws/things/{other}/jobs/x", cloud_ack(other)]:
        assert not allows(device, "iot:Publish", iot("topic", topic), thing="cam"), topic
        assert not allows(device, "iot:Receive", iot("topic", topic), thing="cam"), topic
        assert not allows(device, "iot:Subscribe", iot("topicfilter", topic), thing="cam"), topic


@given(thing=NAMES, other=NAMES)
def test_no_two_devices_share_a_topic_a_client_or_a_prefix(thing: str, other: str) -> None:
    if thing == other:
        return
    said, lent = policy_statements("vedette-prod-device"), role_statements()
    for topic in [made(other) for made in PUBLISHED] + [f"$aws/things/{other}/shadow/get", cloud_ack(other)]:
        for action in ("iot:Publish", "iot:Receive"):
            assert not allows(said, action, iot("topic", topic), thing=thing)
        assert not allows(said, "iot:Subscribe", iot("topicfilter", topic), thing=thing)
    for client in (other, f"{other}#2"):
        assert not allows(said, "iot:Connect", iot("client", client), thing=thing, context=ATTACHED)
    assert not allows(lent, "s3:PutObject", f"arn:import:evidence/{other}/1/clip.mp4", thing=thing)
    assert not allows(lent, "logs:PutLogEvents", stream(other), thing=thing)


def role_statements() -> list[dict[str, Any]]:
    for name, policy in resources(templates(EVERYTHING)["fleet"], "AWS::IAM::Policy").items():
        if name.startswith("DeviceRole"):
            return list(resolved(policy["Properties"]["PolicyDocument"]["Statement"]))
    raise AssertionError("no policy of the role of devices")


def stream(thing: str, component: str = "vedette.Inference") -> str:
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/greengrass/UserComponent/{REGION}/{component}"
    return f"{group}:log-stream:/2026/11/27/thing/{thing}"


def test_a_device_cannot_acknowledge_its_own_alerts_or_listen_to_everyone(device: list[dict[str, Any]]) -> None:
    assert not allows(device, "iot:Publish", iot("topic", cloud_ack("cam")), thing="cam")
    for wide in (
        "#",
        "+/+/ack",
        "vedette/#",
        "vedette/+/ack",
        "$aws/things/#",
        "$aws/things/+/jobs/x",
        "vedette/cam/#",
    ):
        assert not allows(device, "iot:Subscribe", iot("topicfilter", wide), thing="cam"), wide


def test_a_certificate_without_its_thing_does_not_connect(device: list[dict[str, Any]]) -> None:
    detached = {"iot:Connection.Thing.IsAttached": "false"}
    assert not allows(device, "iot:Connect", iot("client", "cam"), thing="cam", context=detached)


def test_policies_are_short_enough_for_aws() -> None:
    """AWS IoT takes 2,048 characters, white space not counted; the longest region and stage names fit."""
    long = json.dumps({"stage": "a" * 24})
    for policy in resources(templates(long)["fleet"], "AWS::IoT::Policy").values():
        text = json.dumps(resolved(policy["Properties"]["PolicyDocument"]), separators=(",", ":"))
        longest = text.replace(REGION, "ap-northeast-1".ljust(14, "x"))
        assert len(longest) <= 2048, policy["Properties"]["PolicyName"]


def test_the_data_plane_only_reads_and_the_role_is_this_stages() -> None:
    said = policy_statements("vedette-prod-device-data")
    actions = {action for statement in said for action in ([statement["Action"]] if isinstance(statement["Action"], str)
               else statement["Action"])}  # fmt: skip
    assert actions == {
        "greengrass:GetComponentVersionArtifact",
        "greengrass:GetDeploymentConfiguration",
        "greengrass:ListThingGroupsForCoreDevice",
        "greengrass:ResolveComponentCandidates",
        "iot:AssumeRoleWithCertificate",
    }
    assert allows(said, "iot:AssumeRoleWithCertificate", iot("rolealias", "vedette-prod-device"), thing="cam")
    assert not allows(said, "iot:AssumeRoleWithCertificate", iot("rolealias", "vedette-prod-device2"), thing="cam")


def test_a_claim_asks_to_become_a_device_and_does_nothing_else() -> None:
    claim = policy_statements("vedette-prod-claim")
    ask = "$aws/provisioning-templates/vedette-prod-claim/provision/json"
    assert allows(claim, "iot:Connect", iot("client", "vedette-claim-SN1"), thing="")
    assert allows(claim, "iot:Publish", iot("topic", ask), thing="")
    assert allows(claim, "iot:Subscribe", iot("topicfilter", f"{ask}/accepted"), thing="")
    # Nucleus lite claims under a random UUID, which no device can be called.
    assert allows(claim, "iot:Connect", iot("client", "0f8fad5b-d9cb-469f-a165-70867728950e"), thing="")
    assert not allows(claim, "iot:Connect", iot("client", "0f8fad5b-d9cb-469f-a165-70867728950e2"), thing="")
    assert not allows(claim, "iot:Connect", iot("client", "cam"), thing="")
    for topic in (
        cloud_alerts("cam"),
        "$aws/things/cam/jobs/x",
        "$aws/provisioning-templates/other/provision/json",
        "#",
    ):
        assert not allows(claim, "iot:Publish", iot("topic", topic), thing="")
        assert not allows(claim, "iot:Subscribe", iot("topicfilter", topic), thing="")
    assert not any("greengrass" in str(s["Action"]) or "AssumeRole" in str(s["Action"]) for s in claim)


def test_credentials_write_evidence_below_the_devices_own_name(role: list[dict[str, Any]]) -> None:
    assert allows(role, "s3:PutObject", "arn:import:evidence/cam/20261127-a1/clip.mp4", thing="cam")
    for key in ("cam2/a/clip.mp4", "clip.mp4", "cam", "ca/m/clip.mp4", "site/cam/x"):
        assert not allows(role, "s3:PutObject", f"arn:import:evidence/{key}", thing="cam"), key
    assert not allows(role, "s3:PutObject", "arn:import:artefacts/cam/x", thing="cam")
    for action in ("s3:GetObject", "s3:DeleteObject", "s3:ListBucket"):
        assert not allows(role, action, "arn:import:evidence/cam/x", thing="cam"), action


def test_credentials_read_artefacts_and_no_other_bucket(role: list[dict[str, Any]]) -> None:
    assert allows(role, "s3:GetObject", "arn:import:artefacts/components/a.zip", thing="cam")
    for bucket in ("models", "insights", "evidence"):
        assert not allows(role, "s3:GetObject", f"arn:import:{bucket}/a.zip", thing="cam")
    key = "arn:import:objectskey"
    artefacts = {"kms:EncryptionContext:aws:s3:arn": "arn:import:artefacts"}
    evidence = {"kms:EncryptionContext:aws:s3:arn": "arn:import:evidence"}
    models = {"kms:EncryptionContext:aws:s3:arn": "arn:import:models"}
    assert allows(role, "kms:Decrypt", key, thing="cam", context=artefacts)
    assert allows(role, "kms:GenerateDataKey", key, thing="cam", context=evidence)
    assert not allows(role, "kms:GenerateDataKey", key, thing="cam", context=artefacts)
    assert not allows(role, "kms:Decrypt", key, thing="cam", context=models)
    assert not allows(role, "kms:Decrypt", key, thing="cam")


def test_credentials_write_the_devices_own_log_streams(role: list[dict[str, Any]]) -> None:
    assert allows(role, "logs:PutLogEvents", stream("cam"), thing="cam")
    for other in ("cam2", "ca", "x/cam2"):
        assert not allows(role, "logs:PutLogEvents", stream(other), thing="cam"), other
    assert not allows(role, "logs:PutLogEvents", stream("cam", "com.example.Other"), thing="cam")
    assert not allows(role, "logs:CreateLogGroup", stream("cam"), thing="cam")


def test_a_secret_is_read_by_the_device_it_is_tagged_for(role: list[dict[str, Any]]) -> None:
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:vedette/camera/gate-a1b2c3"
    tag = "secretsmanager:ResourceTag/vedette-device"
    for value, allowed in (("cam", True), ("every device", True), ("cam2", False), ("*", False), ("", False)):
        assert allows(role, "secretsmanager:GetSecretValue", secret, thing="cam", context={tag: value}) is allowed, (
            value
        )
    assert not allows(role, "secretsmanager:GetSecretValue", secret, thing="cam")
    elsewhere = secret.replace("vedette/camera", "payroll")
    assert not allows(role, "secretsmanager:GetSecretValue", elsewhere, thing="cam", context={tag: "cam"})


def test_credentials_are_for_things_of_this_alias_and_at_most_an_hour() -> None:
    fleet = templates(EVERYTHING)["fleet"]
    (alias,) = resources(fleet, "AWS::IoT::RoleAlias").values()
    assert alias["Properties"]["CredentialDurationSeconds"] == 3600
    for name, role in resources(fleet, "AWS::IAM::Role").items():
        if name.startswith("DeviceRole"):
            assert "MaxSessionDuration" not in role["Properties"]  # an hour
            (trust,) = resolved(role["Properties"]["AssumeRolePolicyDocument"]["Statement"])
            assert trust["Principal"] == {"Service": "credentials.iot.amazonaws.com"}
            assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
            assert trust["Condition"]["ArnEquals"] == {"aws:SourceArn": iot("rolealias", "vedette-prod-device")}
            return
    raise AssertionError("no role of devices")
