"""A server of JSON lines on a Unix socket: one thread, bounded in everything."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vedette.adapters.state.layout import FILE_MODE
from vedette.adapters.unix_sockets import check_socket_path, peer_allowed, peer_user
from vedette.contracts.errors import StorageError

logger = logging.getLogger(__name__)

MAX_LINE_BYTES: Final = 4 << 20
MAX_CONNECTIONS: Final = 64
_MAX_UNSENT_BYTES: Final = 16 << 20
_CHUNK: Final = 1 << 16


@dataclass(slots=True)
class _Connection:
    """The user at the other end, what has come in without a line end, and what could not be sent yet."""

    uid: int
    incoming: bytearray = field(default_factory=bytearray)
    outgoing: bytearray = field(default_factory=bytearray)


class LineServer:
    """Answers each line with one line.

    Args:
        path: the socket; a stale one is replaced, so the caller must hold a lock that says that it may.
        directory: whose group decides who may connect.
        answer: one request line (without its end), user at the other end → one answer; must not raise.
    """

    def __init__(self, path: Path, directory: Path, answer: Callable[[bytes, int], bytes]) -> None:
        self._path = path
        self._directory = directory
        self._answer = answer
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="state-socket", daemon=True)
        self._listener: socket.socket | None = None
        self._connections: dict[socket.socket, _Connection] = {}

    def start(self) -> None:
        """Listen.

        Raises:
            StorageError: V401, the path is too long or the socket cannot be made.
        """
        check_socket_path(self._path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._path.unlink(missing_ok=True)
            listener.bind(str(self._path))
            self._path.chmod(FILE_MODE)
            listener.listen(2 * MAX_CONNECTIONS)
        except OSError as error:
            listener.close()
            raise StorageError(f"socket {self._path} cannot be made: {error.strerror}.") from error
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()

    def close(self) -> None:
        """Hang up on everyone and remove the socket; idempotent."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        with suppress(OSError):
            self._wake.send(b"x")
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        for connection in tuple(self._connections):
            self._drop(connection)
        if self._listener is not None:
            self._listener.close()
            self._path.unlink(missing_ok=True)
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            for key, events in self._selector.select():
                sock = key.fileobj
                if sock is self._listener:
                    self._accept()
                elif isinstance(sock, socket.socket) and sock in self._connections:
                    try:
                        if events & selectors.EVENT_READ:
                            self._read(sock)
                        if events & selectors.EVENT_WRITE and sock in self._connections:
                            self._write(sock)
                    except OSError:
                        self._drop(sock)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        try:
            allowed, uid = peer_allowed(connection, self._directory), peer_user(connection)[0]
        except OSError:
            allowed, uid = False, -1
        if not allowed or len(self._connections) >= MAX_CONNECTIONS:
            logger.warning("state socket: connection refused (%s)", "too many" if allowed else "not permitted")
            connection.close()
            return
        self._connections[connection] = _Connection(uid)
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, sock: socket.socket) -> None:
        data = sock.recv(_CHUNK)
        if not data:
            self._drop(sock)
            return
        state = self._connections[sock]
        state.incoming += data
        while (end := state.incoming.find(b"\n")) >= 0:
            line = bytes(state.incoming[:end])
            del state.incoming[: end + 1]
            if line.strip():
                state.outgoing += self._answer(line, state.uid) + b"\n"
        if len(state.incoming) > MAX_LINE_BYTES or len(state.outgoing) > _MAX_UNSENT_BYTES:
            logger.warning("state socket: connection closed, it sent too much or read too little")
            self._drop(sock)
            return
        self._write(sock)

    def _write(self, sock: socket.socket) -> None:
        state = self._connections[sock]
        if state.outgoing:
            with suppress(BlockingIOError):
                sent = sock.send(state.outgoing)
                del state.outgoing[:sent]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if state.outgoing else 0)
        if self._selector.get_key(sock).events != events:
            self._selector.modify(sock, events)

    def _drop(self, sock: socket.socket) -> None:
        self._connections.pop(sock, None)
        with suppress(KeyError, ValueError):
            self._selector.unregister(sock)
        sock.close()
