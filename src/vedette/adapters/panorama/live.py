"""Live pictures for the code of an application: the freshest of each camera, straight from its frame store."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.adapters.frames import FrameStoreClient
from vedette.adapters.panorama.colour import given_size, write_bgr
from vedette.contracts.errors import CameraError, StorageError
from vedette.contracts.frames import FrameInfo
from vedette.ports.frames import FrameLease, FrameReader

#: Between two attempts to reach a frame store.
RETRY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class LeasedPicture:
    """Implements ``vedette.ports.panorama.StreamPicture``: a picture that lies in its frame store."""

    stream: str
    lease: FrameLease

    @property
    def info(self) -> FrameInfo:
        """Which picture it is."""
        return self.lease.info

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as the code gets it, pixels."""
        return given_size(self.lease.pixels.width, self.lease.pixels.height)

    def fill(self, target: NDArray[np.uint8]) -> bool:
        """Write it into ``target``, ``(height, width, 3)`` uint8, as BGR; whether it was intact until the end."""
        write_bgr(self.lease.pixels, target)
        return self.lease.release()


@dataclass(slots=True)
class _Camera:
    """A camera and the connection to its frame store."""

    name: str
    reader: FrameReader | None = None
    last: FrameInfo | None = None
    retry_at_s: float = 0.0
    problem: str = "V205 not connected yet"
    given: int = 0


class LivePictures:
    """Implements ``vedette.ports.panorama.PictureSource``.

    Args:
        cameras: in the order of the port.
        fps: pictures a second of each, at most.
        sockets: directory of the frame stores' sockets.
        monotonic: clock of waiting.
        open_reader: connects to a frame store.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        fps: float,
        sockets: Path,
        monotonic: Callable[[], float] = time.monotonic,
        open_reader: Callable[[Path], FrameReader] = FrameStoreClient,
    ) -> None:
        self._cameras = [_Camera(name) for name in cameras]
        self._interval_s = 1.0 / fps
        self._sockets = sockets
        self._monotonic = monotonic
        self._open_reader = open_reader
        self._leases: list[FrameLease] = []

    def wait(self, timeout_s: float) -> list[LeasedPicture]:
        """Every camera that has a new picture, in order; none where the time is over."""
        self._release()
        until_s = self._monotonic() + timeout_s
        while True:
            self._attach()
            ready = self._poll(min(max(0.0, until_s - self._monotonic()), RETRY_S))
            found = [picture for camera in ready if (picture := self._take(camera)) is not None]
            if found or self._monotonic() >= until_s:
                return found

    def problems(self) -> dict[str, str]:
        """Cameras that give no pictures, and why."""
        return {camera.name: camera.problem for camera in self._cameras if camera.problem}

    def given(self) -> dict[str, int]:
        """Camera → pictures so far."""
        return {camera.name: camera.given for camera in self._cameras}

    def close(self) -> None:
        """Let go of all cameras; idempotent. Not while another thread waits."""
        self._release()
        for camera in self._cameras:
            if camera.reader is not None:
                camera.reader.close()
                camera.reader = None

    def _release(self) -> None:
        """What was not written anywhere goes back."""
        for lease in self._leases:
            lease.release()
        self._leases.clear()

    def _attach(self) -> None:
        now_s = self._monotonic()
        for camera in self._cameras:
            if camera.reader is not None or camera.retry_at_s > now_s:
                continue
            camera.retry_at_s = now_s + RETRY_S
            try:
                camera.reader = self._open_reader(self._sockets / f"{camera.name}.sock")
                camera.reader.arm(camera.last, self._interval_s)
                camera.problem = ""
            except (CameraError, StorageError) as error:
                self._lost(camera, f"{error.code} {error.message}")

    def _poll(self, timeout_s: float) -> list[_Camera]:
        poll = select.poll()
        watched = {}
        for camera in self._cameras:
            if camera.reader is not None:
                watched[camera.reader.fileno()] = camera
                poll.register(camera.reader.fileno(), select.POLLIN)
        # Milliseconds, rounded up: rounded down, the last one would be spent turning in circles.
        ready = {watched[descriptor].name for descriptor, _ in poll.poll(int(timeout_s * 1000) + (timeout_s > 0))}
        return [camera for camera in self._cameras if camera.name in ready]

    def _take(self, camera: _Camera) -> LeasedPicture | None:
        assert camera.reader is not None
        try:
            lease = camera.reader.latest()
            # Being woken ends the request, whether or not there was a picture.
            camera.reader.arm(lease.info if lease is not None else camera.last, self._interval_s)
        except CameraError as error:
            self._lost(camera, f"{error.code} {error.message}")
            return None
        if lease is None:
            return None
        camera.last = lease.info
        camera.given += 1
        self._leases.append(lease)
        return LeasedPicture(camera.name, lease)

    def _lost(self, camera: _Camera, problem: str) -> None:
        camera.problem = problem
        if camera.reader is not None:
            camera.reader.close()
            camera.reader = None
