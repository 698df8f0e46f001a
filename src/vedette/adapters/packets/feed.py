"""A camera's packets as whoever makes evidence holds them: what came before, and what comes."""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import threading
from pathlib import Path
from typing import Final

from vedette.adapters.packets.wire import ItemReader
from vedette.adapters.unix_sockets import check_socket_path
from vedette.contracts.errors import CoreError
from vedette.contracts.packets import EncodedPacket
from vedette.core.preroll import Item, PreRoll

log = logging.getLogger(__name__)

#: Between two attempts to reach a camera's process.
RETRY_S: Final = 0.25
#: Encoded video held at most, for all alerts of the camera that are being worked on.
LIMIT_BYTES: Final = 96 << 20
_CHUNK: Final = 256 << 10


class PacketFeed:
    """Follows one camera until closed, over interruptions of its process.

    Args:
        path: the camera's socket.
        seconds: held at least.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seconds = seconds
        self._held = PreRoll(seconds, LIMIT_BYTES)
        self._version = 0
        self._latest_s = float("-inf")
        self._closed = threading.Event()
        self._connection: socket.socket | None = None
        self.problem = ""
        self._thread = threading.Thread(target=self._follow, name=f"feed-{path.stem}", daemon=True)
        self._thread.start()

    def hold(self, seconds: float) -> None:
        """Hold everything from now on, as far as there is room; after ``release`` at least so many seconds.

        Somebody waits for packets that are here, and nobody knows when it will be their turn.
        """
        with self._lock:
            self._seconds = max(self._seconds, seconds)
            self._held.keep(math.inf)

    def release(self) -> None:
        """Nobody waits any more: hold the most seconds that were asked for."""
        with self._lock:
            self._held.keep(self._seconds)

    def items(self) -> list[Item]:
        """What is held, oldest first."""
        with self._lock:
            return self._held.items()

    @property
    def version(self) -> int:
        """Moves whenever something came."""
        return self._version

    def close(self) -> None:
        """Let go; idempotent."""
        self._closed.set()
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if self._thread is not threading.current_thread():
            self._thread.join(2 * RETRY_S)

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                    connection.connect(check_socket_path(self._path))
                    self._connection, self.problem = connection, ""
                    if self._closed.is_set():  # since before the connection could be shut down
                        return
                    self._read(connection)
            except OSError as error:
                self.problem = f"the camera's process cannot be reached ({error.strerror or error})"
            except CoreError as error:
                self.problem = error.message
                log.error("packets of %s: %s", self._path.stem, error)
            finally:
                self._connection = None
            self._closed.wait(RETRY_S)

    def _read(self, connection: socket.socket) -> None:
        reader = ItemReader()
        while data := connection.recv(_CHUNK):
            with self._lock:
                for item in reader.feed(data):
                    if isinstance(item, EncodedPacket):
                        if item.arrival_s <= self._latest_s:  # had before the connection was lost; it is sent again
                            continue
                        self._latest_s = item.arrival_s
                    self._held.add(item)
            self._version += 1
