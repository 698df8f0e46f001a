"""The supervisor of the cameras: configuration in, one process per camera, states out. No native code in here."""

from __future__ import annotations

import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from camera_ingest.credentials import Logins, Source
from camera_ingest.diagnostics import thing_name
from camera_ingest.runtime import RuntimeDocument
from camera_ingest.settings import Settings, read_settings
from camera_ingest.statuses import StatusBook
from camera_ingest.wanted import Wanted
from vedette.adapters.egress.secrets_manager import remote_secrets
from vedette.adapters.secrets import SecretStore
from vedette.adapters.state.files import write_component_status
from vedette.adapters.state.log_levels import LEVEL
from vedette.adapters.state.owner import StateOwner
from vedette.adapters.supervision import ChildSpec, Supervisor
from vedette.contracts import topics
from vedette.contracts.camera import CameraConfig, CameraState
from vedette.contracts.errors import VedetteError
from vedette.contracts.plan import Plan
from vedette.core.redact import RedactingFilter
from vedette.ports.bus import Bus

logger = logging.getLogger(__name__)

COMPONENT: Final = "vedette.CameraIngest"
#: States are published this often, and at each change.
PUBLISH_S: Final = 1.0
#: Secrets of cameras that refuse their password are asked for again this often; of all others this often.
SECRET_RETRY_S: Final = 0.5
SECRET_REFRESH_S: Final = 300.0
#: A camera's process beats five times a second; so much silence means that it hangs.
SILENCE_LIMIT_S: Final = 2.0
#: Where memory is short a camera goes after custom code and models, before what delivers alerts.
GIVES_WAY: Final = 200


