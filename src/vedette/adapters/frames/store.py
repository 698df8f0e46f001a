"""The writing side: a ring of decoded pictures in shared memory and the socket that hands them out.

The capture thread calls ``publish``; a thread of the store's own answers readers. A picture is copied once, into a
slot that nobody holds; publishing it is a small packet on each waiting reader's socket, and that system call orders
the memory for the reader, on ARM as well. (The stress test in ``tests/frames`` has run on x86-64; to repeat on
aarch64.)
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from vedette.adapters.frames import memory, messages
from vedette.adapters.frames.reader import Reader
from vedette.adapters.unix_sockets import listen_at, peer_allowed
from vedette.contracts.errors import CoreError
from vedette.contracts.frames import FrameInfo
from vedette.core.pixels import Pixels, i420_size

logger = logging.getLogger(__name__)

#: A reader that has not released a picture for so long loses it.
LEASE_S: Final = 2.0
#: Pictures in the ring: one being written, the freshest, and one for each of two readers.
SLOTS: Final = 4
READERS_LIMIT: Final = 16
#: A picture is handed over unasked only while more slots than this are not leased.
OFFER_RESERVE: Final = 2
#: A reader that connects within this time of an interruption is still told its reason.
GAP_MEMORY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class FrameStoreStats:
    """Counters since the store was made, and the readers connected now."""

    published: int
    dropped: int
    granted: int
    expired: int
    readers: int


@dataclass(slots=True)
class _Slot:
    """One picture's place: who it is, and how long it may not be overwritten."""

    pixels: Pixels
    lease_ends_s: dict[int, float]


@dataclass(frozen=True, slots=True)
class _Ring:
    """Memory for pictures of one size."""

    header: messages.Ring
    descriptor: int
    slots: tuple[_Slot, ...]


