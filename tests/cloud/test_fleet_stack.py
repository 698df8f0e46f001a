"""Groups, the provisioning template and what its role and hook may do."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from infra.stacks.fleet import COMPONENTS
from lambdas.claim.handler import overrides
from tests.cloud.conftest import EVERYTHING, resources, templates
from tests.cloud.iot_policy import ACCOUNT, REGION, allows, resolved
from vedette.contracts.device import DeviceRecord
from vedette.contracts.logs import JOURNAL_LOGS, component_group, day_stream, nucleus_group


@pytest.fixture(scope="module")
def fleet() -> dict[str, Any]:
    return templates(EVERYTHING)["fleet"]


def test_rings_are_below_their_fleet(fleet: dict[str, Any]) -> None:
    groups = {g["Properties"]["ThingGroupName"]: g for g in resources(fleet, "AWS::IoT::ThingGroup").values()}
    assert sorted(groups) == [
        *("vedette-main", "vedette-main-canary", "vedette-main-early", "vedette-main-rest"),
        *("vedette-north", "vedette-north-canary", "vedette-north-rest"),
    ]
    for name, group in groups.items():
        parent = group["Properties"].get("ParentGroupName")
        assert parent == (None if name.count("-") == 1 else name.rpartition("-")[0])


def test_the_hook_gives_every_parameter_of_the_template(fleet: dict[str, Any]) -> None:
    (template,) = resources(fleet, "AWS::IoT::ProvisioningTemplate").values()
    body = json.loads(template["Properties"]["TemplateBody"])
    device = DeviceRecord(thing="cam", serial="SN.1", fleet="main", ring="canary", site="berlin")
    assert set(body["Parameters"]) == set(overrides(device))
    assert overrides(device)["Token"] == "used"
    assert body["Resources"]["thing"]["Properties"]["ThingGroups"] == [{"Ref": "RingGroup"}]
    attached = {one["Properties"]["PolicyName"] for one in body["Resources"].values() if "Policy" in one["Type"]}
    made = {p["Properties"]["PolicyName"] for p in resources(fleet, "AWS::IoT::Policy").values()}
    assert attached == made - {"vedette-prod-claim"}
    assert template["Properties"]["PreProvisioningHook"]["PayloadVersion"] == "2020-04-01"


def test_only_this_template_calls_the_hook(fleet: dict[str, Any]) -> None:
    (permission,) = resources(fleet, "AWS::Lambda::Permission").values()
    said = resolved(permission["Properties"])
    assert said["Principal"] == "iot.amazonaws.com"
    assert said["SourceAccount"] == ACCOUNT
    assert said["SourceArn"] == f"arn:aws:iot:{REGION}:{ACCOUNT}:provisioningtemplate/vedette-prod-claim"


def test_the_hook_uses_one_table(fleet: dict[str, Any]) -> None:
    said = role_statements(fleet, "ProvisioningClaimRole")
    actions = {a for s in said for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}
    assert {a for a in actions if a.startswith("dynamodb:")} == {"dynamodb:GetItem", "dynamodb:UpdateItem"}
    assert {a.partition(":")[0] for a in actions} == {"dynamodb", "kms", "logs"}


def test_provisioning_makes_devices_of_our_groups_with_our_policies_only(fleet: dict[str, Any]) -> None:
    said = role_statements(fleet, "ProvisioningRole")

    def may(action: str, resource: str) -> bool:
        return allows(said, action, f"arn:aws:iot:{REGION}:{ACCOUNT}:{resource}", thing="")

    assert may("iot:CreateThing", "thing/cam")
    assert may("iot:AttachPolicy", "policy/vedette-prod-device")
    assert may("iot:AddThingToThingGroup", "thinggroup/vedette-main-canary")
    assert not may("iot:AttachPolicy", "policy/administrators")
    assert not may("iot:AddThingToThingGroup", "thinggroup/others")
    for action in ("iot:CreatePolicy", "iot:DeleteThing", "iot:CreatePolicyVersion", "iot:CreateKeysAndCertificate"):
        assert not may(action, "policy/vedette-prod-device")
        assert not may(action, "thing/cam")


def test_logs_of_devices_have_the_names_greengrass_uses(fleet: dict[str, Any]) -> None:
    named = {
        resolved(g["Properties"].get("LogGroupName", "")) for g in resources(fleet, "AWS::Logs::LogGroup").values()
    }
    assert f"/aws/greengrass/UserComponent/{REGION}/vedette.Alerting" in named
    assert {f"/aws/greengrass/GreengrassSystemComponent/{REGION}/System", "greengrass/systemLogs"} <= named


def test_a_device_writes_the_streams_that_commands_read_and_no_others(fleet: dict[str, Any]) -> None:
    """The names of log manager and forwarder, of commands and of the role are the same."""
    said = role_statements(fleet, "DeviceRole")
    day, groups = date(2026, 11, 27), [component_group(REGION, name) for name in (*COMPONENTS, "vedette.app.ppe")]
    for group in (*groups, nucleus_group(REGION)):
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}"
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            assert allows(said, action, f"{arn}:log-stream:{day_stream(day, 'cam')}", thing="cam"), group
            assert not allows(said, action, f"{arn}:log-stream:{day_stream(day, 'cam2')}", thing="cam"), group
        assert allows(said, "logs:DescribeLogStreams", f"{arn}:log-stream:x", thing="cam")
    journal = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{JOURNAL_LOGS}"
    assert allows(said, "logs:PutLogEvents", f"{journal}:log-stream:cam", thing="cam")
    assert not allows(said, "logs:PutLogEvents", f"{journal}:log-stream:cam2", thing="cam")
    other = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/x:log-stream:{day_stream(day, 'cam')}"
    assert not allows(said, "logs:PutLogEvents", other, thing="cam")


def role_statements(fleet: dict[str, Any], role: str) -> list[dict[str, Any]]:
    for name, policy in resources(fleet, "AWS::IAM::Policy").items():
        if name.startswith(f"{role}DefaultPolicy"):
            return list(resolved(policy["Properties"]["PolicyDocument"]["Statement"]))
    raise AssertionError(role)
