"""AWS IoT Greengrass V2: component versions, deployments to groups and things, and what simulated devices make of them.

A simulated device is a thing that was registered here by fleet provisioning or declared at ``POST
/vedette/devices/<thing>``; it takes the newest deployment of each group that it belongs to.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from vedette.local.cloud.api import ApiError, Request, Route, route
from vedette.local.cloud.component_versions import Components
from vedette.local.cloud.simulated_devices import Device, Execution, behaviour
from vedette.local.cloud.world import ACCOUNT, World

_POLICIES: Final = ("components", "deploymentPolicies", "iotJobConfiguration", "parentTargetArn", "tags")


@dataclass
class Deployment:
    """One revision for one target."""

    identity: str
    target: str
    name: str
    given: dict[str, Any]
    created: float
    status: str = "ACTIVE"

    @property
    def components(self) -> dict[str, str]:
        """Version of each component."""
        return {name: one["componentVersion"] for name, one in self.given.get("components", {}).items()}


@dataclass
class Greengrass:
    """The service's state."""

    world: World
    components: Components
    deployments: dict[str, Deployment] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)

    def create(self, body: dict[str, Any]) -> Deployment:
        """A new deployment, which takes the place of its target's last.

        Raises:
            ApiError: the target or a component does not exist.
        """
        target = str(body.get("targetArn", ""))
        self._check_target(target)
        for name, chosen in (body.get("components") or {}).items():
            version = chosen.get("componentVersion")
            if not version:
                raise ApiError("ValidationException", f"The component {name} has no componentVersion.")
            # AWS's own components are public; which versions of them there are is not known here.
            if not name.startswith("aws.") and not self.components.has(name, version):
                raise ApiError("ResourceNotFoundException", f"Component {name} version {version} does not exist.", 404)
        last = self.latest(target)
        if last is not None and last.status == "ACTIVE":
            last.status = "INACTIVE"
        kept: dict[str, Any] = {key: body[key] for key in _POLICIES if key in body}
        made = Deployment(str(uuid.uuid4()), target, str(body.get("deploymentName", "")), kept, time.time())
        self.deployments[made.identity] = made
        self.world.note("deployment", target=target, deployment=made.identity, components=made.components)
        self.world.later("greengrass", self.settle)
        return made

    def _check_target(self, target: str) -> None:
        from moto.iot.models import iot_backends

        iot = iot_backends[ACCOUNT][self.world.region]
        kind = target.rpartition(":")[2].partition("/")[0]
        known = {"thing": iot.things, "thinggroup": iot.thing_groups}.get(kind)
        if known is None or target not in {one.arn for one in known.values()}:
            raise ApiError("ResourceNotFoundException", f"The target {target!r} does not exist.", 404)

    def latest(self, target: str) -> Deployment | None:
        """The newest deployment of a target."""
        found = [one for one in self.deployments.values() if one.target == target]
        return found[-1] if found else None

    def deployment(self, identity: str) -> Deployment:
        """One deployment.

        Raises:
            ApiError: there is none.
        """
        if identity not in self.deployments:
            raise ApiError("ResourceNotFoundException", f"The deployment {identity} does not exist.", 404)
        return self.deployments[identity]

    def device(self, thing: str) -> Device:
        """One device.

        Raises:
            ApiError: there is none.
        """
        if thing not in self.devices:
            raise ApiError("ResourceNotFoundException", f"The core device {thing} does not exist.", 404)
        return self.devices[thing]

    def join(self, thing: str) -> Device:
        """A device that is here from now on."""
        return self.devices.setdefault(thing, Device(thing))

    def targets(self, thing: str) -> list[str]:
        """What a thing takes deployments for: itself and its groups."""
        groups = self.world.client("iot").list_thing_groups_for_thing(thingName=thing)["thingGroups"]
        own = f"arn:aws:iot:{self.world.region}:{ACCOUNT}:thing/{thing}"
        return [own, *(group["groupArn"] for group in groups)]

    def settle(self) -> None:
        """Let every device take what is meant for it; a device whose thing is gone goes as well."""
        from moto.iot.models import iot_backends

        things = {one.thing_name for one in iot_backends[ACCOUNT][self.world.region].things.values()}
        for device in list(self.devices.values()):
            if device.thing in things:
                self.settle_device(device)
            else:
                del self.devices[device.thing]

    def settle_device(self, device: Device) -> list[Execution]:
        """Let a device take the newest deployment of each of its targets; what it made of them."""
        found = []
        for target in self.targets(device.thing):
            newest = self.latest(target)
            if newest is None or newest.status not in ("ACTIVE", "COMPLETED"):
                continue
            before = device.executions.get(newest.identity)
            execution = device.take(newest.identity, target, newest.components)
            if execution != before and execution.over:
                self._tell(device, execution)
                if target.rpartition(":")[2].startswith("thing/"):
                    newest.status = "COMPLETED" if execution.status == "SUCCEEDED" else "FAILED"
            found.append(execution)
        return found

    def _tell(self, device: Device, execution: Execution) -> None:
        detail = {
            "coreDeviceThingName": device.thing,
            "deploymentId": execution.deployment,
            "effectiveDeploymentStatus": execution.status,
            "reason": execution.reason,
        }
        entry = {"Source": "aws.greengrass", "DetailType": "Greengrass V2 Effective Deployment Status Change"}
        self.world.client("events").put_events(Entries=[entry | {"Detail": json.dumps(detail)}])


