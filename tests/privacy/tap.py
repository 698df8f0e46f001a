"""Keeps every byte that goes to a receiver, as it was on the wire."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


class Tap:
    """A relay on a port of its own in front of a receiver on this machine.

    Args:
        to: port of the receiver.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self._sent: list[bytearray] = []
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._start(self._serve)

    def sent(self) -> list[bytes]:
        """What came over each connection, in the order they were made."""
        with self._lock:
            return [bytes(content) for content in self._sent]

    def close(self) -> None:
        """End all connections."""
        with self._lock:
            ended = [self._listener, *self._open]
        for one in ended:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for one in ended:
            one.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                client.close()
                continue
            kept = bytearray()
            with self._lock:
                self._sent.append(kept)
                self._open += [client, server]
            self._start(self._pass, client, server, kept)
            self._start(self._pass, server, client, None)

    def _pass(self, source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                if kept is not None:
                    with self._lock:
                        kept += content
                target.sendall(content)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
