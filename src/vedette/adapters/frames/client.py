"""The reading side: leases the freshest picture of one camera from another process."""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from vedette.adapters.frames import memory, messages
from vedette.adapters.unix_sockets import check_socket_path
from vedette.contracts.errors import CameraError, CoreError
from vedette.contracts.frames import FrameInfo
from vedette.core.pixels import Pixels

#: A store answers from a thread of its own, within a millisecond; after this it hangs or its process is stopped.
ANSWER_S: Final = 1.0
#: A picture handed over unasked is used if it came so recently; else a fresher one is asked for.
OFFER_FRESH_S: Final = 0.02


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
        path: the store's socket.

    Raises:
        CameraError: V205, nobody serves there.
        StorageError: V401, the path is too long.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ring: messages.Ring | None = None
        self._memory = np.empty(0, np.uint8)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._closed = False
        self._unreleased = 0
        try:
            self._socket.settimeout(ANSWER_S)
            self._socket.connect(check_socket_path(path))
        except OSError as error:
            self._socket.close()
            raise self._lost(f"nobody serves it ({error})") from error

    @property
    def closed(self) -> bool:
        """Whether the connection is gone, by ``close`` or by the other side."""
        return self._closed

    def fileno(self) -> int:
        """Descriptor that becomes readable when a newer picture may be had, or the connection is lost."""
        return self._socket.fileno()

    def arm(self, after: FrameInfo | None, interval_s: float) -> None:
        """Ask to be woken once there is a newer picture.

        Pictures come ``interval_s`` apart on average: where the camera's pictures do not fall on that grid, the next
        one is taken, and the one after comes correspondingly earlier.

        Raises:
            CameraError: V205, the connection is lost.
        """
        self._send(messages.Arm(-math.inf if after is None else after.t_s, interval_s, self._take_unreleased()))

    def latest(self) -> Lease | None:
        """Lease the freshest picture not yet had and due; None where there is none.

        Raises:
            CameraError: V205, the connection is lost or the store does not answer.
        """
        offer = self._offered()
        if offer is not None and time.monotonic() - offer.granted_s < OFFER_FRESH_S:
            return self._lease(offer)
        self._send(messages.Latest(self._take_unreleased()))
        deadline_s = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline_s:
            match self._receive():
                case messages.Grant() as grant:
                    if offer is not None:
                        self._give_back(offer.lease)
                    return self._lease(grant)
                case messages.Nothing():
                    return None if offer is None else self._lease(offer)
        raise self._lost("it does not answer")

    def close(self) -> None:
        """Disconnect, which releases everything; idempotent."""
        self._closed = True
        self._socket.close()

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _lease(self, grant: messages.Grant) -> Lease:
        assert self._ring is not None
        start = grant.slot * self._ring.slot_bytes
        pixels = Pixels.from_buffer(
            self._memory[start : start + self._ring.slot_bytes],
            self._ring.width,
            self._ring.height,
            full_range=grant.full_range,
        )
        return Lease(grant.info, pixels, grant.expires_s, lambda: self._give_back(grant.lease))

    def _offered(self) -> messages.Grant | None:
        """The picture that was handed over with the wake-up, where one was."""
        while select.select([self._socket], [], [], 0)[0]:
            match self._receive():
                case messages.Grant() as grant:
                    return grant
        return None

    def _give_back(self, lease: int) -> bool:
        """Note a release; it travels with the next question, which follows at once in every reader's loop."""
        if self._closed:
            return False
        try:
            if self._unreleased:
                self._send(messages.Release(self._take_unreleased()))
        except CameraError:
            return False
        self._unreleased = lease
        return True

    def _take_unreleased(self) -> int:
        lease, self._unreleased = self._unreleased, 0
        return lease

    def _send(self, message: messages.Message) -> None:
        if self._closed:
            raise self._lost("the connection was closed")
        try:
            self._socket.send(messages.encode(message))
        except OSError as error:
            raise self._lost(f"the connection broke ({error})") from error

    def _receive(self) -> messages.Message:
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._socket, messages.PACKET_LIMIT_BYTES, 1)
        except OSError as error:
            raise self._lost(f"it does not answer ({error})") from error
        try:
            if not packet:
                raise self._lost("its process ended or it refused this user")
            try:
                message = messages.decode(packet, self._ring)
            except CoreError as error:
                raise self._lost(error.message) from error
            if isinstance(message, messages.Ring):
                if not descriptors:
                    raise self._lost("it announced memory without handing it over")
                # Pictures still leased keep the old mapping alive through their views.
                self._memory = np.frombuffer(memory.attach(descriptors[0], message.total_bytes), np.uint8)
                self._ring = message
            return message
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _lost(self, why: str) -> CameraError:
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.close()
        return CameraError(
            f"frame store {self._path.name}: {why}.",
            hint="The camera's capture process is being replaced; readers reconnect by themselves.",
            code="V205",
        )
