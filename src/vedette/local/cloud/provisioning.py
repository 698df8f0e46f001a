"""Fleet provisioning by claim: templates, claims, and a device's registration with the template's hook.

What a device does by MQTT in AWS (``$aws/certificates/create/json``, then
``$aws/provisioning-templates/<t>/provision/json``) is one request here, ``POST /vedette/provision/<template>``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError

from vedette.local.cloud.api import ApiError, Request, Route, route
from vedette.local.cloud.greengrass import Greengrass
from vedette.local.cloud.provisioning_body import Template, read_body
from vedette.local.cloud.world import ACCOUNT, World

#: How long a claim made by ``CreateProvisioningClaim`` is good for.
_CLAIM: Final = timedelta(minutes=5)


@dataclass
class Templates:
    """All provisioning templates, by name, and claims."""

    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    claims: dict[str, datetime] = field(default_factory=dict)

    def one(self, name: str) -> dict[str, Any]:
        """A template.

        Raises:
            ApiError: there is none.
        """
        if name not in self.templates:
            raise ApiError("ResourceNotFoundException", f"The provisioning template {name} does not exist.", 404)
        return self.templates[name]


def install(world: World) -> None:
    """Begin with no templates."""
    world.put(Templates())


def _create(world: World, request: Request) -> tuple[int, Any]:
    body = dict(request.body)
    name, kept = str(body["templateName"]), world.part(Templates).templates
    if name in kept:
        raise ApiError("ResourceAlreadyExistsException", f"The provisioning template {name} exists.", 409)
    read_body(body["templateBody"])
    _check_hook(world, body)
    arn = f"arn:aws:iot:{world.region}:{ACCOUNT}:provisioningtemplate/{name}"
    at = time.time()
    kept[name] = {
        "type": "FLEET_PROVISIONING",
        "enabled": False,
        **body,
        "templateArn": arn,
        "defaultVersionId": 1,
        "creationDate": at,
        "lastModifiedDate": at,
    }
    return 200, {"templateArn": arn, "templateName": name, "defaultVersionId": 1}


def _check_hook(world: World, body: dict[str, Any]) -> None:
    hook = body.get("preProvisioningHook")
    if not hook:
        return
    try:
        policy = world.client("lambda").get_policy(FunctionName=hook["targetArn"])["Policy"]
    except ClientError as error:
        raise ApiError("InvalidRequestException", f"The hook {hook['targetArn']}: {error}") from None
    allowed = [one.get("Principal") for one in json.loads(policy)["Statement"] if one["Effect"] == "Allow"]
    if not any("iot.amazonaws.com" in str(principal) for principal in allowed):
        message = f"The hook {hook['targetArn']} does not allow iot.amazonaws.com to invoke it."
        raise ApiError("InvalidRequestException", message)


def _list(world: World, _: Request) -> tuple[int, Any]:
    shown = ("templateArn", "templateName", "description", "creationDate", "lastModifiedDate", "enabled", "type")
    found = world.part(Templates).templates.values()
    return 200, {"templates": [{key: one[key] for key in shown if key in one} for one in found]}


def _describe(world: World, request: Request) -> tuple[int, Any]:
    return 200, {k: v for k, v in world.part(Templates).one(request.arguments["name"]).items() if k != "tags"}


def _update(world: World, request: Request) -> tuple[int, Any]:
    one = world.part(Templates).one(request.arguments["name"])
    changes = dict(request.body)
    if changes.pop("removePreProvisioningHook", False):
        one.pop("preProvisioningHook", None)
    _check_hook(world, changes)
    one.update(changes, lastModifiedDate=time.time())
    return 200, {}


def _version(world: World, request: Request) -> tuple[int, Any]:
    one = world.part(Templates).one(request.arguments["name"])
    read_body(request.body["templateBody"])
    version = one.get("versions", 1) + 1
    is_default = request.query.get("setAsDefault", "false").lower() == "true"
    one["versions"] = version
    if is_default:
        one.update(templateBody=request.body["templateBody"], defaultVersionId=version)
    about = {"templateArn": one["templateArn"], "templateName": one["templateName"]}
    return 200, {**about, "versionId": version, "isDefaultVersion": is_default}


def _delete(world: World, request: Request) -> tuple[int, Any]:
    del world.part(Templates).templates[world.part(Templates).one(request.arguments["name"])["templateName"]]
    return 200, {}


def _claim(world: World, request: Request) -> tuple[int, Any]:
    templates = world.part(Templates)
    templates.one(request.arguments["name"])
    made = world.client("iot").create_keys_and_certificate(setAsActive=True)
    expires = datetime.now(UTC) + _CLAIM
    templates.claims[made["certificateId"]] = expires
    return 200, {
        "certificateId": made["certificateId"],
        "certificatePem": made["certificatePem"],
        "keyPair": made["keyPair"],
        "expiration": expires.timestamp(),
    }


def _provision(world: World, request: Request) -> tuple[int, Any]:
    """A device's registration: ``{parameters, clientId?, claimCertificateId?}``."""
    templates = world.part(Templates)
    template = templates.one(request.arguments["name"])
    if not template["enabled"]:
        raise ApiError("InvalidRequestException", f"The template {template['templateName']} is not enabled.")
    claim = str(request.body.get("claimCertificateId", ""))
    if claim in templates.claims and templates.claims[claim] < datetime.now(UTC):
        raise ApiError("UnauthorizedException", f"The claim {claim} has expired.", 401)
    parameters = {str(k): str(v) for k, v in (request.body.get("parameters") or {}).items()}
    iot = world.client("iot")
    made = iot.create_keys_and_certificate(setAsActive=False)
    try:
        about = {"claimCertificateId": claim, "clientId": str(request.body.get("clientId", ""))}
        parameters |= _asked(world, template, made, parameters, about)
        thing, configuration = _carry_out(world, read_body(template["templateBody"]), made, parameters)
    except Exception:
        iot.delete_certificate(certificateId=made["certificateId"], forceDelete=True)
        raise
    world.part(Greengrass).join(thing)
    world.note("provisioned", thing=thing, template=template["templateName"])
    return 200, {
        "thingName": thing,
        "certificateId": made["certificateId"],
        "certificatePem": made["certificatePem"],
        "privateKey": made["keyPair"]["PrivateKey"],
        "deviceConfiguration": configuration,
    }


