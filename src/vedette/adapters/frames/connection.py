"""The conversation with a frame store, without the pictures: who only passes memory on needs no NumPy."""

from __future__ import annotations

import math
import os
import select
import socket
import time
from pathlib import Path
from typing import Final

from vedette.adapters.frames import messages
from vedette.adapters.unix_sockets import check_socket_path
from vedette.contracts.errors import CameraError, CoreError
from vedette.contracts.frames import FrameInfo

#: A store answers from a thread of its own, within a millisecond; after this it hangs or its process is stopped.
ANSWER_S: Final = 1.0
#: A picture handed over unasked is used if it came so recently; else a fresher one is asked for.
OFFER_FRESH_S: Final = 0.02


class StoreConnection:
    """Leases pictures of one camera. Used by one thread at a time.

    Args:
        connected: a socket that is connected to the store.
        name: of the store, for messages.
    """

    def __init__(self, connected: socket.socket, name: str) -> None:
        self._socket = connected
        self._name = name
        self._ring: messages.Ring | None = None
        self._memory = -1
        self._closed = False
        self._unreleased = 0
        connected.settimeout(ANSWER_S)

    @classmethod
    def open(cls, path: Path) -> StoreConnection:
        """Connect to a store.

        Raises:
            CameraError: V205, nobody serves there.
            StorageError: V401, the path is too long.
        """
        where = check_socket_path(path)
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connected.settimeout(ANSWER_S)
            connected.connect(where)
        except OSError as error:
            connected.close()
            raise _lost(path.name, f"nobody serves it ({error})") from error
        return cls(connected, path.name)

    @property
    def closed(self) -> bool:
        """Whether the connection is gone, by ``close`` or by the other side."""
        return self._closed

    @property
    def ring(self) -> messages.Ring | None:
        """The memory that granted pictures lie in."""
        return self._ring

    @property
    def memory(self) -> int:
        """Descriptor of that memory; belongs to this object, and changes with ``ring``."""
        return self._memory

    def fileno(self) -> int:
        """Descriptor that becomes readable when a newer picture may be had, or the connection is lost."""
        return self._socket.fileno()

    def arm(self, after: FrameInfo | None, interval_s: float) -> None:
        """Ask to be woken once there is a newer picture; see ``FrameStoreClient.arm``.

        Raises:
            CameraError: V205, the connection is lost.
        """
        self._send(messages.Arm(-math.inf if after is None else after.t_s, interval_s, self._take_unreleased()))

    def latest(self) -> messages.Grant | None:
        """Lease the freshest picture not yet had and due; None where there is none.

        Raises:
            CameraError: V205, the connection is lost or the store does not answer.
        """
        offer = self._offered()
        if offer is not None and time.monotonic() - offer.granted_s < OFFER_FRESH_S:
            return offer
        self._send(messages.Latest(self._take_unreleased()))
        deadline_s = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline_s:
            match self._receive():
                case messages.Grant() as grant:
                    if offer is not None:
                        self.release(offer.lease)
                    return grant
                case messages.Nothing():
                    return offer
        raise self.lost("it does not answer")

    def release(self, lease: int) -> bool:
        """Give a picture back: noted, and sent with the next question, which follows at once in every reader's loop."""
        if self._closed:
            return False
        try:
            if self._unreleased:
                self._send(messages.Release(self._take_unreleased()))
        except CameraError:
            return False
        self._unreleased = lease
        return True

    def close(self) -> None:
        """Disconnect, which releases everything; idempotent."""
        self._closed = True
        self._socket.close()
        self._forget_memory()

    def lost(self, why: str) -> CameraError:
        """End the connection; the error to raise."""
        self.close()
        return _lost(self._name, why)

    def _offered(self) -> messages.Grant | None:
        """The picture that was handed over with the wake-up, where one was."""
        while select.select([self._socket], [], [], 0)[0]:
            match self._receive():
                case messages.Grant() as grant:
                    return grant
        return None

    def _take_unreleased(self) -> int:
        lease, self._unreleased = self._unreleased, 0
        return lease

    def _send(self, message: messages.Message) -> None:
        if self._closed:
            raise self.lost("the connection was closed")
        try:
            self._socket.send(messages.encode(message))
        except OSError as error:
            raise self.lost(f"the connection broke ({error})") from error

    def _receive(self) -> messages.Message:
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._socket, messages.PACKET_LIMIT_BYTES, 1)
        except OSError as error:
            raise self.lost(f"it does not answer ({error})") from error
        try:
            if not packet:
                raise self.lost("its process ended or it refused this user")
            try:
                message = messages.decode(packet, self._ring)
            except CoreError as error:
                raise self.lost(error.message) from error
            if isinstance(message, messages.Ring):
                if not descriptors:
                    raise self.lost("it announced memory without handing it over")
                self._forget_memory()
                self._memory, self._ring = descriptors.pop(0), message
            return message
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _forget_memory(self) -> None:
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1


def _lost(name: str, why: str) -> CameraError:
    return CameraError(
        f"frame store {name}: {why}.",
        hint="The camera's capture process is being replaced; readers reconnect by themselves.",
        code="V205",
    )
