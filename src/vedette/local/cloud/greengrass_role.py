"""The role with which Greengrass checks who a device is: associated with the account, once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from vedette.local.cloud.api import ApiError, Request, Route, route
from vedette.local.cloud.world import World

_PATH: Final = "/greengrass/servicerole"


@dataclass
class ServiceRole:
    """The association."""

    arn: str = ""
    since: float = 0.0


def _get(world: World, _: Request) -> tuple[int, Any]:
    role = world.part(ServiceRole)
    if not role.arn:
        raise ApiError("ResourceNotFoundException", "No service role is associated with this account.", 404)
    return 200, {"RoleArn": role.arn, "AssociatedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(role.since))}


def _associate(world: World, request: Request) -> tuple[int, Any]:
    arn = str(request.body.get("RoleArn", ""))
    if not arn.startswith("arn:"):
        raise ApiError("ValidationException", f"{arn!r} is no role.")
    world.put(ServiceRole(arn, time.time()))
    return _get(world, request)


def _disassociate(world: World, _: Request) -> tuple[int, Any]:
    world.put(ServiceRole())
    return 200, {}


ROUTES: tuple[Route, ...] = (
    route("GET", _PATH, _get),
    route("PUT", _PATH, _associate),
    route("DELETE", _PATH, _disassociate),
)


def install(world: World) -> None:
    """Begin without one."""
    world.put(ServiceRole())
