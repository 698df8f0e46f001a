"""Resource types of IoT Core and Greengrass."""

from __future__ import annotations

import re
from typing import Any, Final

from vedette.local.cloud.resources import (
    Kind,
    Made,
    Properties,
    Update,
    answered,
    arn,
    lower_first,
    requested,
    tags_map,
    without,
)

#: Versions of a policy that IoT keeps.
_POLICY_VERSIONS: Final = 5
#: Below these, keys are names of the owner's and keep their case.
_OWN_NAMES: Final = frozenset({"Components", "Attributes", "Tags"})


def _thing_group(properties: Properties, name: str) -> dict[str, Any]:
    given = {"ThingGroupName": name, **without(properties, "Tags")}
    about = lower_first(given.pop("ThingGroupProperties", {}), frozenset({"Attributes"}))
    return {**lower_first(given), "thingGroupProperties": about}


def _topic_rule(properties: Properties, name: str) -> dict[str, Any]:
    payload = lower_first(properties["TopicRulePayload"])
    return {"ruleName": properties.get("RuleName", re.sub(r"\W", "_", name)), "topicRulePayload": payload}


def _replace_rule(client: Any, _: Made, request: Any) -> None:
    client.replace_topic_rule(ruleName=request["ruleName"], topicRulePayload=request["topicRulePayload"])


def _template(properties: Properties, name: str) -> dict[str, Any]:
    given = {"TemplateName": name, **without(properties, "Tags", "TemplateType")}
    return {**lower_first(given), "type": properties.get("TemplateType", "FLEET_PROVISIONING")}


def _update_template(client: Any, made: Made, request: Any) -> None:
    name = made.request["templateName"]
    if request["templateBody"] != made.request["templateBody"]:
        client.create_provisioning_template_version(
            templateName=name, templateBody=request["templateBody"], setAsDefault=True
        )
    changes = {
        k: request[k] for k in ("description", "enabled", "provisioningRoleArn", "preProvisioningHook") if k in request
    }
    client.update_provisioning_template(templateName=name, **changes)


def _component(properties: Properties, _: str) -> dict[str, Any]:
    source = (
        {"inlineRecipe": properties["InlineRecipe"]}
        if "InlineRecipe" in properties
        else {"lambdaFunction": lower_first(properties["LambdaFunction"])}
    )
    return {**source, "tags": tags_map(properties)}


def _deployment(properties: Properties, _: str) -> dict[str, Any]:
    components = {name: lower_first(c) for name, c in properties.get("Components", {}).items()}
    rest = lower_first(without(properties, "Components", "Tags"), _OWN_NAMES)
    return {**rest, "components": components, "tags": tags_map(properties)}


def _end_deployment(client: Any, made: Made) -> None:
    identity = made.answer["deploymentId"]
    if client.get_deployment(deploymentId=identity)["deploymentStatus"] == "ACTIVE":
        client.cancel_deployment(deploymentId=identity)
    client.delete_deployment(deploymentId=identity)


def _change_policy(client: Any, made: Made, request: Any) -> None:
    """A new version, which counts; of the five that AWS keeps, the oldest goes."""
    name = made.answer["policyName"]
    versions = client.list_policy_versions(policyName=name)["policyVersions"]
    if len(versions) >= _POLICY_VERSIONS:
        oldest = min((one for one in versions if not one["isDefaultVersion"]), key=lambda one: int(one["versionId"]))
        client.delete_policy_version(policyName=name, policyVersionId=oldest["versionId"])
    client.create_policy_version(policyName=name, policyDocument=request["policyDocument"], setAsDefault=True)


KINDS: Final = (
    # moto keeps a template's document as Python writes it, which nothing can read.
    Kind(
        "AWS::IoT::Policy",
        "iot",
        "CreatePolicy",
        lambda properties, name: {"policyName": name, "policyDocument": properties["PolicyDocument"]},
        answered("policyName"),
        lambda client, made: client.delete_policy(policyName=made.answer["policyName"]),
        name="PolicyName",
        attributes={
            "Arn": answered("policyArn"),
            "Id": answered("policyName"),
        },
        update=_change_policy,
    ),
    Kind(
        "AWS::IoT::ThingGroup",
        "iot",
        "CreateThingGroup",
        _thing_group,
        answered("thingGroupName"),
        lambda client, made: client.delete_thing_group(thingGroupName=made.answer["thingGroupName"]),
        name="ThingGroupName",
        attributes={
            "Arn": answered("thingGroupArn"),
            "Id": answered("thingGroupId"),
        },
        update=lambda client, made, request: client.update_thing_group(
            thingGroupName=made.answer["thingGroupName"], thingGroupProperties=request["thingGroupProperties"]
        ),
    ),
    Kind(
        "AWS::IoT::TopicRule",
        "iot",
        "CreateTopicRule",
        _topic_rule,
        requested("ruleName"),
        lambda client, made: client.delete_topic_rule(ruleName=made.request["ruleName"]),
        name="RuleName",
        attributes={"Arn": lambda made: arn(made, "iot", f"rule/{made.request['ruleName']}")},
        update=_replace_rule,
    ),
    Kind(
        "AWS::IoT::ProvisioningTemplate",
        "iot",
        "CreateProvisioningTemplate",
        _template,
        answered("templateName"),
        lambda client, made: client.delete_provisioning_template(templateName=made.answer["templateName"]),
        name="TemplateName",
        attributes={"TemplateArn": answered("templateArn")},
        update=_update_template,
    ),
    Kind(
        "AWS::IoT::Logging",
        "iot",
        "SetV2LoggingOptions",
        lambda properties, _: {"roleArn": properties["RoleArn"], "defaultLogLevel": properties["DefaultLogLevel"]},
        lambda made: made.account,
        update=Update.AGAIN,
    ),
    Kind(
        "AWS::GreengrassV2::ComponentVersion",
        "greengrassv2",
        "CreateComponentVersion",
        _component,
        answered("arn"),
        lambda client, made: client.delete_component(arn=made.answer["arn"]),
        attributes={
            "Arn": answered("arn"),
            "ComponentName": answered("componentName"),
            "ComponentVersion": answered("componentVersion"),
        },
    ),
    Kind(
        "AWS::GreengrassV2::Deployment",
        "greengrassv2",
        "CreateDeployment",
        _deployment,
        answered("deploymentId"),
        _end_deployment,
        attributes={"DeploymentId": answered("deploymentId")},
    ),
)
