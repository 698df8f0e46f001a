"""Greengrass's deployments, as far as rollouts use them: moto has none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError


class NotFoundError(ClientError):  # type: ignore[misc]  # untyped
    def __init__(self) -> None:
        super().__init__({"Error": {"Code": "ResourceNotFoundException", "Message": "not there"}}, "operation")


class Exceptions:
    ResourceNotFoundException = NotFoundError


class Greengrass:
    """One deployment a target; the newest replaces the one before it.

    Attributes:
        deployments: requests, the oldest first.
        components: ARNs that can be deployed.
        broken: component and version that devices refuse.
        things: all there are; a name begins with its ring.
        unheard: things that Greengrass has never seen.
    """

    exceptions = Exceptions

    def __init__(self) -> None:
        self.deployments: list[dict[str, Any]] = []
        self.components: dict[str, str] = {}
        self.broken: set[tuple[str, str]] = set()
        self.unheard: set[str] = set()
        self.things: set[str] = set()
        self.pending: set[str] = set()
        self.failure: ClientError | None = None

    def create_deployment(self, **request: Any) -> dict[str, Any]:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        for number, earlier in enumerate(self.deployments):
            if earlier["clientToken"] == request["clientToken"]:
                return {"deploymentId": f"d{number}"}
        self.deployments.append(request)
        return {"deploymentId": f"d{len(self.deployments) - 1}"}

    def running(self, ring: str) -> dict[str, str]:
        """Component → version of the newest deployment to a ring."""
        for request in reversed(self.deployments):
            if request["targetArn"].endswith(f"thinggroup/vedette-main-{ring}"):
                return {name: one["componentVersion"] for name, one in request["components"].items()}
        return {}

    def list_deployments(self, **request: Any) -> dict[str, Any]:
        assert request["historyFilter"] == "LATEST_ONLY"
        found = [n for n, one in enumerate(self.deployments) if one["targetArn"] == request["targetArn"]]
        return {"deployments": [{"deploymentId": f"d{found[-1]}"}] if found else []}

    def get_paginator(self, operation: str) -> Greengrass:
        assert operation == "list_effective_deployments"
        return self

    def paginate(self, *, coreDeviceThingName: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - as boto3 has it
        """What a device made of the deployments to itself."""
        if coreDeviceThingName in self.unheard:
            raise NotFoundError
        for number, one in enumerate(self.deployments):
            if one["targetArn"].endswith(f":thing/{coreDeviceThingName}") and coreDeviceThingName not in self.pending:
                wanted = {(name, entry["componentVersion"]) for name, entry in one["components"].items()}
                status = "FAILED" if wanted & self.broken else "SUCCEEDED"
                about = {"targetArn": one["targetArn"], "deploymentId": f"d{number}"}
                yield {"effectiveDeployments": [about | {"coreDeviceExecutionStatus": status}]}

    def get_deployment(self, *, deploymentId: str) -> dict[str, Any]:  # noqa: N803 - as boto3 has it
        return {"deploymentId": deploymentId, "iotJobId": f"job-{deploymentId}"}

    def describe_job(self, *, jobId: str) -> dict[str, Any]:  # noqa: N803 - as boto3 has it
        """As AWS IoT answers: how many things made what of the deployment."""
        number = int(jobId.removeprefix("job-d"))
        one = self.deployments[number]
        ring = one["targetArn"].rpartition("-")[2]
        members = {thing for thing in self.things if thing.partition("-")[0] == ring}
        wanted = {(name, entry["componentVersion"]) for name, entry in one["components"].items()}
        queued = members & (self.unheard | self.pending)
        told = len(members - queued)
        broken = bool(wanted & self.broken)
        replaced = any(later["targetArn"] == one["targetArn"] for later in self.deployments[number + 1 :])
        details = {
            "numberOfSucceededThings": 0 if broken else told,
            "numberOfFailedThings": told if broken else 0,
            "numberOfQueuedThings": 0 if replaced else len(queued),
            "numberOfCanceledThings": len(queued) if replaced else 0,
        }
        return {"job": {"status": "CANCELED" if replaced else "IN_PROGRESS", "jobProcessDetails": details}}

    def describe_component(self, *, arn: str) -> dict[str, Any]:
        if arn not in self.components:
            raise NotFoundError
        return {"status": {"componentState": self.components[arn], "message": ""}}
