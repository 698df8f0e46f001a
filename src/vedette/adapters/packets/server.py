"""Keeps the last seconds of a camera's packets and gives them to whoever may have them. Never holds up capture."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections import deque
from pathlib import Path
from typing import Final

from vedette.adapters.packets.wire import encode_item, encode_stream
from vedette.adapters.unix_sockets import listen_at, peer_allowed
from vedette.contracts.packets import EncodedPacket, PictureNote, VideoStream
from vedette.core.preroll import Item, PreRoll

log = logging.getLogger(__name__)

#: Readers at the same time; one is usual.
READERS_LIMIT: Final = 4
#: Bytes that wait for a reader before it is given up as too slow.
BACKLOG_BYTES: Final = 64 << 20
#: Longest time that a reader takes nothing at all.
SILENCE_S: Final = 10.0


class PacketServer:
    """One camera's packets. Fed by the thread that captures; readers have a thread each.

    Args:
        path: socket to serve; replaced where it exists. Its directory decides who may read.
        seconds: kept at first, see ``keep``.

    Raises:
        StorageError: V401, the socket cannot be made.
    """

    def __init__(self, path: Path, seconds: float = 0.0) -> None:
        self._path = path
        self._floor_s = seconds
        self._lock = threading.Lock()
        self._pre_roll = PreRoll(seconds)
        self._readers: set[_Reader] = set()
        self._listener = listen_at(path, socket.SOCK_STREAM, READERS_LIMIT, "packet")
        self._inode = path.stat().st_ino
        threading.Thread(target=self._accept, name="packets", daemon=True).start()

    @property
    def wanted(self) -> bool:
        """Whether packets are kept, or read by someone, at the moment."""
        return self._pre_roll.seconds > 0 or bool(self._readers)

    def keep(self, seconds: float) -> None:
        """Keep so many seconds from now on, and never fewer than the camera's own setting. From any thread."""
        with self._lock:
            self._pre_roll.keep(max(seconds, self._floor_s))

    def packet(self, packet: EncodedPacket) -> None:
        """Take a packet as it came."""
        self._take(packet)

    def picture(self, note: PictureNote) -> None:
        """Take the note of a picture that came out of a packet."""
        self._take(note)

    def close(self) -> None:
        """Stop serving; idempotent."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            readers, self._readers = self._readers, set()
        for reader in readers:
            reader.close()
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _take(self, item: Item) -> None:
        if not self.wanted:
            return
        with self._lock:
            self._pre_roll.add(item)
            slow = [reader for reader in self._readers if not reader.put(item)]
            self._readers.difference_update(slow)
        for reader in slow:
            log.warning("a reader of packets is too slow or gone; it is let go of")
            reader.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                allowed = peer_allowed(connection, self._path.parent, group_mode=0)
            except OSError:
                allowed = False
            with self._lock:
                if not allowed or len(self._readers) >= READERS_LIMIT:
                    connection.close()
                    continue
                reader = _Reader(connection)
                for item in self._pre_roll.items():
                    reader.put(item)
                self._readers.add(reader)
            reader.start()


class _Reader:
    """One reader and what waits for it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.settimeout(SILENCE_S)
        self._ready = threading.Condition()
        self._waiting: deque[Item] = deque()
        self._bytes = 0
        self._closed = False

    def start(self) -> None:
        threading.Thread(target=self._send, name="packets-reader", daemon=True).start()

    def put(self, item: Item) -> bool:
        """Queue an item; False where the reader has gone or is too slow."""
        with self._ready:
            self._waiting.append(item)
            self._bytes += len(item.data) if isinstance(item, EncodedPacket) else 0
            self._ready.notify()
            return not self._closed and self._bytes <= BACKLOG_BYTES

    def close(self) -> None:
        with self._ready:
            self._closed = True
            self._ready.notify()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _send(self) -> None:
        told: VideoStream | None = None
        try:
            while True:
                with self._ready:
                    while not self._waiting and not self._closed:
                        self._ready.wait()
                    if self._closed:
                        return
                    item = self._waiting.popleft()
                    self._bytes -= len(item.data) if isinstance(item, EncodedPacket) else 0
                if isinstance(item, EncodedPacket) and item.stream is not told:
                    told = item.stream
                    self._connection.sendall(encode_stream(told))
                self._connection.sendall(encode_item(item))
        except OSError:
            self.close()
