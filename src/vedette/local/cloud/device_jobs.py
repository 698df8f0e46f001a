"""Jobs of AWS IoT for things: members of groups get an execution each; devices hear of them, and answer, by MQTT.

moto keeps jobs without executions of a group's members, and speaks no MQTT. A thing that was given credentials for the
broker is a real device and answers for itself; every other registered thing is simulated, and behaves as it was told.
Rates of a rollout (``jobExecutionsRolloutConfig``) are not held to: every member gets the job at once.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from typing import Any, Final

from vedette.local.cloud.broker import Broker
from vedette.local.cloud.greengrass import Greengrass
from vedette.local.cloud.topic_rules import Rules
from vedette.local.cloud.world import ACCOUNT, World

_REQUEST: Final = re.compile(
    r"\$aws/things/([^/]+)/jobs/(start-next|\$next/get|(?!start-next/|notify)([A-Za-z0-9_-]{1,64})/(?:get|update))"
)
_OPEN: Final = ("QUEUED", "IN_PROGRESS")
_TOLD: Final = ("IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED")
_COUNTED: Final = {
    "QUEUED": "Queued",
    "IN_PROGRESS": "InProgress",
    "SUCCEEDED": "Succeeded",
    "FAILED": "Failed",
    "REJECTED": "Rejected",
    "TIMED_OUT": "TimedOut",
    "CANCELED": "Canceled",
    "REMOVED": "Removed",
}
_MAX_DETAILS: Final = 10


class DeviceJobs:
    """All jobs of the account.

    Args:
        world: the sandbox.
        rules: carries messages from and to devices.
    """

    def __init__(self, world: World, rules: Rules) -> None:
        self._world = world
        self._rules = rules
        self._lock = threading.RLock()

    @property
    def _backend(self) -> Any:
        from moto.iot.models import iot_backends

        return iot_backends[ACCOUNT][self._world.region]

    def created(self, job: Any) -> None:
        """Give a job to the things that it is for."""
        from moto.iot.models import FakeJobExecution

        with self._lock:
            kept = self._backend.job_executions
            for key in [key for key in kept if key[0] == job.job_id]:
                del kept[key]
            for thing in self._members(job.targets):
                execution = FakeJobExecution(job.job_id, thing.arn)
                execution.execution_number = execution.version_number = 1
                execution.vedette_began_s = None
                kept[(job.job_id, thing.thing_name)] = execution
            job.status = "IN_PROGRESS"
            things = [name for job_id, name in kept if job_id == job.job_id]
        for name in things:
            self._notify(name)
        self.settle(job)

    def settle(self, job: Any) -> None:
        """Let simulated devices do their part, see what has taken too long, and count."""
        with self._lock:
            executions = {
                name: one for (job_id, name), one in self._backend.job_executions.items() if job_id == job.job_id
            }
            for name, execution in executions.items():
                if execution.status in _OPEN and not self._real(name):
                    self._simulate(job, name, execution)
                self._time_out(job, execution)
            if job.status != "CANCELED":
                self._abort(job, executions)
            counts = Counter(one.status for one in executions.values())
            job.job_process_details = {f"numberOf{_COUNTED[status]}Things": counts[status] for status in _COUNTED}
            if job.status == "IN_PROGRESS" and not sum(counts[status] for status in _OPEN):
                job.status = "COMPLETED"

    def canceled(self, job: Any) -> None:
        """Nobody begins with it any more; what is at work is ended by force only, as AWS does."""
        with self._lock:
            for (job_id, _), execution in self._backend.job_executions.items():
                if job_id == job.job_id and (execution.status == "QUEUED" or (job.force and execution.status in _OPEN)):
                    execution.status = "CANCELED"

    def receive(self, topic: str, payload: bytes) -> None:
        """A message of a device's, on whatever topic; answers those of jobs."""
        found = _REQUEST.fullmatch(topic)
        if found is None:
            return
        thing, what, job_id = found[1], found[2], found[3]
        try:
            said = json.loads(payload or b"{}")
        except ValueError:
            said = None
        if not isinstance(said, dict):
            self._answer(thing, what, "rejected", {"code": "InvalidJson", "message": "no JSON object"}, {})
            return
        with self._lock:
            if what == "start-next":
                code, answer = "", {"execution": self._next(thing, start=True, said=said)}
            elif what == "$next/get":
                code, answer = "", {"execution": self._next(thing, start=False, said=said)}
            elif what.endswith("/get"):
                execution = self._backend.job_executions.get((job_id, thing))
                code, answer = ("", {"execution": self._shown(job_id, thing)}) if execution else _gone(job_id)
            else:
                code, answer = self._update(thing, job_id, said)
        self._answer(thing, what, "rejected" if code else "accepted", answer, said)
        if what.endswith("/update") and not code and said.get("status") != "IN_PROGRESS":
            self._notify(thing)

    # -- executions --------------------------------------------------------------------------------------------------

    def _members(self, targets: list[str]) -> list[Any]:
        """Things of the groups, of groups below them, and single things."""
        groups: list[Any] = list(self._backend.thing_groups.values())
        found: dict[str, Any] = {}
        wanted = set(targets)
        names = {group.thing_group_name for group in groups if group.arn in wanted}
        while more := {g.thing_group_name for g in groups if g.parent_group_name in names} - names:
            names |= more
        for group in groups:
            if group.thing_group_name in names:
                found |= {thing.thing_name: thing for thing in group.things.values()}
        found |= {thing.thing_name: thing for thing in self._backend.things.values() if thing.arn in wanted}
        return list(found.values())

    def _queue(self, thing: str) -> list[tuple[str, Any]]:
        """Executions of a thing that are open, the one at work first, then the oldest."""
        mine = [
            (job_id, one)
            for (job_id, name), one in self._backend.job_executions.items()
            if name == thing and one.status in _OPEN and self._backend.jobs[job_id].target_selection != "CONTINUOUS"
        ]
        return sorted(mine, key=lambda pair: (pair[1].status != "IN_PROGRESS", pair[1].queued_at))

    def _next(self, thing: str, *, start: bool, said: dict[str, Any]) -> dict[str, Any]:
        queue = self._queue(thing)
        if not queue:
            return {}
        job_id, execution = queue[0]
        if start and execution.status == "QUEUED":
            execution.status = "IN_PROGRESS"
            execution.version_number += 1
            execution.status_details_map = _details(said)
            execution.vedette_began_s = time.monotonic()
        return self._shown(job_id, thing)

    def _shown(self, job_id: str, thing: str) -> dict[str, Any]:
        execution = self._backend.job_executions[(job_id, thing)]
        return {
            "jobId": job_id,
            "thingName": thing,
            "status": execution.status,
            "statusDetails": execution.status_details_map,
            "queuedAt": int(execution.queued_at.timestamp()),
            "lastUpdatedAt": int(execution.last_updated_at.timestamp()),
            "versionNumber": execution.version_number,
            "executionNumber": execution.execution_number,
            "jobDocument": json.loads(self._backend.jobs[job_id].document),
        }

    def _update(self, thing: str, job_id: str, said: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """AWS's code of a refusal, and the answer."""
        execution = self._backend.job_executions.get((job_id, thing))
        if execution is None:
            return _gone(job_id)
        status = said.get("status")
        if status not in _TOLD:
            return "InvalidRequest", {"code": "InvalidRequest", "message": f"{status!r} is no status"}
        if execution.status not in _OPEN:
            message = f"the job is {execution.status} already"
            return "InvalidStateTransition", {"code": "InvalidStateTransition", "message": message}
        if "expectedVersion" in said and said["expectedVersion"] != execution.version_number:
            return "VersionMismatch", {"code": "VersionMismatch", "message": "somebody else was faster"}
        execution.status = status
        execution.version_number += 1
        execution.status_details_map = _details(said) or execution.status_details_map
        self._world.note("job", job=job_id, thing=thing, status=status, details=execution.status_details_map)
        return "", {}

    # -- without a device --------------------------------------------------------------------------------------------

    def _real(self, thing: str) -> bool:
        return self._world.has(Broker) and self._world.part(Broker).knows(thing)

    def _simulate(self, job: Any, thing: str, execution: Any) -> None:
        device = self._world.part(Greengrass).devices.get(thing)
        status, reason = ("QUEUED", "") if device is None else device.do_job(json.loads(job.document))
        if status != execution.status:
            execution.status, execution.status_details_map = status, {"reason": reason} if reason else {}
            self._world.note("job", job=job.job_id, thing=thing, status=status, details=execution.status_details_map)

    def _time_out(self, job: Any, execution: Any) -> None:
        minutes = (job.timeout_config or {}).get("inProgressTimeoutInMinutes")
        began_s = getattr(execution, "vedette_began_s", None)
        late = minutes and began_s is not None and time.monotonic() - began_s > 60 * minutes
        if execution.status == "IN_PROGRESS" and late:
            execution.status = "TIMED_OUT"

    def _abort(self, job: Any, executions: dict[str, Any]) -> None:
        """End a job of which too many executions went wrong."""
        ended = [one.status for one in executions.values() if one.status not in _OPEN]
        for criterion in (job.abort_config or {}).get("criteriaList", ()):
            kinds = {"ALL": ("FAILED", "REJECTED", "TIMED_OUT")}.get(
                criterion["failureType"], (criterion["failureType"],)
            )
            bad = sum(status in kinds for status in ended)
            enough = len(ended) >= criterion["minNumberOfExecutedThings"]
            if enough and bad and 100 * bad >= criterion["thresholdPercentage"] * len(ended):
                job.status, job.reason_code = "CANCELED", "JOB_ABORTED"
                self.canceled(job)

    # -- messages ----------------------------------------------------------------------------------------------------

    def _notify(self, thing: str) -> None:
        with self._lock:
            execution = self._next(thing, start=False, said={})
        message = {"timestamp": int(time.time()), **({"execution": execution} if execution else {})}
        self._rules.publish(f"$aws/things/{thing}/jobs/notify-next", json.dumps(message).encode())

    def _answer(self, thing: str, what: str, kind: str, answer: dict[str, Any], said: dict[str, Any]) -> None:
        message = {**answer, "timestamp": int(time.time())}
        if "clientToken" in said:
            message["clientToken"] = said["clientToken"]
        self._rules.publish(f"$aws/things/{thing}/jobs/{what}/{kind}", json.dumps(message).encode())


def _details(said: dict[str, Any]) -> dict[str, str]:
    details = said.get("statusDetails") or {}
    return {str(key): str(value) for key, value in list(details.items())[:_MAX_DETAILS]}


def _gone(job_id: str) -> tuple[str, dict[str, Any]]:
    return "ResourceNotFound", {"code": "ResourceNotFound", "message": f"this thing has no job {job_id}"}


def install(world: World, rules: Rules) -> DeviceJobs:
    """Take the place of what moto does with jobs that are made by request."""
    import moto.iot.models as models

    jobs = DeviceJobs(world, rules)
    backend = models.IoTBackend
    create, describe, cancel = backend.create_job, backend.describe_job, backend.cancel_job

    def create_job(self: Any, **named: Any) -> Any:
        made = create(self, **named)
        jobs.created(self.jobs[named["job_id"]])
        return made

    def describe_job(self: Any, job_id: str) -> Any:
        if job_id in self.jobs:
            jobs.settle(self.jobs[job_id])
        return describe(self, job_id)

    def cancel_job(self: Any, **named: Any) -> Any:
        done = cancel(self, **named)
        jobs.canceled(done)
        return done

    backend.create_job, backend.describe_job, backend.cancel_job = create_job, describe_job, cancel_job
    rules.serve(jobs.receive)
    return jobs
