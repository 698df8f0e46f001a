"""One hook's code as the loop sees it: a confined process that can be started again and again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from vedette.adapters.hooks.broker import Broker
from vedette.adapters.hooks.directory import DataDirectory
from vedette.adapters.hooks.output import Output
from vedette.adapters.hooks.pictures import SharedMemory
from vedette.adapters.hooks.process import ConfinedProcess, ProcessSettings
from vedette.adapters.hooks.reactor import Reactor
from vedette.contracts.errors import ConfigurationError, HookError
from vedette.contracts.hook_messages import HookReply, WallsReport
from vedette.contracts.plan import HookPlan
from vedette.contracts.tracks import TrackBatch
from vedette.ports.hooks import Picture

#: For loading the file and ``setup``: imports of large packages from a slow disk take their time.
SETUP_LIMIT_S: Final = 30.0


class HookRunner:
    """Implements ``vedette.ports.hooks.HookProcess``. For the reactor's thread.

    Args:
        hook: its plan.
        settings: how the process is confined.
        directory: its own.
        reactor: where its descriptors are watched.
        broker: its way to the network.
        rings: memory of its cameras' pictures, by camera; may change at any time.
        read_code: a Python file's content.
        patience: what limits of time are multiplied with.
    """

    def __init__(
        self,
        hook: HookPlan,
        settings: ProcessSettings,
        directory: DataDirectory,
        reactor: Reactor,
        broker: Broker,
        *,
        rings: Mapping[str, SharedMemory],
        read_code: Callable[[Path], bytes],
        patience: float = 1.0,
    ) -> None:
        self._hook = hook
        self._settings = settings
        self._directory = directory
        self._reactor = reactor
        self._broker = broker
        self._rings = rings
        self._read_code = read_code
        self._timeout_s = hook.timeout_s * patience
        self._process: ConfinedProcess | None = None
        self._handed: dict[str, SharedMemory] = {}
        self.output = Output(f"hook {hook.key}")
        self.walls = WallsReport(standing={}, missing={}, sufficient=False)

    @property
    def pid(self) -> int:
        """Process number; 0 where none runs."""
        return self._process.pid if self._process is not None and self._process.alive() else 0

    def start(self, state: str, wall_s: float) -> HookReply:
        """Start the process, load the code, call ``setup``; see the port.

        Raises:
            HookError: V801, the code is not what was attached or cannot be loaded; V805, no confinement; V803, V804,
                V808, V809, it was ended.
        """
        self.close()
        self._check_code()
        self._handed = {}
        self._process = ConfinedProcess(self._settings, self._directory, self._reactor, self.output, self._broker)
        try:
            self._process.start()
        finally:
            self.walls = self._process.walls
        message = {
            "do": "setup",
            "file": self._hook.file,
            "pictures": bool(self._hook.pictures),
            "cameras": [[camera.app_camera, camera.camera] for camera in self._hook.cameras],
            "parameters": self._hook.parameters,
            "state": json.loads(state),
            "wall_s": wall_s,
        }
        try:
            return self._process.call(message, max(SETUP_LIMIT_S, self._timeout_s))
        except HookError as error:
            if error.code != "V802":
                raise
            raise HookError(error.message, hint=error.hint, code="V801") from error

    def tracks(self, app_camera: str, batch: TrackBatch) -> HookReply:
        """Call ``on_tracks``; see the port."""
        pipeline = batch.pipeline.partition("/")[2]
        message = {"do": "tracks", "camera": app_camera, "pipeline": pipeline, "batch": json.loads(batch.to_json())}
        return self._running().call(message, self._timeout_s)

    def frame(self, picture: Picture) -> HookReply:
        """Call ``on_frame``; see the port."""
        camera = picture.info.camera
        shared = self._rings.get(camera)
        if shared is not None and self._handed.get(camera) is not shared:
            with shared.read_only() as descriptor:
                self._running().hand_over(shared.as_message(), descriptor)
            self._handed[camera] = shared
        return self._running().call(picture.message, self._timeout_s)

    def timer(self, number: int, wall_s: float) -> HookReply:
        """Call the function of a timer; see the port."""
        return self._running().call({"do": "timer", "number": number, "wall_s": wall_s}, self._timeout_s)

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.alive()

    def check(self) -> None:
        """Notice what happened between calls; see the port."""
        if self._process is not None and self._process.alive():
            self._process.watch()

    def close(self) -> None:
        """End it; idempotent."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _running(self) -> ConfinedProcess:
        if self._process is None or not self._process.alive():
            raise HookError(f"hook {self._hook.key} does not run.", code="V808")
        return self._process

    def _check_code(self) -> None:
        """The files are those that were attached: what was validated and signed for is what runs."""
        folder = Path(self._hook.directory)
        for name, digest in {self._hook.file: "", **self._hook.code}.items():
            try:
                content = self._read_code(folder / name)
            except ConfigurationError as error:
                raise HookError(
                    f"hook {self._hook.key}: {error.message}", hint="Deploy the application again.", code="V801"
                ) from error
            if digest and hashlib.sha256(content).hexdigest() != digest:
                raise HookError(
                    f"hook {self._hook.key}: {folder / name} is not the file that was attached.",
                    hint="Deploy the application again; its component attaches the files as they are then.",
                    code="V801",
                )
        if self._hook.code and self._hook.file not in self._hook.code:
            raise HookError(f"hook {self._hook.key}: {self._hook.file} was not attached.", code="V801")
