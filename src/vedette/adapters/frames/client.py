"""The reading side: leases the freshest picture of one camera from another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from vedette.adapters.frames import memory, messages
from vedette.adapters.frames.connection import StoreConnection
from vedette.contracts.errors import CameraError
from vedette.contracts.frames import FrameInfo
from vedette.core.pixels import Pixels


class Lease:
    """One picture, protected until released or two seconds have passed. Implements ``ports.frames.FrameLease``."""

    __slots__ = ("_expires_s", "_held", "_info", "_pixels", "_release")

    def __init__(self, info: FrameInfo, pixels: Pixels, expires_s: float, release: Callable[[], bool]) -> None:
        self._info = info
        self._pixels = pixels
        self._expires_s = expires_s
        self._release = release
        self._held = True

    @property
    def info(self) -> FrameInfo:
        """Identity and time of the picture."""
        return self._info

    @property
    def pixels(self) -> Pixels:
        """Read-only views into the shared memory."""
        return self._pixels

    @property
    def intact(self) -> bool:
        """Whether the picture is protected still: what was computed so far is of this very picture."""
        return self._held and time.monotonic() < self._expires_s

    def release(self) -> bool:
        """Give the slot back.

        Returns:
            False where the lease had timed out, the connection was lost or the picture was released before: what
            was computed may be of a torn picture. No answer is waited for: both processes read the same clock.
        """
        if not self._held:
            return False
        self._held = False
        in_time = time.monotonic() < self._expires_s
        return self._release() and in_time


class FrameStoreClient:
    """Reads one camera's frame store. Implements ``ports.frames.FrameReader``; used by one thread at a time.

    A lost connection (the capture process was replaced) raises V205 from ``arm`` and ``latest`` and sets ``closed``;
    the caller makes a new client.

    Args:
        path: the store's socket, or a connection to it.

    Raises:
        CameraError: V205, nobody serves there.
        StorageError: V401, the path is too long.
    """

    def __init__(self, path: Path | StoreConnection) -> None:
        self._connection = path if isinstance(path, StoreConnection) else StoreConnection.open(path)
        self._ring: messages.Ring | None = None
        self._memory = np.empty(0, np.uint8)

    @property
    def closed(self) -> bool:
        """Whether the connection is gone, by ``close`` or by the other side."""
        return self._connection.closed

    def fileno(self) -> int:
        """Descriptor that becomes readable when a newer picture may be had, or the connection is lost."""
        return self._connection.fileno()

    def arm(self, after: FrameInfo | None, interval_s: float) -> None:
        """Ask to be woken once there is a newer picture.

        Pictures come ``interval_s`` apart on average: where the camera's pictures do not fall on that grid, the next
        one is taken, and the one after comes correspondingly earlier.

        Raises:
            CameraError: V205, the connection is lost.
        """
        self._connection.arm(after, interval_s)

    def latest(self) -> Lease | None:
        """Lease the freshest picture not yet had and due; None where there is none.

        Raises:
            CameraError: V205, the connection is lost or the store does not answer.
        """
        grant = self._connection.latest()
        return None if grant is None else self._lease(grant)

    def close(self) -> None:
        """Disconnect, which releases everything; idempotent."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _lease(self, grant: messages.Grant) -> Lease:
        ring = self._connection.ring
        assert ring is not None
        if ring is not self._ring:
            try:
                # Pictures still leased keep the old mapping alive through their views.
                self._memory = np.frombuffer(memory.attach(self._connection.memory, ring.total_bytes), np.uint8)
            except CameraError as error:
                raise self._connection.lost(error.message) from error
            self._ring = ring
        start = grant.slot * ring.slot_bytes
        pixels = Pixels.from_buffer(
            self._memory[start : start + ring.slot_bytes], ring.width, ring.height, full_range=grant.full_range
        )
        return Lease(grant.info, pixels, grant.expires_s, lambda: self._connection.release(grant.lease))
