"""A connection made for a process that must not make one itself: bytes are passed on and counted.

The process gets one end of a socket pair and never the connection itself, so what it can do to the network is to send
bytes to the one host that was allowed.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable
from typing import Final, Protocol

from vedette.adapters.egress.rules import Resolve, check_peer, resolve

#: Bytes on their way in one direction; beyond it the sender waits.
BUFFER_BYTES: Final = 64 << 10


class Watcher(Protocol):
    """Calls back when a descriptor is ready."""

    def watch(self, what: socket.socket, callback: Callable[[int], None], events: int = ...) -> None:
        """Call back with the events that occur."""
        ...

    def forget(self, what: socket.socket) -> None:
        """Watch it no more."""
        ...


def connect_checked(
    host: str, port: int, *, allow_private: bool, timeout_s: float, resolver: Resolve = resolve
) -> socket.socket:
    """A TCP connection to an address that was checked. Waits; not for a reactor's thread.

    Raises:
        ConfigurationError: V105, the host is not allowed.
        OSError: it cannot be reached.
    """
    deadline_s = time.monotonic() + timeout_s
    checked = check_peer(host, port, allow_private=allow_private, resolver=resolver)
    failure: OSError = TimeoutError("timed out")
    for address in checked.addresses:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            break
        try:
            connection = socket.create_connection((address, checked.port), timeout=left_s)
        except OSError as error:
            failure = error
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        return connection
    raise failure


class _Direction:
    """Bytes from one socket to the other."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.waiting = bytearray()
        self.ended = False
        self.passed_on_end = False
        self.total = 0

    def read(self) -> None:
        try:
            chunk = self.source.recv(BUFFER_BYTES - len(self.waiting))
        except (BlockingIOError, InterruptedError):
            return
        self.ended = not chunk
        self.waiting += chunk

    def write(self) -> None:
        while self.waiting:
            try:
                sent = self.sink.send(self.waiting)
            except (BlockingIOError, InterruptedError):
                return
            self.total += sent
            del self.waiting[:sent]
        if self.ended and not self.passed_on_end:
            self.passed_on_end = True
            with contextlib.suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)

    @property
    def wants_to_read(self) -> bool:
        return not self.ended and len(self.waiting) < BUFFER_BYTES


class Relay:
    """Passes bytes between a process and a connection until either side has had enough. For the watcher's thread.

    Args:
        inside: the process' socket, not blocking.
        outside: the connection, not blocking.
        watcher: calls back.
        ended: called once, with bytes sent and received.
    """

    def __init__(
        self,
        inside: socket.socket,
        outside: socket.socket,
        watcher: Watcher,
        ended: Callable[[Relay], None],
    ) -> None:
        self._out = _Direction(inside, outside)
        self._in = _Direction(outside, inside)
        self._watcher = watcher
        self._on_end = ended
        self._open = True
        self._rearm()

    @property
    def is_open(self) -> bool:
        """Whether either side may still send."""
        return self._open

    @property
    def sent_bytes(self) -> int:
        """Bytes that left the site."""
        return self._out.total

    @property
    def received_bytes(self) -> int:
        """Bytes that came in."""
        return self._in.total

    def close(self) -> None:
        """End both sides; idempotent."""
        if not self._open:
            return
        self._open = False
        for one in (self._out.source, self._in.source):
            self._watcher.forget(one)
            one.close()
        self._on_end(self)

    def _ready(self, _events: int) -> None:
        try:
            for direction in (self._out, self._in):
                if direction.wants_to_read:
                    direction.read()
                direction.write()
        except OSError:
            self.close()
            return
        if self._out.passed_on_end and self._in.passed_on_end:
            self.close()
        else:
            self._rearm()

    def _rearm(self) -> None:
        for mine, other in ((self._out, self._in), (self._in, self._out)):
            events = selectors.EVENT_READ if mine.wants_to_read else 0
            events |= selectors.EVENT_WRITE if other.waiting else 0
            if events:
                self._watcher.watch(mine.source, self._ready, events)
            else:
                self._watcher.forget(mine.source)