class FrameStoreWriter:
    """Publishes one camera's pictures.

    Args:
        path: socket to serve; replaced where it exists. Its directory decides who may read: same user or same group.
        camera: the device's name of the camera.
        slots: pictures kept; at least 2.
        lease_s: how long a reader may hold one.
        clock: CLOCK_MONOTONIC seconds, the same for all processes.

    Raises:
        StorageError: V401, the socket cannot be made.
    """

    def __init__(
        self,
        path: Path,
        camera: str,
        *,
        slots: int = SLOTS,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._camera = camera
        self._slot_count = slots
        self._lease_s = lease_s
        self._clock = clock
        self._lock = threading.Lock()
        self._taken = threading.Condition(self._lock)
        self._ring: _Ring | None = None
        self._latest: tuple[int, FrameInfo, bool] | None = None  # slot, picture, full range
        self._sequence = 0
        self._gap: tuple[int, str, float] = (0, "", 0.0)  # sequence of the picture after it, reason, when
        self._rings = 0
        self._leases = 0
        self._readers: dict[int, Reader] = {}
        self._published = self._dropped = self._granted = self._expired = 0
        self._listener = listen_at(path, socket.SOCK_SEQPACKET, READERS_LIMIT, "frame")
        self._listener.setblocking(False)
        self._inode = path.stat().st_ino
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._stop_read, self._stop_write = os.pipe()
        self._selector.register(self._stop_read, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name=f"frames-{camera}", daemon=True)
        self._thread.start()

    @property
    def stats(self) -> FrameStoreStats:
        """Counters, taken together."""
        with self._lock:
            return FrameStoreStats(self._published, self._dropped, self._granted, self._expired, len(self._readers))

    def publish(self, info: FrameInfo, pixels: Pixels) -> bool:
        """Copy a picture into the ring and wake the readers that wait for it.

        Args:
            info: its identity; a ``gap_reason`` is handed to every reader's next picture.
            pixels: planes of any line stride, valid during the call.

        Returns:
            False where every slot is leased: the picture is dropped and counted.

        Raises:
            CameraError: V205, no memory for pictures of this size.
        """
        ring = self._ring_for(pixels.width, pixels.height)
        with self._lock:
            if info.gap_reason:  # kept even where this very picture is dropped
                self._gap = (self._sequence + 1, info.gap_reason, self._clock())
            index = self._free_slot(ring)
            if index is None:
                self._dropped += 1
                return False
            if self._latest is not None and self._latest[0] == index:
                self._latest = None  # nobody holds it, and it is the only place left
        target = ring.slots[index].pixels
        np.copyto(target.y, pixels.y)
        np.copyto(target.u, pixels.u)
        np.copyto(target.v, pixels.v)
        with self._lock:
            self._sequence += 1
            self._published += 1
            self._latest = (index, info, pixels.full_range)
            for reader in list(self._readers.values()):
                if reader.armed and reader.sampler.due(info.t_s):
                    self._wake(reader)
        return True

    def close(self) -> None:
        """Disconnect the readers and remove the socket; idempotent."""
        if self._thread.is_alive():
            os.write(self._stop_write, b"!")
            self._thread.join()

    def _ring_for(self, width: int, height: int) -> _Ring:
        ring = self._ring
        if ring is not None and (ring.header.width, ring.header.height) == (width, height):
            return ring
        page = os.sysconf("SC_PAGE_SIZE")
        slot_bytes = -(-i420_size(width, height) // page) * page
        self._rings += 1
        header = messages.Ring(self._rings, self._slot_count, slot_bytes, width, height, self._camera)
        descriptor, mapping = memory.create(
            f"vedette-{self._camera}",
            header.total_bytes,
            f"{self._slot_count} pictures of {width}x{height} of camera {self._camera!r}",
        )
        flat = np.frombuffer(mapping, np.uint8)
        slots = tuple(
            _Slot(Pixels.from_buffer(flat[start : start + slot_bytes], width, height), {})
            for start in range(0, header.total_bytes, slot_bytes)
        )
        with self._lock:
            old, self._ring, self._latest = self._ring, _Ring(header, descriptor, slots), None
            for reader in list(self._readers.values()):
                reader.leases.clear()  # what it still holds is in the old memory, which nobody overwrites any more
                self._send_ring(reader)
        if old is not None:
            os.close(old.descriptor)
        return self._ring

    def wait_taken(self, timeout_s: float) -> bool:
        """Wait until every reader at work that is to have the last picture has it; False where that takes too long."""
        deadline_s = time.monotonic() + timeout_s
        with self._taken:
            while any(self._due(reader) for reader in self._readers.values() if reader.armed or reader.leases):
                if not self._taken.wait(deadline_s - time.monotonic()):
                    return False
        return True

    def _free_slot(self, ring: _Ring) -> int | None:
        """A slot nobody holds; the freshest picture's own only where there is no other."""
        now_s = self._clock()
        fallback = None
        for index, slot in enumerate(ring.slots):
            for lease in [lease for lease, ends_s in slot.lease_ends_s.items() if ends_s <= now_s]:
                del slot.lease_ends_s[lease]
                self._expired += 1
            if slot.lease_ends_s:
                continue
            if self._latest is None or self._latest[0] != index:
                return index
            fallback = index
        return fallback

    def _serve(self) -> None:
        try:
            while True:
                for key, _ in self._selector.select():
                    if key.fileobj == self._stop_read:
                        return
                    if key.fileobj is self._listener:
                        self._accept()
                    else:
                        self._answer(key.data)
        finally:
            with self._lock:
                for reader in list(self._readers.values()):
                    self._drop(reader)
                if self._ring is not None:
                    os.close(self._ring.descriptor)
                    self._ring = replace(self._ring, descriptor=-1)
            self._selector.close()
            self._listener.close()
            with contextlib.suppress(OSError):  # another store may have taken the name meanwhile
                if self._path.stat().st_ino == self._inode:
                    self._path.unlink()
            os.close(self._stop_read)
            os.close(self._stop_write)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it left before it was let in
            return
        allowed = peer_allowed(connection, self._path.parent, group_mode=0)
        if not allowed or len(self._readers) >= READERS_LIMIT:
            logger.warning(
                "camera %s: a reader was refused: %s",
                self._camera,
                f"{READERS_LIMIT} are connected already" if allowed else "another user outside the directory's group",
            )
            connection.close()
            return
        connection.setblocking(False)
        reader = Reader(connection)
        with self._lock:
            gap_sequence, _, gap_at_s = self._gap
            if self._clock() - gap_at_s > GAP_MEMORY_S:
                reader.gap_seen = gap_sequence
            self._readers[connection.fileno()] = reader
            self._selector.register(connection, selectors.EVENT_READ, reader)
            if self._ring is not None:
                self._send_ring(reader)

    def _answer(self, reader: Reader) -> None:
        try:
            packet = reader.connection.recv(messages.PACKET_LIMIT_BYTES)
            message = messages.decode(packet) if packet else None
        except BlockingIOError:
            return
        except (OSError, CoreError) as error:
            if isinstance(error, CoreError):
                logger.warning("camera %s: a reader was disconnected: %s", self._camera, error)
            message = None
        with self._lock:
            match message:
                case messages.Arm():
                    self._release(reader, message.release)
                    reader.arm(message.after_s, message.interval_s)
                    if self._due(reader):
                        self._wake(reader)
                case messages.Latest():
                    self._release(reader, message.release)
                    self._grant(reader)
                case messages.Release():
                    self._release(reader, message.lease)
                case _:
                    self._drop(reader)

    def _wake(self, reader: Reader) -> None:
        """Tell a reader of a due picture: hand it over at once where the writer keeps room, else only say so."""
        reader.armed = False
        assert self._ring is not None
        unleased = sum(not slot.lease_ends_s for slot in self._ring.slots)
        if unleased > OFFER_RESERVE and not reader.leases and self._due(reader):
            self._grant(reader)
        else:
            self._send(reader, messages.Wake())

    def _release(self, reader: Reader, lease: int) -> None:
        slot = reader.leases.pop(lease, None)
        if slot is not None and self._ring is not None:
            self._ring.slots[slot].lease_ends_s.pop(lease, None)

    def _due(self, reader: Reader) -> bool:
        return (
            self._latest is not None
            and reader.seen < self._sequence
            and not reader.had_already(self._latest[1].t_s)
            and reader.sampler.due(self._latest[1].t_s)
        )

    def _grant(self, reader: Reader) -> None:
        if not self._due(reader) or self._latest is None or self._ring is None:
            self._send(reader, messages.Nothing())
            return
        index, info, full_range = self._latest
        gap_sequence, gap_reason, _ = self._gap
        if reader.gap_seen < gap_sequence <= self._sequence:
            info, reader.gap_seen = replace(info, gap_reason=gap_reason), gap_sequence
        elif info.gap_reason:
            info = replace(info, gap_reason="")
        self._leases += 1
        granted_s = self._clock()
        expires_s = granted_s + self._lease_s
        self._ring.slots[index].lease_ends_s[self._leases] = expires_s
        reader.take(self._leases, index, self._sequence, info.t_s)
        for lease, slot in reader.forget_oldest():
            self._ring.slots[slot].lease_ends_s.pop(lease, None)
        self._granted += 1
        self._taken.notify_all()
        self._send(
            reader,
            messages.Grant(self._ring.header.ring, index, self._leases, granted_s, expires_s, full_range, info),
        )

    def _send(self, reader: Reader, message: messages.Message) -> None:
        try:
            reader.connection.send(messages.encode(message))
        except OSError:  # gone, or it has not read for hundreds of packets
            self._drop(reader)

    def _send_ring(self, reader: Reader) -> None:
        assert self._ring is not None
        try:
            socket.send_fds(reader.connection, [messages.encode(self._ring.header)], [self._ring.descriptor])
        except OSError:
            self._drop(reader)

    def _drop(self, reader: Reader) -> None:
        descriptor = reader.connection.fileno()
        if self._readers.pop(descriptor, None) is None:
            return
        with contextlib.suppress(KeyError):
            self._selector.unregister(reader.connection)
        reader.connection.close()
        self._taken.notify_all()
        if self._ring is not None:
            for lease, slot in reader.leases.items():
                self._ring.slots[slot].lease_ends_s.pop(lease, None)