def _of(world: World) -> Greengrass:
    return world.part(Greengrass)


def _create_component(world: World, request: Request) -> tuple[int, Any]:
    return 201, _of(world).components.create(dict(request.body))


def _list_components(world: World, request: Request) -> tuple[int, Any]:
    if request.query.get("scope") == "PUBLIC":
        return 200, {"components": []}
    return 200, {"components": _of(world).components.newest()}


def _list_versions(world: World, request: Request) -> tuple[int, Any]:
    return 200, {"componentVersions": _of(world).components.versions(request.arguments["arn"])}


def _get_component(world: World, request: Request) -> tuple[int, Any]:
    return 200, _of(world).components.recipe(request.arguments["arn"])


def _describe_component(world: World, request: Request) -> tuple[int, Any]:
    return 200, _of(world).components.describe(request.arguments["arn"])


def _delete_component(world: World, request: Request) -> tuple[int, Any]:
    _of(world).components.delete(request.arguments["arn"])
    return 204, {}


def _create_deployment(world: World, request: Request) -> tuple[int, Any]:
    made = _of(world).create(dict(request.body))
    return 201, {"deploymentId": made.identity, **_job(world, made)}


def _job(world: World, made: Deployment) -> dict[str, str]:
    return {"iotJobId": made.identity, "iotJobArn": f"arn:aws:iot:{world.region}:{ACCOUNT}:job/{made.identity}"}


def _summary(world: World, one: Deployment) -> dict[str, Any]:
    return {
        "targetArn": one.target,
        "deploymentId": one.identity,
        "revisionId": str(list(_of(world).deployments).index(one.identity) + 1),
        "deploymentName": one.name,
        "creationTimestamp": one.created,
        "deploymentStatus": one.status,
        "isLatestForTarget": _of(world).latest(one.target) is one,
    }


def _list_deployments(world: World, request: Request) -> tuple[int, Any]:
    """Newest first. As in AWS, only the latest of each target unless all are asked for."""
    found = [_summary(world, one) for one in reversed(_of(world).deployments.values())]
    if target := request.query.get("targetArn"):
        found = [one for one in found if one["targetArn"] == target]
    if request.query.get("historyFilter", "LATEST_ONLY") != "ALL":
        found = [one for one in found if one["isLatestForTarget"]]
    return 200, {"deployments": found}


def _get_deployment(world: World, request: Request) -> tuple[int, Any]:
    one = _of(world).deployment(request.arguments["id"])
    return 200, {**one.given, **_summary(world, one), **_job(world, one)}


def _cancel_deployment(world: World, request: Request) -> tuple[int, Any]:
    one = _of(world).deployment(request.arguments["id"])
    if one.status != "ACTIVE":
        raise ApiError("ConflictException", f"The deployment {one.identity} is {one.status}, not ACTIVE.", 409)
    one.status = "CANCELED"
    return 200, {"message": "Deployment canceled"}


def _delete_deployment(world: World, request: Request) -> tuple[int, Any]:
    one = _of(world).deployment(request.arguments["id"])
    if one.status == "ACTIVE":
        raise ApiError("ConflictException", f"The deployment {one.identity} is active; cancel it first.", 409)
    del _of(world).deployments[one.identity]
    return 204, {}


def _core_device(device: Device) -> dict[str, Any]:
    status = "UNHEALTHY" if device.unhealthy else "HEALTHY"
    return {"coreDeviceThingName": device.thing, "status": status, "lastStatusUpdateTimestamp": device.changed}


