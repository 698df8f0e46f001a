"""Simulated core devices: what each has been told to do with deployments, and what it did."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from vedette.local.cloud.api import ApiError

#: Any version of a component.
ANY: Final = "*"
_OVER: Final = frozenset({"SUCCEEDED", "FAILED", "REJECTED"})


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a device takes deployments.

    Attributes:
        online: it hears of them; a device that does not has them queued.
        fails: version of each component with which its deployment fails; ``*`` is any.
        holds: it begins and does not end, until it behaves otherwise.
        healthy: what it reports of its components.
    """

    online: bool = True
    fails: Mapping[str, str] = field(default_factory=dict)
    holds: bool = False
    healthy: bool = True


def behaviour(body: Mapping[str, Any]) -> Behaviour:
    """Read ``{online?, fails?: {component: version}, holds?, healthy?}``.

    Raises:
        ApiError: a field is unknown or of another type.
    """
    kinds = {"online": bool, "fails": dict, "holds": bool, "healthy": bool}
    for key, value in body.items():
        if key not in kinds or not isinstance(value, kinds[key]):
            raise ApiError("ValidationException", f"{key}={value!r} is no behaviour; there are {sorted(kinds)}.")
    return Behaviour(**body)


@dataclass(frozen=True, slots=True)
class Execution:
    """What a device made of one deployment.

    Attributes:
        deployment: its identifier.
        target: of the deployment.
        components: version of each.
        status: of AWS's ``coreDeviceExecutionStatus``.
        reason: of a failure.
        at: of the last change, seconds since 1970.
    """

    deployment: str
    target: str
    components: Mapping[str, str]
    status: str
    reason: str
    at: float

    @property
    def over(self) -> bool:
        """Whether nothing more will change."""
        return self.status in _OVER


@dataclass
class Device:
    """One device.

    Attributes:
        thing: its name.
        executions: by deployment, in the order in which they were taken.
        changed: when it last reported, seconds since 1970.
    """

    thing: str
    executions: dict[str, Execution] = field(default_factory=dict)
    changed: float = field(default_factory=time.time)
    _behaviour: Behaviour = field(default_factory=Behaviour)

    def behave(self, wanted: Behaviour) -> None:
        """Behave so from now on."""
        self._behaviour = wanted
        self.changed = time.time()

    @property
    def unhealthy(self) -> bool:
        """Whether it reports a broken component, by behaviour or because a deployment failed last."""
        last = list(self.executions.values())[-1:]
        return not self._behaviour.healthy or any(one.status == "FAILED" for one in last)

    def take(self, deployment: str, target: str, components: Mapping[str, str]) -> Execution:
        """Take a deployment, unless that is over already; where it stands."""
        before = self.executions.get(deployment)
        if before is not None and before.over:
            return before
        status, reason = self._judge(components)
        if before is not None and before.status == status:
            return before
        self.changed = time.time()
        execution = Execution(deployment, target, dict(components), status, reason, self.changed)
        self.executions[deployment] = execution
        return execution

    def _judge(self, components: Mapping[str, str]) -> tuple[str, str]:
        if not self._behaviour.online:
            return "QUEUED", ""
        if self._behaviour.holds:
            return "IN_PROGRESS", ""
        for name, version in self._behaviour.fails.items():
            if name in components and version in (ANY, components[name]):
                return "FAILED", f"FAILED_ROLLBACK_COMPLETE: {name} version {components[name]} is broken"
        return "SUCCEEDED", "SUCCESSFUL"

    def do_job(self, document: Mapping[str, Any]) -> tuple[str, str]:
        """What becomes of a job: its status and why. ``fails`` names operations as it names components."""
        if not self._behaviour.online:
            return "QUEUED", ""
        if self._behaviour.holds:
            return "IN_PROGRESS", ""
        operation = str(document.get("operation", ""))
        if self._behaviour.fails.get(operation) in (ANY, document.get("version", ANY)):
            return "FAILED", f"{operation} is broken; the previous one was put back"
        return "SUCCEEDED", ""

    def installed(self) -> dict[str, str]:
        """Version of each component, by each target's last deployment that succeeded: what failed is rolled back."""
        by_target: dict[str, Execution] = {}
        for execution in self.executions.values():
            if execution.status == "SUCCEEDED":
                by_target[execution.target] = execution
        return {name: version for one in by_target.values() for name, version in one.components.items()}

    def described(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "thing": self.thing,
            "unhealthy": self.unhealthy,
            "installed": self.installed(),
            "executions": [
                {"deployment": e.deployment, "status": e.status, "reason": e.reason} for e in self.executions.values()
            ],
        }
