"""A camera's real process under a real supervisor, and a reader of its frames."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vedette.adapters.frames import FrameStoreClient
from vedette.adapters.supervision import ChildSpec, Supervisor
from vedette.contracts.camera import CameraStatus
from vedette.contracts.errors import CameraError
from vedette.contracts.frames import FrameInfo
from vedette.ports.frames import FrameLease

COMPONENTS = Path(__file__).resolve().parents[2] / "components"
CAMERA = ("-m", "camera_ingest.camera")


def component_paths() -> str:
    """A search path with which child processes find the components, as ``PYTHONPATH``."""
    return os.pathsep.join([str(COMPONENTS), os.environ.get("PYTHONPATH", "")]).rstrip(":")


class Rig:
    """One camera: its process, its states, its pictures.

    Args:
        program: what the interpreter runs as the camera's process.
        look: called with each picture that was read, while it may be looked at.

    Attributes:
        statuses: every status heard, with the monotonic time.
        frames: identity of every picture read, with the monotonic time it was had.
        exits: why processes ended.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        fps: float = 100.0,
        program: Sequence[str] = CAMERA,
        look: Callable[[FrameLease], None] | None = None,
        **spec: Any,
    ) -> None:
        self.path = folder / "cam.sock"
        self.statuses: list[tuple[float, CameraStatus]] = []
        self.frames: list[tuple[float, FrameInfo]] = []
        self.exits: list[str] = []
        self.changed = threading.Condition()
        self._stop = threading.Event()
        self._supervisor = Supervisor(self._message, self._exit)
        self._supervisor.start()
        camera = {"name": "cam", "url": url, **spec.pop("camera", {})}
        self._fps = fps
        self._look = look
        self._argv = (sys.executable, *program)
        self._base = {"camera": camera, "socket": str(self.path), **spec}
        self.configure()
        self._reader = threading.Thread(target=self._read, name="rig-reader")
        self._reader.start()

    def configure(self, **changes: Any) -> None:
        self._base |= changes
        self._supervisor.set_children([ChildSpec("cam", self._argv, dict(self._base), silence_limit_s=2.0)])

    def send(self, message: dict[str, Any]) -> None:
        self._supervisor.send("cam", message)

    @property
    def pid(self) -> int:
        return self._supervisor.pids()["cam"]

    @property
    def status(self) -> CameraStatus:
        return self.statuses[-1][1]

    def until(self, condition: Callable[[], Any], timeout_s: float = 15.0) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout_s), (
                self.statuses[-1:],
                self.exits[-3:],
                len(self.frames),
            )

    def until_state(self, state: str, timeout_s: float = 15.0) -> float:
        """Wait for a state; the monotonic time at which it was heard."""
        self.until(lambda: self.statuses and self.status.state == state, timeout_s)
        return next(t for t, status in reversed(self.statuses) if status.state == state)

    def until_frame_after(self, t_s: float, timeout_s: float = 15.0) -> tuple[float, FrameInfo]:
        self.until(lambda: self.frames and self.frames[-1][0] > t_s, timeout_s)
        return next(entry for entry in self.frames if entry[0] > t_s)

    def reconnect(self, cut: Callable[[], object], timeout_s: float = 15.0) -> float:
        """Until a picture of the next connection was read; how long it took from the cut, seconds."""
        epoch = self.frames[-1][1].epoch
        cut()
        begun_s = time.monotonic()
        self.until(lambda: self.exits or self.frames[-1][1].epoch != epoch, timeout_s)
        assert not self.exits
        return time.monotonic() - begun_s

    def close(self) -> None:
        self._stop.set()
        self._supervisor.stop()
        self._reader.join()

    def _message(self, _name: str, message: dict[str, Any]) -> None:
        if "hello" in message:
            self.send({"fps": self._fps})
        if "status" in message:
            with self.changed:
                self.statuses.append((time.monotonic(), CameraStatus.model_validate(message["status"])))
                del self.statuses[:-2000]
                self.changed.notify_all()

    def _exit(self, _name: str, reason: str) -> None:
        with self.changed:
            self.exits.append(reason)
            self.changed.notify_all()

    def _read(self) -> None:
        while not self._stop.is_set():
            try:
                client = FrameStoreClient(self.path)
            except CameraError:
                self._stop.wait(0.01)
                continue
            with contextlib.suppress(CameraError), client:
                last = None
                while not self._stop.is_set():
                    client.arm(last, 0.0)
                    select.select([client], [], [], 0.2)
                    lease = client.latest()
                    if lease is None:
                        continue
                    last = lease.info
                    if self._look is not None:
                        self._look(lease)
                    with self.changed:
                        self.frames.append((time.monotonic(), last))
                        del self.frames[:-5000]
                        self.changed.notify_all()
                    lease.release()
