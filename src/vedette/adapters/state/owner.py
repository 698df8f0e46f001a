"""The owner of the state directory: keeps the attachments, makes the plan, answers on the state socket."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from vedette.adapters.state.attachments import read_attachments, write_attachments
from vedette.adapters.state.files import quarantine, write_durably
from vedette.adapters.state.layout import FILE_MODE, StateLayout
from vedette.adapters.state.plan_file import PlanFile
from vedette.adapters.state.server import LineServer
from vedette.adapters.state.values import (
    Local,
    after_attaching,
    after_setting,
    bounded,
    describe,
    effective,
    user_name,
)
from vedette.contracts.camera import CameraConfig
from vedette.contracts.errors import StorageError, UsageError, VedetteError
from vedette.contracts.manifest import ParameterValue
from vedette.contracts.plan import AttachedApplication, Plan
from vedette.contracts.state import (
    ApplicationSummary,
    AttachCandidateRequest,
    AttachRequest,
    DetachCandidateRequest,
    DetachRequest,
    ParametersRequest,
    ParameterState,
    PlanRequest,
    SetParametersRequest,
    StateAnswer,
    StateRequest,
)
from vedette.core.parameters import with_parameters
from vedette.core.plan import make_plan, nearest

logger = logging.getLogger(__name__)

_REQUEST: TypeAdapter[StateRequest] = TypeAdapter(StateRequest)


class StateOwner:
    """Owns a state directory; one process at a time.

    Until ``set_cameras`` is called for the first time the plan on disk stays as it is, so that a restart does not
    tear down what the other components are doing.

    Args:
        directory: the state directory; made where it does not exist.
        status_source: gives what ``vedette status`` shall show besides, such as camera states; called from the
            server's thread, must be quick and hold no credentials.
    """

    def __init__(self, directory: Path, *, status_source: Callable[[], dict[str, Any]] | None = None) -> None:
        self.layout = StateLayout(directory)
        self._status_source = status_source
        self._guard = threading.RLock()
        self._callbacks: list[Callable[[Plan], None]] = []
        self._cameras: tuple[CameraConfig, ...] | None = None
        self._applications: dict[str, AttachedApplication] = {}
        self._candidates: dict[str, AttachedApplication] = {}
        self._local: Local = {}
        self._notes: list[str] = []
        self._plan = Plan()
        self._lock_descriptor = -1
        self._server: LineServer | None = None

    @property
    def plan(self) -> Plan:
        """The plan as it stands on disk."""
        with self._guard:
            return self._plan

    @property
    def applications(self) -> tuple[AttachedApplication, ...]:
        """What is attached, by name."""
        with self._guard:
            return tuple(self._applications[name] for name in sorted(self._applications))

    @property
    def candidates(self) -> tuple[AttachedApplication, ...]:
        """Versions that are only compared with the attached ones, by name."""
        with self._guard:
            return tuple(self._candidates[name] for name in sorted(self._candidates))

    def on_plan(self, callback: Callable[[Plan], None]) -> None:
        """Call back with every new plan after it is on disk, in order, from the thread that caused it.

        The callback must be quick and must not wait for a thread that uses this object.
        """
        with self._guard:
            self._callbacks.append(callback)

    def start(self) -> None:
        """Take the directory, read what is in it, listen.

        Raises:
            StorageError: V401, not usable, or another process owns it.
        """
        self.layout.create()
        self._take_lock()
        try:
            with self._guard:
                self._load()
            self._server = LineServer(self.layout.socket, self.layout.root, self._answer)
            self._server.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop listening and give the directory up; idempotent. Attachments and plan stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._lock_descriptor >= 0:
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1

    def set_cameras(self, cameras: Sequence[CameraConfig]) -> Plan:
        """Say which cameras the device has; returns the plan that follows.

        Raises:
            StorageError: V401 or V404, the plan cannot be written; the old one stays in force.
        """
        with self._guard:
            self._cameras = tuple(cameras)
            self._replan()
            return self._plan

    def attach(self, application: AttachedApplication) -> bool:
        """Add or replace an application, durably; False where it was attached exactly so.

        Raises:
            ConfigurationError: V106, a value of a parameter is not allowed; what was attached before stays.
            StorageError: V401 or V404, cannot be written; attach it again.
        """
        with_parameters(application.manifest, application.parameters)
        with self._guard:
            name = application.manifest.name
            changed = self._applications.get(name) != application
            if changed:
                local = after_attaching(application, self._local)
                self._store({**self._applications, name: application}, local)
                logger.info("application %s %s attached", name, application.manifest.version)
            self._replan()  # also where nothing changed: an earlier plan may not have reached the disk
            return changed

    def detach(self, name: str) -> bool:
        """Take an application away, durably; False where there is none of the name.

        What was set on this device for it is kept: a component that is only restarted detaches, too.

        Raises:
            StorageError: V401 or V404, cannot be written; nothing is changed.
        """
        with self._guard:
            if name not in self._applications:
                return False
            self._store({key: app for key, app in self._applications.items() if key != name}, self._local)
            logger.info("application %s detached", name)
            self._replan()
            return True

    def attach_candidate(self, application: AttachedApplication) -> bool:
        """Add or replace a candidate, durably; False where it was attached exactly so.

        What was set on this device for the running version does not hold for it: it would not hold either, were the
        candidate deployed in its place.

        Raises:
            ConfigurationError: V106, a value of a parameter is not allowed; what was attached before stays.
            StorageError: V401 or V404, cannot be written; attach it again.
        """
        with_parameters(application.manifest, application.parameters)
        with self._guard:
            name = application.manifest.name
            changed = self._candidates.get(name) != application
            if changed:
                self._store(self._applications, self._local, {**self._candidates, name: application})
                logger.info("candidate %s %s attached", name, application.manifest.version)
            self._replan()
            return changed

    def detach_candidate(self, name: str) -> bool:
        """Take a candidate away, durably; False where there is none of the name.

        Raises:
            StorageError: V401 or V404, cannot be written; nothing is changed.
        """
        with self._guard:
            if name not in self._candidates:
                return False
            rest = {key: app for key, app in self._candidates.items() if key != name}
            self._store(self._applications, self._local, rest)
            logger.info("candidate %s detached", name)
            self._replan()
            return True

    def set_parameters(self, name: str, values: Mapping[str, ParameterValue | None], by: str = "") -> bool:
        """Change parameters of an attached application, durably, all or none; whether anything changed.

        Args:
            name: of the application.
            values: parameter → value; None takes back what was set here.
            by: who wants it.

        Raises:
            ConfigurationError: V106, no such parameter, or a value that is not allowed; nothing is changed.
            UsageError: V701, no such application.
            StorageError: V401 or V404, cannot be written; set it again.
        """
        with self._guard:
            application = self._attached(name)
            before = effective(application, self._local.get(name))[0]
            local = after_setting(application, self._local, values, by, time.time())
            self._store(self._applications, local)
            said = ", ".join(f"{key} = {'as deployed' if value is None else value}" for key, value in values.items())
            logger.info("application %s: %s, set by %s", name, said, by or "this process")
            self._replan()
            return effective(application, self._local.get(name))[0] != before

    def parameters(self, name: str) -> tuple[ParameterState, ...]:
        """The parameters of an attached application as they are.

        Raises:
            UsageError: V701, no such application.
        """
        with self._guard:
            return describe(self._attached(name), self._local.get(name))

    def _attached(self, name: str) -> AttachedApplication:
        if name not in self._applications:
            known = ", ".join(sorted(self._applications)) or "none"
            near = nearest(name, self._applications)
            raise UsageError(f"no application is attached as {name!r}; attached: {known}{near}.")
        return self._applications[name]

    # --- files ---------------------------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        path = self.layout.lock
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise StorageError(f"lock file {path} cannot be opened: {error.strerror}.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StorageError(
                f"state directory {self.layout.root} is owned by another running process (pid {owner}).",
                hint="Stop it, or give this one a `stateDirectory` of its own.",
            ) from error
        self._lock_descriptor = descriptor
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def _load(self) -> None:
        kept = read_attachments(self.layout.attachments)
        self._applications, self._candidates = kept.applications, kept.candidates
        self._local, self._notes = kept.local, kept.notes
        try:
            self._plan = PlanFile(self.layout.plan).read() or Plan()
        except StorageError as error:
            aside = quarantine(self.layout.plan)
            logger.warning("%s It is kept as %s and made anew.", error.message, aside.name)
            # The number the damaged file held is lost. Seconds since 1970 are above any number counted up from 0,
            # so revisions still never go back.
            self._plan = Plan(revision=int(time.time()))

    def _store(
        self,
        applications: dict[str, AttachedApplication],
        local: Local,
        candidates: dict[str, AttachedApplication] | None = None,
    ) -> None:
        local = bounded(local, applications)
        candidates = self._candidates if candidates is None else candidates
        write_attachments(self.layout.attachments, applications, candidates, local)
        self._applications, self._local, self._candidates = applications, local, candidates

    def _replan(self) -> None:
        if self._cameras is None:
            return
        applications, notes = [], list(self._notes)
        for name, application in self._applications.items():
            manifest, problems = effective(application, self._local.get(name))
            applications.append(application.model_copy(update={"manifest": manifest}))
            notes += problems
        candidates = [app.model_copy(update={"manifest": effective(app, None)[0]}) for app in self._candidates.values()]
        made = make_plan(applications, self._cameras, self._plan.revision, candidates)
        made = made.model_copy(update={"problems": (*made.problems, *notes)})
        if made == self._plan and self.layout.plan.exists():
            return
        plan = made.model_copy(update={"revision": self._plan.revision + 1})
        write_durably(self.layout.plan, plan.model_dump_json(indent=1).encode())
        self._plan = plan
        logger.info("plan %d: %d streams, %d models, %d rules", plan.revision, *map(len, _parts(plan)))
        for callback in tuple(self._callbacks):
            callback(plan)

    # --- socket --------------------------------------------------------------------------------------------------

    def _answer(self, line: bytes, uid: int) -> bytes:
        try:
            answer = self._handle(_REQUEST.validate_json(line), uid)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            answer = StateAnswer(ok=False, code="V605", message=f"request not understood: {place}: {first['msg']}")
        except VedetteError as error:
            answer = StateAnswer(ok=False, code=error.code, message=error.message, hint=error.hint)
        except Exception as error:
            logger.exception("state socket: request failed")
            answer = StateAnswer(ok=False, code="V401", message=f"internal fault: {type(error).__name__}")
        return answer.model_dump_json(exclude_defaults=True).encode()

    def _handle(self, request: StateRequest, uid: int) -> StateAnswer:
        changed = False
        parameters: tuple[ParameterState, ...] = ()
        if isinstance(request, AttachRequest):
            changed = self.attach(request.application)
        elif isinstance(request, DetachRequest):
            changed = self.detach(request.name)
        elif isinstance(request, AttachCandidateRequest):
            changed = self.attach_candidate(request.application)
        elif isinstance(request, DetachCandidateRequest):
            changed = self.detach_candidate(request.name)
        elif isinstance(request, SetParametersRequest):
            changed = self.set_parameters(request.name, request.values, user_name(uid))
        if isinstance(request, SetParametersRequest | ParametersRequest):
            parameters = self.parameters(request.name)
        extra = dict(self._status_source()) if request.op == "status" and self._status_source else {}
        with self._guard:
            plan = self._plan
            return StateAnswer(
                ok=True,
                revision=plan.revision,
                changed=changed,
                problems=plan.problems,
                applications=tuple(_summary(app) for app in self.applications),
                candidates=tuple(_summary(app) for app in self.candidates),
                plan=plan if isinstance(request, PlanRequest) else None,
                parameters=parameters,
                status=extra,
            )


def _parts(plan: Plan) -> tuple[tuple[object, ...], tuple[object, ...], tuple[object, ...]]:
    return plan.streams, plan.models, plan.rules


def _summary(application: AttachedApplication) -> ApplicationSummary:
    manifest = application.manifest
    return ApplicationSummary(
        name=manifest.name,
        title=manifest.title,
        version=manifest.version,
        directory=application.directory,
        bindings=application.bindings,
    )
