"""Serves the code of one application: a socket, a thread for each of its connections, nothing believed.

An application is one program, which may have several processes: a script that starts it anew, or children of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vedette.adapters.panorama import messages
from vedette.adapters.panorama.connection import Connection
from vedette.adapters.panorama.media_port import MediaPort, Pictures, PortClosed
from vedette.adapters.panorama.rings import Rings
from vedette.adapters.unix_sockets import listen_at, peer_user
from vedette.contracts.manifest import PortType
from vedette.core.port_values import PortValue
from vedette.ports.panorama import EndOfPictures, OutputPicture, OutputSink, PictureSource, TensorRunner

log = logging.getLogger(__name__)

#: Connections of an application: its threads that wait for something at the same time, and a few that wait for use. Who
#: wants more waits until one is closed.
MOST_CONNECTIONS: Final = 64
#: Memory of all connections together, bytes.
MOST_ROOM_BYTES: Final = 1 << 30
#: How often the socket's thread looks whether it is to stop, and waits after an error, seconds.
_STEP_S: Final = 0.25
#: Threads that compute are not waited for longer than this at the end, seconds.
_END_S: Final = 1.0
_TIMES: Final = 256


@dataclass(frozen=True, slots=True)
class Interface:
    """What the code is given.

    Attributes:
        sources: media input port → its pictures.
        uris: camera → what the code is told as its address; its order is that of the pictures.
        types: parameter port → type.
        value: parameter port → the value as it is now.
        outputs: media output ports.
        runner: models.
        sink: where what it puts goes.
    """

    sources: Mapping[str, PictureSource]
    uris: Mapping[str, Mapping[str, str]]
    types: Mapping[str, PortType]
    value: Callable[[str], PortValue]
    outputs: tuple[str, ...]
    runner: TensorRunner
    sink: OutputSink


@dataclass(slots=True)
class Figures:
    """What the code has asked for so far.

    Attributes:
        pictures: given.
        calls: of models that returned.
        puts: pictures that it has put.
        errors: requests that were refused.
        call_s: seconds that the last calls took.
        asked_s: monotonic time of its last request.
        waiting: threads of it that wait for a picture.
    """

    pictures: int = 0
    calls: int = 0
    puts: int = 0
    errors: int = 0
    call_s: deque[float] = field(default_factory=lambda: deque(maxlen=_TIMES))
    asked_s: float = 0.0
    waiting: int = 0


class PanoramaServer:
    """Serves one program, from its start to its end.

    Args:
        path: of the socket.
        interface: what the code is given.
        users: numbers of the users that may connect, besides this process's own.
        monotonic: clock of intervals.

    Raises:
        StorageError: V401, the socket cannot be made.
    """

    def __init__(
        self,
        path: Path,
        interface: Interface,
        users: frozenset[int] = frozenset(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._interface = interface
        self._users = users | {os.geteuid()}
        self._monotonic = monotonic
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._connections: set[Connection] = set()
        self._room_bytes = 0
        self.rings = Rings()
        self.figures = Figures(asked_s=monotonic())
        #: Set when the code has asked for a picture after the last one.
        self.ended = threading.Event()
        self._ports = {
            port: MediaPort(source, self.rings, interface.uris[port], monotonic)
            for port, source in interface.sources.items()
        }
        self._listener = listen_at(path, socket.SOCK_SEQPACKET, MOST_CONNECTIONS, "application")
        self._thread = threading.Thread(target=self._accept, name="panorama-socket", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more; idempotent."""
        if self._closed.is_set():
            return
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._path.unlink(missing_ok=True)
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.hang_up()
        until_s = self._monotonic() + _END_S
        for connection in connections:
            connection.join(max(0.0, until_s - self._monotonic()))
        self.rings.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            if not self._free.acquire(timeout=_STEP_S):
                continue
            if not self._take_next():
                self._free.release()

    def _take_next(self) -> bool:
        """Begin the next conversation; False where it may not be, or could not be begun."""
        try:
            peer, _ = self._listener.accept()
        except OSError:  # closed, or no descriptor is left for the moment
            self._closed.wait(_STEP_S)
            return False
        try:
            allowed = peer_user(peer)[0] in self._users
            connection = Connection(self, peer)
            with self._lock:
                if allowed and not self._closed.is_set():
                    connection.start()
                    self._connections.add(connection)
                    return True
        except (OSError, RuntimeError) as error:  # it has gone again, or no thread is left for the moment
            log.warning("a connection of the application's code cannot be served (%s)", error)
            allowed = False
        peer.close()
        self.figures.errors += not allowed
        return False

    # -- for connections ----------------------------------------------------------------------------------------------

    def forget(self, connection: Connection, room_bytes: int) -> None:
        """A connection has ended."""
        with self._lock:
            self._connections.discard(connection)
            self._room_bytes -= room_bytes
        self._free.release()

    def grow(self, more_bytes: int) -> bool:
        """Whether a connection may have so much more memory; counted where it may. Less is always possible."""
        with self._lock:
            if more_bytes > 0 and self._room_bytes + more_bytes > MOST_ROOM_BYTES:
                return False
            self._room_bytes += more_bytes
            return True

    def hello(self) -> bytes:
        """Ports."""
        one = self._interface
        inputs = dict.fromkeys(one.sources, "media") | {port: kind.value for port, kind in one.types.items()}
        return messages.answer(inputs=inputs, outputs=list(one.outputs))

    def value(self, port: str) -> bytes:
        """The value of a parameter port."""
        if port not in self._interface.types:
            return messages.refusal("KeyError", f"no parameter port is called {port!r}")
        return messages.answer(value=self._interface.value(port))

    def get(self, request: messages.Get, hung_up: Callable[[], bool]) -> bytes | Pictures:
        """The next pictures."""
        for token in request.released:
            self.rings.release(token, request.client)
        port = self._ports.get(request.port)
        if port is None:
            return messages.refusal("KeyError", f"no media port is called {request.port!r}")
        with self._lock:
            self.figures.waiting += 1
        try:
            found = port.get(request, lambda: self._closed.is_set() or hung_up())
        except EndOfPictures:
            self.ended.set()
            self._closed.wait()
            raise PortClosed from None
        finally:
            with self._lock:
                self.figures.waiting -= 1
                self.figures.asked_s = self._monotonic()
        if found is None:
            return messages.refusal("TimeoutException", f"no new picture within {request.timeout_s:g} s")
        self.figures.pictures = sum(port.given for port in self._ports.values())
        return found

    def put(self, port: str, pictures: list[OutputPicture]) -> None:
        """Take pictures; of a port without an edge, too: that does nothing."""
        with self._lock:
            self.figures.puts += len(pictures)
        if port in self._interface.outputs:
            self._interface.sink.put(port, pictures)

    @property
    def pictures_wanted(self) -> bool:
        """Whether anybody looks at the pictures."""
        return self._interface.sink.pictures_wanted

    def call(self, node: str, inputs: dict[str, Any]) -> tuple[Any, ...]:
        """Run a model."""
        started_s = self._monotonic()
        outputs = self._interface.runner.run(node, inputs)
        with self._lock:
            self.figures.calls += 1
            self.figures.call_s.append(self._monotonic() - started_s)
        return outputs

    def refused(self) -> None:
        """Count a request that was refused."""
        with self._lock:
            self.figures.errors += 1
            self.figures.asked_s = self._monotonic()
