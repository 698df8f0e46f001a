"""Pictures for the confined process: leased here, shown there. The process gets memory and never a socket.

The warden speaks to the frame store; the process is handed a read-only descriptor of the ring and told which slot to
look at. So it can neither ask for another camera nor disturb the store, whatever it sends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from vedette.adapters.frames import messages
from vedette.adapters.frames.connection import StoreConnection
from vedette.adapters.hooks.reactor import Reactor
from vedette.contracts.errors import CameraError, StorageError
from vedette.contracts.frames import FrameInfo
from vedette.contracts.plan import HookCamera
from vedette.ports.hooks import Picture

log = logging.getLogger(__name__)

#: Between two attempts to reach a frame store.
RETRY_S: Final = 0.5


@dataclass(slots=True)
class _Camera:
    """One camera and the connection to its store."""

    names: HookCamera
    connection: StoreConnection | None = None
    retry_at_s: float = 0.0
    ready: bool = False
    last: FrameInfo | None = None
    problem: str = ""


class SharedMemory(Protocol):
    """Memory that pictures of one camera lie in, as it can be shown to the process."""

    def as_message(self) -> dict[str, Any]:
        """What the process is told."""
        ...

    def read_only(self) -> AbstractContextManager[int]:
        """A descriptor of the memory that cannot be written through, for as long as it takes to send it."""
        ...


@dataclass(frozen=True, slots=True)
class SharedRing:
    """A frame store's memory. Implements ``SharedMemory``.

    Attributes:
        connection: whose it is; its descriptor changes with the ring.
        ring: sizes.
    """

    connection: StoreConnection
    ring: messages.Ring

    def as_message(self) -> dict[str, Any]:
        """What the process is told."""
        ring = self.ring
        sizes = {name: getattr(ring, name) for name in ("ring", "slot_bytes", "total_bytes", "width", "height")}
        return {"do": "ring", "camera": ring.camera, **sizes}

    @contextlib.contextmanager
    def read_only(self) -> Iterator[int]:
        """A descriptor of the memory that cannot be written through, for as long as it takes to send it."""
        descriptor = os.open(f"/proc/self/fd/{self.connection.memory}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


class FrameFeed:
    """Implements ``vedette.pipeline.hook_loop.PictureFeed``. For the reactor's thread.

    Args:
        cameras: whose pictures may be seen.
        fps: pictures a second of each.
        sockets: directory of the frame stores' sockets.
        reactor: where connections are watched.
        changed: called when a picture may be due.
        monotonic: clock.
    """

    def __init__(
        self,
        cameras: Sequence[HookCamera],
        fps: float,
        sockets: Path,
        reactor: Reactor,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cameras = [_Camera(camera) for camera in cameras]
        self._interval_s = 1.0 / fps
        self._sockets = sockets
        self._reactor = reactor
        self._monotonic = monotonic
        self._leases: dict[int, tuple[_Camera, int]] = {}
        self.rings: dict[str, SharedRing] = {}

    def due(self) -> Picture | None:
        """The freshest picture of the camera that has waited longest; None where none is due."""
        self._attach()
        for camera in list(self._cameras):
            if not camera.ready:
                continue
            camera.ready = False
            picture = self._take(camera)
            if picture is not None:
                self._cameras.remove(camera)  # to the end: the others have their turn first
                self._cameras.append(camera)
                return picture
        return None

    def done(self, picture: Picture) -> None:
        """The call is over; the memory may be used again."""
        camera, lease = self._leases.pop(id(picture), (None, 0))
        if camera is None or camera.connection is None:
            return
        camera.connection.release(lease)
        self._arm(camera)

    def problems(self) -> dict[str, str]:
        """Cameras that give no pictures, and why."""
        return {camera.names.camera: camera.problem for camera in self._cameras if camera.problem}

    def close(self) -> None:
        """Let go of all; idempotent."""
        for camera in self._cameras:
            self._detach(camera, "")
        self._leases.clear()

    def _attach(self) -> None:
        now_s = self._monotonic()
        for camera in self._cameras:
            if camera.connection is not None or now_s < camera.retry_at_s:
                continue
            camera.retry_at_s = now_s + RETRY_S
            try:
                camera.connection = StoreConnection.open(self._sockets / f"{camera.names.camera}.sock")
            except (CameraError, StorageError) as error:
                camera.problem = f"{error.code} {error.message}"
                continue
            camera.problem = ""
            self._reactor.watch(camera.connection, lambda _events, camera=camera: self._wake(camera))  # type: ignore[misc]
            self._arm(camera)

    def _wake(self, camera: _Camera) -> None:
        """Something came; it is read when its turn comes, and not watched until then."""
        if camera.connection is not None:
            self._reactor.forget(camera.connection)
        camera.ready = True

    def _take(self, camera: _Camera) -> Picture | None:
        connection = camera.connection
        if connection is None:
            return None
        try:
            grant = connection.latest()
            if grant is None:
                self._arm(camera)
                return None
        except CameraError as error:
            self._detach(camera, f"{error.code} {error.message}")
            return None
        assert connection.ring is not None
        known = self.rings.get(camera.names.camera)
        if known is None or known.ring is not connection.ring:
            self.rings[camera.names.camera] = SharedRing(connection, connection.ring)
        camera.last = grant.info
        message = {
            "do": "frame",
            "camera": camera.names.app_camera,
            "frame": asdict(grant.info),
            "ring": grant.ring,
            "slot": grant.slot,
            "expires_s": grant.expires_s,
            "full_range": grant.full_range,
        }
        picture = Picture(grant.info, camera.names.app_camera, message)
        self._leases[id(picture)] = (camera, grant.lease)
        return picture

    def _arm(self, camera: _Camera) -> None:
        """Ask for the next picture, and watch for it."""
        assert camera.connection is not None
        try:
            camera.connection.arm(camera.last, self._interval_s)
        except CameraError as error:
            self._detach(camera, f"{error.code} {error.message}")
            return
        self._reactor.watch(camera.connection, lambda _events: self._wake(camera))

    def _detach(self, camera: _Camera, problem: str) -> None:
        if camera.connection is not None:
            self._reactor.forget(camera.connection)
            camera.connection.close()
        camera.connection, camera.ready, camera.problem = None, False, problem
        self.rings.pop(camera.names.camera, None)