class IngestService:
    """Runs the component until stopped.

    Args:
        bus: to the nucleus.
        redaction: the process' log filter; learns the credentials.
    """

    def __init__(self, bus: Bus, redaction: RedactingFilter) -> None:
        self._bus = bus
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._reconfigure = threading.Event()
        self._settings = read_settings(bus.configuration())
        self._directory = Path(self._settings.config.stateDirectory)
        self._book = StatusBook()
        self._owner = StateOwner(self._directory, status_source=self._book.summary)
        self._supervisor = Supervisor(self._on_message, self._on_exit)
        self._document = RuntimeDocument(bus, thing_name(), self._owner, redaction, self._wake.set)
        self._cameras: tuple[CameraConfig, ...] = ()
        self._source = Source(bus.secret, remote_secrets())
        self._secrets = SecretStore(
            self._source, self._owner.layout.secrets, prefix="camera-", refresh_s=0, learned=redaction.add
        )
        self._logins = Logins(self._secrets)
        self._secrets_checked_s = 0.0
        self._wanted = Wanted(self._supervisor.send)
        self._choosing = threading.Lock()
        self._publish_failed = False

    def stop(self) -> None:
        """End ``run`` from another thread or a signal handler."""
        self._stop.set()
        self._wake.set()

    def run(self) -> None:
        """Own the state directory and run the cameras.

        Raises:
            StorageError: V401, the state directory is not usable or belongs to another process.
        """
        self._owner.start()
        try:
            self._supervisor.start()
            self._document.start()
            self._owner.on_plan(self._on_plan)
            self._configure(self._settings)
            self._bus.on_configuration_change(self._on_configuration_change)
            self._bus.report_running()
            next_s = 0.0
            while not self._stop.is_set():
                if self._reconfigure.is_set():
                    self._reconfigure.clear()
                    self._configure(read_settings(self._bus.configuration()))
                    self._document.ask()
                if self._document.hear():
                    self._set_cameras()
                self._check_secrets()
                now_s = time.monotonic()
                due = now_s >= next_s
                if due:
                    next_s = now_s + PUBLISH_S
                self._publish(everything=due)
                self._wake.wait(max(min(next_s, self._secrets_due_s()) - time.monotonic(), 0.0))
                self._wake.clear()
        finally:
            self._document.stop()
            self._supervisor.stop()
            self._owner.close()

    def _on_configuration_change(self) -> None:
        self._reconfigure.set()
        self._wake.set()

    def _configure(self, settings: Settings) -> None:
        for problem in settings.problems:
            logger.error("configuration: %s", problem)
        if settings.config.stateDirectory != str(self._directory):
            logger.warning("stateDirectory changed; it is used after the next start of the component")
        LEVEL.configure(settings.config.logLevel, self._directory, COMPONENT)
        self._settings = settings
        self._set_cameras()

    def _set_cameras(self) -> None:
        """Bring into force what configuration and document say together."""
        config = self._settings.config
        self._cameras = self._document.judge(config.cameras, config.cameraNetworks)
        self._fetch_secrets()
        try:
            self._wanted.take(self._owner.set_cameras(self._cameras))
        except VedetteError as error:
            logger.error("the plan cannot be written: %s", error)
        self._book.configured(self._cameras, self._settings.problems, self._document.document.paused)
        self._set_children()
        self._document.settle()
        self._book.configured(
            self._cameras, (*self._settings.problems, *self._document.problems), self._document.document.paused
        )

    def _on_plan(self, plan: Plan) -> None:
        """What a process is told changes live; a change between main and sub stream restarts the camera's process."""
        self._wanted.take(plan)
        self._set_children()

    def _set_children(self) -> None:
        # Also by the thread that answers applications: who comes last has seen what the other one changed.
        with self._choosing:
            config = self._settings.config
            self._supervisor.set_children(
                ChildSpec(
                    name=camera.name,
                    argv=(sys.executable, "-s", "-P", "-m", "camera_ingest.camera"),
                    spec=self._spec(camera, config.cameraNetworks),
                    live=self._login(camera),
                    silence_limit_s=SILENCE_LIMIT_S,
                    template=(sys.executable, "-s", "-P", "-m", "camera_ingest.template"),
                    gives_way=GIVES_WAY,
                )
                for camera in self._cameras
                if camera.enabled
            )

    def _spec(self, camera: CameraConfig, networks: tuple[str, ...]) -> dict[str, Any]:
        return {
            "camera": camera.model_dump(mode="json"),
            "stream": self._wanted.stream(camera.name),
            "socket": str(self._owner.layout.frames / f"{camera.name}.sock"),
            "packets": str(self._owner.layout.packets / f"{camera.name}.sock"),
            "networks": networks,
        }

    def _login(self, camera: CameraConfig) -> dict[str, str]:
        """Credentials reach a running process too: a stream that plays goes on, a refused camera is tried at once."""
        login = self._logins.get(camera.secret)
        return {"username": login.username, "password": login.password}

    def _fetch_secrets(self) -> bool:
        """Ask for every secret that is named; whether a login has changed."""
        self._secrets_checked_s = time.monotonic()
        names = {camera.secret for camera in self._cameras if camera.secret}
        changed = self._logins.fetch(names)
        if not self._settings.problems:  # else a camera may be missing by mistake
            self._logins.forget_others(names)
        return changed

    def _check_secrets(self) -> None:
        """New credentials go to the processes of the cameras that use them; those that worked last are kept."""
        statuses, changed = self._book.statuses(), False
        for camera in self._cameras:
            status = statuses.get(camera.name)
            if camera.secret is None or status is None:
                continue
            if status.state is CameraState.STREAMING:
                self._logins.worked(camera.secret, status.since_wall_s)
            elif status.state is CameraState.UNAUTHORIZED:
                changed |= self._logins.refused(camera.secret)
        self._source.urgent = self._refused_secrets()
        if time.monotonic() >= self._secrets_due_s():
            changed |= self._fetch_secrets()
        if changed:
            self._set_children()

    def _refused_secrets(self) -> frozenset[str]:
        """Secrets of cameras that refuse their login."""
        statuses = self._book.statuses()
        return frozenset(
            camera.secret
            for camera in self._cameras
            if camera.secret and camera.name in statuses and statuses[camera.name].state is CameraState.UNAUTHORIZED
        )

    def _secrets_due_s(self) -> float:
        """When the secrets are asked for again, monotonic seconds."""
        return self._secrets_checked_s + (SECRET_RETRY_S if self._source.urgent else SECRET_REFRESH_S)

    def _on_message(self, name: str, message: dict[str, Any]) -> None:
        if "hello" in message:
            self._wanted.tell(name)
        if "status" in message and self._book.heard(name, message["status"]):
            self._wake.set()
        if "failed" in message:
            self._book.failed(name, str(message["failed"]), str(message.get("error", "")))

    def _on_exit(self, name: str, reason: str) -> None:
        self._book.ended(name, reason)
        self._wake.set()

    def _publish(self, *, everything: bool) -> None:
        statuses = self._book.take(everything=everything)
        if not statuses:
            return
        try:
            for status in statuses:
                self._bus.publish_local(topics.local_status(status.camera), status.model_dump(mode="json"))
            self._publish_failed = False
        except VedetteError as error:
            if not self._publish_failed:
                logger.warning("camera states cannot be published: %s", error)
            self._publish_failed = True
        try:
            write_component_status(self._directory, COMPONENT, self._book.summary())
        except VedetteError as error:
            logger.warning("the component's status cannot be written: %s", error)