def _list_devices(world: World, request: Request) -> tuple[int, Any]:
    greengrass = _of(world)
    greengrass.settle()
    found = [_core_device(device) for device in greengrass.devices.values()]
    if group := request.query.get("thingGroupArn"):
        found = [one for one in found if group in greengrass.targets(one["coreDeviceThingName"])]
    if status := request.query.get("status"):
        found = [one for one in found if one["status"] == status]
    return 200, {"coreDevices": found}


def _get_device(world: World, request: Request) -> tuple[int, Any]:
    device = _of(world).device(request.arguments["thing"])
    about = {"coreVersion": "2.0.0", "platform": "linux", "architecture": "amd64", "runtime": "simulated", "tags": {}}
    return 200, {**_core_device(device), **about}


def _effective(world: World, request: Request) -> tuple[int, Any]:
    greengrass = _of(world)
    device = greengrass.device(request.arguments["thing"])
    found = [
        {
            "deploymentId": one.deployment,
            "deploymentName": greengrass.deployments[one.deployment].name,
            **_job(world, greengrass.deployments[one.deployment]),
            "targetArn": one.target,
            "coreDeviceExecutionStatus": one.status,
            "reason": one.reason,
            "creationTimestamp": greengrass.deployments[one.deployment].created,
            "modifiedTimestamp": one.at,
        }
        for one in greengrass.settle_device(device)
    ]
    return 200, {"effectiveDeployments": found}


def _installed(world: World, request: Request) -> tuple[int, Any]:
    greengrass = _of(world)
    device = greengrass.device(request.arguments["thing"])
    greengrass.settle_device(device)
    found = [
        {"componentName": name, "componentVersion": version, "lifecycleState": "RUNNING", "isRoot": True}
        for name, version in sorted(device.installed().items())
    ]
    return 200, {"installedComponents": found}


def _delete_device(world: World, request: Request) -> tuple[int, Any]:
    greengrass = _of(world)
    del greengrass.devices[greengrass.device(request.arguments["thing"]).thing]
    return 204, {}


def _set_device(world: World, request: Request) -> tuple[int, Any]:
    """Declare a device, or say how it behaves from now on."""
    thing = request.arguments["thing"]
    world.client("iot").describe_thing(thingName=thing)
    greengrass = _of(world)
    device = greengrass.join(thing)
    device.behave(behaviour(request.body))
    greengrass.settle_device(device)
    return 200, device.described()


def _not_emulated(_: World, request: Request) -> tuple[int, Any]:
    raise ApiError("NotImplemented", f"{request.method} {request.path} is not emulated.", 501)


_BASE: Final = "/greengrass/v2"
ROUTES: tuple[Route, ...] = (
    route("POST", f"{_BASE}/createComponentVersion", _create_component),
    route("GET", f"{_BASE}/components", _list_components),
    route("GET", f"{_BASE}/components/{{arn}}", _get_component),
    route("DELETE", f"{_BASE}/components/{{arn}}", _delete_component),
    route("GET", f"{_BASE}/components/{{arn}}/versions", _list_versions),
    route("GET", f"{_BASE}/components/{{arn}}/metadata", _describe_component),
    route("POST", f"{_BASE}/deployments", _create_deployment),
    route("GET", f"{_BASE}/deployments", _list_deployments),
    route("GET", f"{_BASE}/deployments/{{id}}", _get_deployment),
    route("DELETE", f"{_BASE}/deployments/{{id}}", _delete_deployment),
    route("POST", f"{_BASE}/deployments/{{id}}/cancel", _cancel_deployment),
    route("GET", f"{_BASE}/coreDevices", _list_devices),
    route("GET", f"{_BASE}/coreDevices/{{thing}}", _get_device),
    route("DELETE", f"{_BASE}/coreDevices/{{thing}}", _delete_device),
    route("GET", f"{_BASE}/coreDevices/{{thing}}/effectiveDeployments", _effective),
    route("GET", f"{_BASE}/coreDevices/{{thing}}/installedComponents", _installed),
    *(route(method, f"{_BASE}/{{rest*}}", _not_emulated) for method in ("GET", "POST", "PUT", "DELETE")),
    route("POST", "/vedette/devices/{thing}", _set_device),
)


def install(world: World) -> None:
    """Begin with no components and no devices."""
    world.put(Greengrass(world, Components(world)))
