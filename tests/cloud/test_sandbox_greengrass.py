"""Greengrass and fleet provisioning in the sandbox."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.cloud.sandbox_account import SandboxAccount


def recipe(name: str, version: str = "1.0.0", **more: Any) -> bytes:
    return json.dumps(
        {"RecipeFormatVersion": "2020-01-25", "ComponentName": name, "ComponentVersion": version, **more}
    ).encode()


def fresh(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def group(bare_sandbox: SandboxAccount) -> str:
    return str(bare_sandbox.client("iot").create_thing_group(thingGroupName=fresh("ring"))["thingGroupArn"])


@pytest.fixture
def device(bare_sandbox: SandboxAccount, group: str) -> str:
    """A simulated device of the group."""
    thing, iot = fresh("cam"), bare_sandbox.client("iot")
    iot.create_thing(thingName=thing)
    iot.add_thing_to_thing_group(thingName=thing, thingGroupName=group.rpartition("/")[2])
    bare_sandbox.ask(f"/vedette/devices/{thing}", {})
    return thing


def deploy(account: SandboxAccount, target: str, **versions: str) -> str:
    components = {name.replace("_", "."): {"componentVersion": version} for name, version in versions.items()}
    made = account.client("greengrassv2").create_deployment(targetArn=target, components=components)
    return str(made["deploymentId"])


def component(account: SandboxAccount, version: str = "1.0.0", name: str | None = None) -> str:
    name = name or fresh("vedette")
    account.client("greengrassv2").create_component_version(inlineRecipe=recipe(name, version))
    return name


def test_a_component_version_is_made_once(bare_sandbox: SandboxAccount) -> None:
    client = bare_sandbox.client("greengrassv2")
    name = component(bare_sandbox)
    with pytest.raises(client.exceptions.ConflictException, match="already exists"):
        component(bare_sandbox, name=name)
    component(bare_sandbox, "1.10.0", name)
    component(bare_sandbox, "1.9.0", name)
    newest = {one["componentName"]: one["latestVersion"] for one in client.list_components()["components"]}
    assert newest[name]["componentVersion"] == "1.10.0"
    arn = newest[name]["arn"]
    found = client.list_component_versions(arn=arn.rpartition(":versions")[0])["componentVersions"]
    assert [one["componentVersion"] for one in found] == ["1.10.0", "1.9.0", "1.0.0"]
    assert client.describe_component(arn=arn)["status"]["componentState"] == "DEPLOYABLE"
    assert json.loads(client.get_component(arn=arn)["recipe"])["ComponentName"] == name
    client.delete_component(arn=arn)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_component(arn=arn)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (recipe("a", "1.0"), "not semantic"),
        (recipe("a b"), "not allowed"),
        (b"{: no", "neither JSON nor YAML"),
        (b"[]", "no object"),
        (b'{"ComponentName": "a"}', "RecipeFormatVersion"),
        (recipe("a", Padding="x" * (16 << 10)), "16384 are allowed"),
        (recipe("a", Manifests=[{"Artifacts": [{"Uri": "s3://nowhere/x.zip"}]}]), "Cannot access S3 artifact"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_refused(bare_sandbox: SandboxAccount, made: bytes, said: str) -> None:
    client = bare_sandbox.client("greengrassv2")
    with pytest.raises(client.exceptions.ValidationException, match=said):
        client.create_component_version(inlineRecipe=made)


def test_the_newest_deployment_of_a_target_counts(bare_sandbox: SandboxAccount, group: str) -> None:
    client = bare_sandbox.client("greengrassv2")
    first, second = deploy(bare_sandbox, group), deploy(bare_sandbox, group)
    listed = client.list_deployments(targetArn=group)["deployments"]
    assert [one["deploymentId"] for one in listed] == [second]
    assert len(client.list_deployments(targetArn=group, historyFilter="ALL")["deployments"]) == 2
    assert client.get_deployment(deploymentId=first)["deploymentStatus"] == "INACTIVE"
    assert client.get_deployment(deploymentId=second)["isLatestForTarget"]
    with pytest.raises(client.exceptions.ConflictException):
        client.delete_deployment(deploymentId=second)
    client.cancel_deployment(deploymentId=second)
    assert client.get_deployment(deploymentId=second)["deploymentStatus"] == "CANCELED"
    client.delete_deployment(deploymentId=second)


def test_what_does_not_exist_cannot_be_deployed(bare_sandbox: SandboxAccount, group: str) -> None:
    client = bare_sandbox.client("greengrassv2")
    with pytest.raises(client.exceptions.ResourceNotFoundException, match=r"vedette\.None version 1\.0\.0"):
        deploy(bare_sandbox, group, vedette_None="1.0.0")
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="target"):
        deploy(bare_sandbox, group + "x")


def test_devices_of_a_group_take_its_deployment(bare_sandbox: SandboxAccount, group: str, device: str) -> None:
    client = bare_sandbox.client("greengrassv2")
    name = component(bare_sandbox)
    component(bare_sandbox, "1.1.0", name)
    client.create_deployment(targetArn=group, components={name: {"componentVersion": "1.0.0"}})
    states = client.list_effective_deployments(coreDeviceThingName=device)["effectiveDeployments"]
    assert [(one["targetArn"], one["coreDeviceExecutionStatus"]) for one in states] == [(group, "SUCCEEDED")]
    bare_sandbox.ask(f"/vedette/devices/{device}", {"fails": {name: "1.1.0"}})
    client.create_deployment(targetArn=group, components={name: {"componentVersion": "1.1.0"}})
    (state,) = client.list_effective_deployments(coreDeviceThingName=device)["effectiveDeployments"]
    assert state["coreDeviceExecutionStatus"] == "FAILED"
    assert f"{name} version 1.1.0 is broken" in state["reason"]
    installed = client.list_installed_components(coreDeviceThingName=device)["installedComponents"]
    assert [(one["componentName"], one["componentVersion"]) for one in installed] == [(name, "1.0.0")]
    (about,) = client.list_core_devices(thingGroupArn=group)["coreDevices"]
    assert (about["coreDeviceThingName"], about["status"]) == (device, "UNHEALTHY")


def test_an_absent_device_has_its_deployment_queued(bare_sandbox: SandboxAccount, group: str, device: str) -> None:
    client = bare_sandbox.client("greengrassv2")
    bare_sandbox.ask(f"/vedette/devices/{device}", {"online": False})
    deploy(bare_sandbox, group)

    def state() -> str:
        (one,) = client.list_effective_deployments(coreDeviceThingName=device)["effectiveDeployments"]
        return str(one["coreDeviceExecutionStatus"])

    assert state() == "QUEUED"
    bare_sandbox.ask(f"/vedette/devices/{device}", {"holds": True})
    assert state() == "IN_PROGRESS"
    bare_sandbox.ask(f"/vedette/devices/{device}", {})
    assert state() == "SUCCEEDED"


def test_the_job_of_a_deployment_counts_devices(bare_sandbox: SandboxAccount, group: str, device: str) -> None:
    iot, client, name = bare_sandbox.client("iot"), bare_sandbox.client("greengrassv2"), component(bare_sandbox)
    silent = fresh("cam")
    iot.create_thing(thingName=silent)
    iot.add_thing_to_thing_group(thingName=silent, thingGroupName=group.rpartition("/")[2])

    def counts(deployment: str) -> tuple[str, dict[str, int]]:
        job = iot.describe_job(jobId=client.get_deployment(deploymentId=deployment)["iotJobId"])["job"]
        details = job["jobProcessDetails"]
        return job["status"], {key[8:-6]: value for key, value in details.items() if value}

    bare_sandbox.ask(f"/vedette/devices/{device}", {"holds": True})
    first = client.create_deployment(targetArn=group, components={name: {"componentVersion": "1.0.0"}})["deploymentId"]
    assert counts(first) == ("IN_PROGRESS", {"InProgress": 1, "Queued": 1})
    bare_sandbox.ask(f"/vedette/devices/{device}", {})
    assert counts(first) == ("IN_PROGRESS", {"Succeeded": 1, "Queued": 1})
    bare_sandbox.ask(f"/vedette/devices/{device}", {"fails": {name: "*"}})
    second = client.create_deployment(targetArn=group, components={name: {"componentVersion": "1.0.0"}})["deploymentId"]
    assert counts(first) == ("CANCELED", {"Succeeded": 1, "Canceled": 1})
    assert counts(second) == ("IN_PROGRESS", {"Failed": 1, "Queued": 1})
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_job(jobId="none")


def test_a_behaviour_that_does_not_exist_is_refused(bare_sandbox: SandboxAccount, device: str) -> None:
    with pytest.raises(Exception, match="colour='red' is no behaviour"):
        bare_sandbox.ask(f"/vedette/devices/{device}", {"colour": "red"})


def test_other_operations_say_that_they_are_not_emulated(bare_sandbox: SandboxAccount) -> None:
    client = bare_sandbox.client("greengrassv2")
    with pytest.raises(client.exceptions.ClientError, match="not emulated"):
        client.resolve_component_candidates(componentCandidates=[])


HOOK = """
def handle(event, context):
    assert event["parameters"]["Token"] != "crash"
    return {
        "allowProvisioning": event["parameters"]["Token"] == "right",
        "parameterOverrides": {"ThingName": "cam-" + event["parameters"]["Serial"]},
    }
