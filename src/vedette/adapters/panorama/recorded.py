"""Pictures of recordings for the code of an application, in lock-step: the next one when it asks for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.adapters.panorama.colour import given_size, write_bgr
from vedette.contracts.frames import FrameInfo
from vedette.core.pixels import Pixels

#: Pictures of one port that wait while the code asks another one; the oldest go first, as live.
_MOST_WAITING: Final = 64


@dataclass(frozen=True, slots=True)
class RecordedPicture:
    """Implements ``vedette.ports.panorama.StreamPicture``: a picture that nobody else will change."""

    stream: str
    info: FrameInfo
    pixels: Pixels

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as the code gets it, pixels."""
        return given_size(self.pixels.width, self.pixels.height)

    def fill(self, target: NDArray[np.uint8]) -> bool:
        """Write it into ``target``, ``(height, width, 3)`` uint8, as BGR."""
        write_bgr(self.pixels, target)
        return True


class LockStep:
    """All media ports of one application. ``give`` and ``idle`` are for whoever plays the recordings.

    Args:
        ports: media ports.
    """

    def __init__(self, ports: Sequence[str]) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[RecordedPicture]] = {port: deque(maxlen=_MOST_WAITING) for port in ports}
        self._asking: dict[str, int] = dict.fromkeys(ports, 0)
        self.sources = {port: _Port(self, port) for port in ports}

    def give(self, port: str, picture: RecordedPicture) -> None:
        """The next picture of a port."""
        with self._changed:
            self._waiting[port].append(picture)
            self._changed.notify_all()

    def idle(self, limit_s: float, broken: Callable[[], bool]) -> bool:
        """Wait until the code asks for a picture that is not there yet: it is done with those before.

        Args:
            limit_s: how long it may take.
            broken: whether it will not ask any more.

        Returns:
            Whether it asks.
        """
        until_s = time.monotonic() + limit_s
        with self._changed:
            while not any(asking and not self._waiting[port] for port, asking in self._asking.items()):
                left_s = until_s - time.monotonic()
                if left_s <= 0 or broken():
                    return False
                self._changed.wait(min(left_s, 0.1))
            return True

    def take(self, port: str, timeout_s: float) -> list[RecordedPicture]:
        """The next picture of a port, for the code; none where the time is over."""
        with self._changed:
            self._asking[port] += 1
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: bool(self._waiting[port]), timeout_s)
                return [self._waiting[port].popleft()] if self._waiting[port] else []
            finally:
                self._asking[port] -= 1


class _Port:
    """One port. Implements ``vedette.ports.panorama.PictureSource``."""

    def __init__(self, steps: LockStep, port: str) -> None:
        self._steps = steps
        self._port = port

    def wait(self, timeout_s: float) -> list[RecordedPicture]:
        """The next picture; none where the time is over."""
        return self._steps.take(self._port, timeout_s)