def _asked(
    world: World, template: dict[str, Any], made: dict[str, Any], parameters: dict[str, str], about: dict[str, str]
) -> dict[str, str]:
    """What the hook adds to the parameters; whatever it does but allow is a refusal."""
    hook = template.get("preProvisioningHook")
    if not hook:
        return {}
    event = {
        **about,
        "certificateId": made["certificateId"],
        "certificatePem": made["certificatePem"],
        "templateArn": template["templateArn"],
        "parameters": parameters,
    }
    answer = world.client("lambda").invoke(FunctionName=hook["targetArn"], Payload=json.dumps(event).encode())
    said = json.loads(answer["Payload"].read() or b"null")
    if "FunctionError" in answer or not isinstance(said, dict) or said.get("allowProvisioning") is not True:
        raise ApiError("AccessDeniedException", "Pre-provisioning hook validation failed.", 403)
    return {str(k): str(v) for k, v in (said.get("parameterOverrides") or {}).items()}


def _carry_out(
    world: World, template: Template, made: dict[str, Any], parameters: dict[str, str]
) -> tuple[str, dict[str, Any]]:
    """Make what the template describes; the thing's name and the device's configuration."""
    iot = world.client("iot")
    known = {**parameters, "AWS::IoT::Certificate::Id": made["certificateId"], "AWS::Region": world.region}
    filled = template.filled(known)
    thing = filled.thing
    name = thing["ThingName"]
    about: dict[str, Any] = {
        "attributePayload": {"attributes": {k: str(v) for k, v in (thing.get("AttributePayload") or {}).items()}}
    }
    if "ThingTypeName" in thing:
        about["thingTypeName"] = thing["ThingTypeName"]
    try:
        iot.create_thing(thingName=name, **about)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
            raise ApiError("InvalidRequestException", str(error)) from None
        _override(iot, name, about, filled.overrides)
    try:
        for group in thing.get("ThingGroups") or []:
            iot.add_thing_to_thing_group(thingName=name, thingGroupName=group)
        iot.attach_thing_principal(thingName=name, principal=made["certificateArn"])
        for policy in filled.policies:
            iot.attach_policy(policyName=policy, target=made["certificateArn"])
    except ClientError as error:
        raise ApiError("InvalidRequestException", str(error)) from None
    status = filled.certificate.get("Status", "ACTIVE").upper()
    iot.update_certificate(certificateId=made["certificateId"], newStatus=status)
    return name, filled.configuration


def _override(iot: Any, name: str, about: dict[str, Any], wanted: Mapping[str, str]) -> None:
    """What becomes of a thing that is there already, by the template's ``OverrideSettings``; nothing by default."""
    if "FAIL" in wanted.values():
        raise ApiError("ResourceAlreadyExistsException", f"The thing {name} exists.", 409)
    names = {"AttributePayload": "attributePayload", "ThingTypeName": "thingTypeName"}
    changes = {names[key]: about[names[key]] for key in names if wanted.get(key) == "REPLACE" and names[key] in about}
    if changes:
        iot.update_thing(thingName=name, **changes)
    if wanted.get("ThingGroups") == "REPLACE":
        for group in iot.list_thing_groups_for_thing(thingName=name)["thingGroups"]:
            iot.remove_thing_from_thing_group(thingName=name, thingGroupName=group["groupName"])


_BASE: Final = "/provisioning-templates"
ROUTES: tuple[Route, ...] = (
    route("POST", _BASE, _create),
    route("GET", _BASE, _list),
    route("GET", f"{_BASE}/{{name}}", _describe),
    route("PATCH", f"{_BASE}/{{name}}", _update),
    route("DELETE", f"{_BASE}/{{name}}", _delete),
    route("POST", f"{_BASE}/{{name}}/versions", _version),
    route("POST", f"{_BASE}/{{name}}/provisioning-claim", _claim),
    route("POST", "/vedette/provision/{name}", _provision),
)