"""
BODY = {
    "Parameters": {"Serial": {"Type": "String"}, "Token": {"Type": "String"}, "ThingName": {"Type": "String"}},
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {
                "ThingName": {"Ref": "ThingName"},
                "ThingGroups": [{"Ref": "Group"}],
                "AttributePayload": {"serial": {"Fn::Join": ["", ["s-", {"Ref": "Serial"}]]}},
            },
        },
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"},
        },
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "device"}},
    },
}


@pytest.fixture(scope="module")
def claim(bare_sandbox: SandboxAccount) -> str:
    """A provisioning template with a hook, from CloudFormation."""
    name = fresh("claim")
    role = {"Version": "2012-10-17", "Statement": []}
    get = {"Fn::GetAtt": ["Hook", "Arn"]}
    made = {
        "Role": ("IAM::Role", {"AssumeRolePolicyDocument": role}),
        "Device": (
            "IoT::Policy",
            {"PolicyName": "device", "PolicyDocument": {"Version": "2012-10-17", "Statement": []}},
        ),
        "Hook": (
            "Lambda::Function",
            {
                "FunctionName": f"{name}-hook",
                "Code": {"ZipFile": HOOK},
                "Handler": "index.handle",
                "Runtime": "python3.13",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            },
        ),
        "May": (
            "Lambda::Permission",
            {"FunctionName": get, "Action": "lambda:InvokeFunction", "Principal": "iot.amazonaws.com"},
        ),
        "Template": (
            "IoT::ProvisioningTemplate",
            {
                "TemplateName": name,
                "Enabled": True,
                "ProvisioningRoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                "TemplateBody": json.dumps(BODY),
                "PreProvisioningHook": {"TargetArn": get, "PayloadVersion": "2020-04-01"},
            },
        ),
    }
    resources = {key: {"Type": f"AWS::{kind}", "Properties": about} for key, (kind, about) in made.items()}
    resources["Template"]["DependsOn"] = ["May"]
    bare_sandbox.client("cloudformation").create_stack(
        StackName=name, TemplateBody=json.dumps({"Resources": resources})
    )
    return name


def test_a_device_registers_with_the_hooks_consent(bare_sandbox: SandboxAccount, claim: str, group: str) -> None:
    serial, ring = fresh("n"), group.rpartition("/")[2]
    given = {"Serial": serial, "Token": "right", "Group": ring}
    made = bare_sandbox.ask(f"/vedette/provision/{claim}", {"parameters": given})
    iot = bare_sandbox.client("iot")
    assert made["thingName"] == f"cam-{serial}"
    assert iot.describe_thing(thingName=made["thingName"])["attributes"] == {"serial": f"s-{serial}"}
    assert made["thingName"] in iot.list_things_in_thing_group(thingGroupName=ring)["things"]
    certificate = iot.describe_certificate(certificateId=made["certificateId"])["certificateDescription"]
    assert certificate["status"] == "ACTIVE"
    attached = iot.list_attached_policies(target=certificate["certificateArn"])["policies"]
    assert [one["policyName"] for one in attached] == ["device"]
    assert "PRIVATE KEY" in made["privateKey"]


@pytest.mark.parametrize("token", ["wrong", "crash"])
def test_whatever_the_hook_does_but_allow_is_a_refusal(
    bare_sandbox: SandboxAccount, claim: str, group: str, token: str
) -> None:
    iot = bare_sandbox.client("iot")
    before = len(iot.list_certificates(pageSize=250)["certificates"])
    given = {"Serial": fresh("n"), "Token": token, "Group": group.rpartition("/")[2]}
    with pytest.raises(Exception, match="hook validation failed"):
        bare_sandbox.ask(f"/vedette/provision/{claim}", {"parameters": given})
    assert len(iot.list_certificates(pageSize=250)["certificates"]) == before


def test_a_template_is_described_changed_and_switched_off(bare_sandbox: SandboxAccount, claim: str) -> None:
    iot = bare_sandbox.client("iot")
    assert claim in [one["templateName"] for one in iot.list_provisioning_templates()["templates"]]
    assert iot.describe_provisioning_template(templateName=claim)["preProvisioningHook"]["targetArn"]
    assert iot.create_provisioning_claim(templateName=claim)["keyPair"]["PrivateKey"]
    iot.update_provisioning_template(templateName=claim, enabled=False)
    with pytest.raises(Exception, match="not enabled"):
        bare_sandbox.ask(f"/vedette/provision/{claim}", {"parameters": {}})
    iot.update_provisioning_template(templateName=claim, enabled=True)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "cannot be read"),
        (json.dumps({"Resources": {"a": {"Type": "AWS::S3::Bucket"}}}), "not emulated"),
        (json.dumps({"Resources": {"a": {"Type": "AWS::IoT::Thing"}}}), "needs one AWS::IoT::Certificate"),
    ],
)
def test_a_template_that_cannot_work_is_refused(bare_sandbox: SandboxAccount, body: str, said: str) -> None:
    iot = bare_sandbox.client("iot")
    with pytest.raises(iot.exceptions.InvalidRequestException, match=said):
        iot.create_provisioning_template(
            templateName=fresh("t"), templateBody=body, provisioningRoleArn="arn:aws:iam::123456789012:role/x"
        )
