"""Provisioning by claim: a machine with the bundle's claim certificate becomes the device it was registered as."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from aws_cdk import Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs import device_policy
from infra.constructs.device_policy import Place
from infra.constructs.function import FunctionProps, VedetteFunction
from infra.constructs.grants import allow_table
from infra.constructs.reasons import accept
from infra.settings import Settings
from infra.stacks.storage import StorageStack
from vedette.contracts.account import CLAIM_CLIENT, CLAIM_UUID, THING_TYPE, provisioning_template
from vedette.contracts.functions import ClaimSettings

#: Told by the machine, and by the hook in its place.
_PARAMETERS: Final = ("SerialNumber", "Token", "ThingName", "Fleet", "Ring", "Site", "RingGroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningProps:
    """What provisioning needs.

    Attributes:
        settings: of the stage.
        storage: for the keys.
        registrations: table of who may become a device.
        policies: names of the IoT policies of a device.
    """

    settings: Settings
    storage: StorageStack
    registrations: dynamodb.Table
    policies: tuple[str, ...]


class Provisioning(Construct):
    """The template, its hook, and the policy of claim certificates, which the owner makes."""

    def __init__(self, scope: Construct, construct_id: str, props: ProvisioningProps) -> None:
        super().__init__(scope, construct_id)
        stack = Stack.of(self)
        place = Place(stack.region, stack.account)
        name = provisioning_template(props.settings.stage)
        hook = self._hook(props, place.arn("iot", f"provisioningtemplate/{name}"))
        self.template = iot.CfnProvisioningTemplate(
            self,
            "Template",
            template_name=name,
            description="A registered machine becomes a device of its fleet",
            enabled=True,
            provisioning_role_arn=self._role(place, props.policies).role_arn,
            template_body=json.dumps(template_body(props.policies)),
            template_type="FLEET_PROVISIONING",
            pre_provisioning_hook=iot.CfnProvisioningTemplate.ProvisioningHookProperty(
                payload_version="2020-04-01", target_arn=hook.function.function_arn
            ),
        )
        # AWS IoT checks that it may call the hook when the template is made.
        permission = hook.function.node.find_child("Iot")
        assert isinstance(permission, lambda_.CfnPermission)
        self.template.add_resource_dependency(permission)
        self.claim_policy = iot.CfnPolicy(
            self,
            "ClaimPolicy",
            policy_name=name,
            policy_document={
                "Version": "2012-10-17",
                "Statement": device_policy.claim(place, name, (f"{CLAIM_CLIENT}*", CLAIM_UUID)),
            },
        )

    def _hook(self, props: ProvisioningProps, template_arn: str) -> VedetteFunction:
        hook = VedetteFunction(
            self,
            "Claim",
            FunctionProps(
                settings=props.settings,
                log_key=props.storage.keys.logs,
                folder="claim",
                environment=ClaimSettings(
                    stage=props.settings.stage, registrations_table=props.registrations.table_name
                ),
                description="Decides which machine becomes a device",
                # AWS IoT waits no longer.
                timeout_s=5,
            ),
        )
        allow_table(hook.role, props.registrations, props.storage.keys.tables, "GetItem", "UpdateItem")
        hook.function.add_permission(
            "Iot",
            principal=iam.ServicePrincipal("iot.amazonaws.com"),
            action="lambda:InvokeFunction",
            source_arn=template_arn,
            source_account=Stack.of(self).account,
        )
        return hook

    def _role(self, place: Place, policies: tuple[str, ...]) -> iam.Role:
        """Narrower than AWS's managed policy for it: our groups and policies only."""
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "iot.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": place.account}}
            ),
            description="Makes things of registered machines",
        )
        for actions, resources in _provisioning_rights(place, policies):
            role.add_to_policy(iam.PolicyStatement(actions=actions, resources=resources))
        ours = "AwsSolutions-IAM5[Resource::arn:aws:iot:<AWS::Region>:<AWS::AccountId>"
        why = "exist only when a machine asks"
        accept(
            role,
            {
                f"{ours}:thing/*]": f"Names of things {why}.",
                f"{ours}:cert/*]": f"Identifiers of certificates {why}.",
                f"{ours}:thinggroup/vedette-*]": "Groups of this project, whichever fleets and rings there are.",
            },
        )
        return role


def template_body(policies: tuple[str, ...]) -> dict[str, Any]:
    """The provisioning template's document."""
    resources: dict[str, Any] = {
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {
                "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
                "Status": "Active",
            },
        },
        "thing": {
            "Type": "AWS::IoT::Thing",
            # A device that is registered again may find its thing already there.
            "OverrideSettings": {"AttributePayload": "REPLACE", "ThingTypeName": "REPLACE", "ThingGroups": "REPLACE"},
            "Properties": {
                "ThingName": {"Ref": "ThingName"},
                "ThingTypeName": THING_TYPE,
                "ThingGroups": [{"Ref": "RingGroup"}],
                "AttributePayload": {
                    "serial": {"Ref": "SerialNumber"},
                    "fleet": {"Ref": "Fleet"},
                    "ring": {"Ref": "Ring"},
                    "site": {"Ref": "Site"},
                },
            },
        },
    }
    for number, policy in enumerate(policies):
        resources[f"policy{number}"] = {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": policy}}
    return {"Parameters": {name: {"Type": "String"} for name in _PARAMETERS}, "Resources": resources}


def _provisioning_rights(place: Place, policies: tuple[str, ...]) -> list[tuple[list[str], list[str]]]:
    thing = place.arn("iot", "thing/*")
    certificate = place.arn("iot", "cert/*")
    group = place.arn("iot", "thinggroup/vedette-*")
    kind = place.arn("iot", f"thingtype/{THING_TYPE}")
    ours = [place.arn("iot", f"policy/{name}") for name in policies]
    return [
        (["iot:CreateThing", "iot:UpdateThing"], [thing, kind]),
        (["iot:DescribeThing", "iot:ListThingGroupsForThing", "iot:ListThingPrincipals"], [thing]),
        (["iot:DescribeThingType"], [kind]),
        (["iot:AddThingToThingGroup", "iot:RemoveThingFromThingGroup"], [thing, group]),
        (["iot:DescribeThingGroup"], [group]),
        (["iot:UpdateThingGroupsForThing"], [thing]),
        (["iot:AttachThingPrincipal", "iot:DetachThingPrincipal"], [certificate, thing]),
        (["iot:DescribeCertificate", "iot:UpdateCertificate", "iot:ListAttachedPolicies"], [certificate]),
        (["iot:ListPrincipalPolicies", "iot:ListPrincipalThings"], [certificate]),
        (["iot:AttachPolicy", "iot:AttachPrincipalPolicy"], [certificate, *ours]),
        (["iot:GetPolicy", "iot:ListPolicyPrincipals", "iot:ListTargetsForPolicy"], ours),
    ]
