"""Serves the code of one application: a socket, a thread for each of its connections, nothing believed."""

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

import numpy as np

from vedette.adapters.frames import memory
from vedette.adapters.panorama import messages
from vedette.adapters.panorama.media_port import MediaPort, PortClosed
from vedette.adapters.panorama.rings import Rings
from vedette.adapters.unix_sockets import listen_at, peer_user
from vedette.contracts.errors import VedetteError
from vedette.contracts.manifest import PortType
from vedette.ports.panorama import EndOfPictures, OutputPicture, OutputSink, PictureSource, PortValue, TensorRunner

log = logging.getLogger(__name__)

#: Connections of one process: its threads that wait for something at the same time.
MOST_CONNECTIONS: Final = 32
#: Memory of all connections together, bytes.
MOST_ROOM_BYTES: Final = 1 << 30
#: Between two arrays in shared memory: each begins where any type may begin.
_ALIGNMENT: Final = 64
_TIMES: Final = 256
_CHANNELS: Final = 3


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
    """Serves one process, from its start to its end.

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
        self._connections: set[_Connection] = set()
        self._room_bytes = 0
        self.rings = Rings()
        self.figures = Figures(asked_s=monotonic())
        #: Set when the code has asked for a picture after the last one.
        self.ended = threading.Event()
        self._ports = {
            port: MediaPort(source, self.rings, interface.uris[port], self._closed, monotonic)
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
        for connection in connections:
            connection.join()
        self.rings.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                refused = len(self._connections) >= MOST_CONNECTIONS or peer_user(peer)[0] not in self._users
                if refused or self._closed.is_set():
                    peer.close()
                    self.figures.errors += refused
                    continue
                connection = _Connection(self, peer)
                self._connections.add(connection)
            connection.start()

    # -- for connections ----------------------------------------------------------------------------------------------

    def forget(self, connection: _Connection, room_bytes: int) -> None:
        """A connection has ended."""
        with self._lock:
            self._connections.discard(connection)
            self._room_bytes -= room_bytes

    def grow(self, more_bytes: int) -> bool:
        """Whether a connection may have so much more memory; counted where it may."""
        with self._lock:
            if self._room_bytes + more_bytes > MOST_ROOM_BYTES:
                return False
            self._room_bytes += more_bytes
            return True

    def hello(self) -> bytes:
        """Ports and models."""
        one = self._interface
        inputs = dict.fromkeys(one.sources, "media") | {port: kind.value for port, kind in one.types.items()}
        models = {
            node: {"inputs": [[entry.name, list(entry.shape), entry.type.value] for entry in inputs]}
            for node, inputs in one.runner.nodes.items()
        }
        return messages.answer(inputs=inputs, outputs=list(one.outputs), models=models)

    def value(self, port: str) -> bytes:
        """The value of a parameter port."""
        if port not in self._interface.types:
            return messages.refusal("KeyError", f"no parameter port is called {port!r}")
        return messages.answer(value=self._interface.value(port))

    def get(self, request: messages.Get) -> tuple[bytes, list[int]]:
        """The next pictures."""
        for token in request.released:
            self.rings.release(token)
        port = self._ports.get(request.port)
        if port is None:
            return messages.refusal("KeyError", f"no media port is called {request.port!r}"), []
        with self._lock:
            self.figures.waiting += 1
        try:
            found = port.get(request.timeout_s)
        except EndOfPictures:
            self.ended.set()
            self._closed.wait()
            raise PortClosed from None
        except TimeoutError:
            found = None
        finally:
            with self._lock:
                self.figures.waiting -= 1
                self.figures.asked_s = self._monotonic()
        if found is None:
            return messages.refusal("TimeoutException", f"no new picture within {request.timeout_s:g} s"), []
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


class _Connection:
    """One conversation, in a thread of its own."""

    def __init__(self, server: PanoramaServer, peer: socket.socket) -> None:
        self._server = server
        self._peer = peer
        self._room = np.empty(0, np.uint8)
        self._descriptor = -1
        self._parts: list[OutputPicture] = []
        self._thread = threading.Thread(target=self._serve, name="panorama-connection", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hang_up(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._peer.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait until it has ended; what it computes is not waited for longer than a moment."""
        self._thread.join(1.0)

    def _serve(self) -> None:
        try:
            while packet := self._peer.recv(messages.PACKET_BYTES + 1):
                data, descriptors = self._answer(packet)
                if len(data) > messages.PACKET_BYTES:
                    data, descriptors = messages.refusal("RuntimeError", "the answer is too long"), []
                if descriptors:
                    socket.send_fds(self._peer, [data], descriptors)
                else:
                    self._peer.send(data)
        except (OSError, PortClosed):
            pass  # the code, or the host, has hung up
        finally:
            self._peer.close()
            self._close_descriptor()
            self._server.forget(self, self._room.size)

    def _answer(self, packet: bytes) -> tuple[bytes, list[int]]:
        try:
            return self._do(messages.read_request(packet))
        except messages.NotUnderstood as error:
            kind, text = "ValueError", f"the request is not understood: {error}"
        except KeyError as error:
            kind, text = "KeyError", str(error.args[0]) if error.args else "not known"
        except ValueError as error:
            kind, text = "ValueError", str(error)
        except VedetteError as error:
            kind, text = "RuntimeError", f"{error.code} {error.message}"
        self._server.refused()
        return messages.refusal(kind, text), []

    def _do(self, request: messages.Request) -> tuple[bytes, list[int]]:
        server = self._server
        match request:
            case messages.Hello():
                return server.hello(), []
            case messages.Value():
                return server.value(request.port), []
            case messages.Get():
                return server.get(request)
            case messages.Room():
                return self._new_room(request.bytes, {})
            case messages.Put():
                return self._put(request), []
            case messages.Call():
                return self._call(request)

    def _new_room(self, size: int, answer: dict[str, Any]) -> tuple[bytes, list[int]]:
        """An answer that brings memory of another size."""
        if size > messages.ROOM_BYTES or not self._server.grow(size - self._room.size):
            raise ValueError(f"{size >> 20} MB of shared memory are more than an application may have")
        self._close_descriptor()
        self._descriptor, mapping = memory.create(
            "panorama-room", size, "an application's tensors", shared_writing=True
        )
        self._room = np.frombuffer(mapping, np.uint8)
        return messages.answer(**answer, room=size), [self._descriptor]

    def _close_descriptor(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _put(self, request: messages.Put) -> bytes:
        if request.part == 0:
            self._parts = []
        found = self._server.rings.find(request.media.token)
        if found is not None:
            handed, pixels = found
            image = request.media.image
            if image is not None:
                size = image.height * image.width * _CHANNELS
                pixels = self._bytes(image.offset, size).reshape(image.height, image.width, _CHANNELS)
            rects, labels = request.media.drawn()
            self._parts.append(OutputPicture(handed.stream, handed.info, rects, labels, pixels))
        if request.part + 1 >= request.of:
            parts, self._parts = self._parts, []
            self._server.put(request.port, parts)
        return messages.answer(ok=True, pictures=self._server.pictures_wanted)

    def _call(self, request: messages.Call) -> tuple[bytes, list[int]]:
        inputs = {}
        for entry in request.inputs:
            dtype = np.dtype(entry.dtype.value)
            flat = self._bytes(entry.offset, entry.count * dtype.itemsize)
            if entry.offset % dtype.itemsize:
                raise ValueError(f"the input {entry.name!r} does not begin where its numbers could")
            inputs[entry.name] = flat.view(dtype).reshape(entry.shape)
        outputs = [np.ascontiguousarray(output) for output in self._server.call(request.node, inputs)]
        entries, end = [], 0
        for output in outputs:
            shape, dtype_name = list(output.shape), output.dtype.name
            entries.append({"dtype": dtype_name, "shape": shape, "offset": end})
            end += -(-output.nbytes // _ALIGNMENT) * _ALIGNMENT
        data = messages.answer(outputs=entries)
        descriptors: list[int] = []
        if end > self._room.size:
            data, descriptors = self._new_room(end, {"outputs": entries})
        for output, place in zip(outputs, entries, strict=True):
            start = int(place["offset"])  # type: ignore[call-overload]
            self._room[start : start + output.nbytes] = output.reshape(-1).view(np.uint8)
        return data, descriptors

    def _bytes(self, offset: int, size: int) -> Any:
        if offset + size > self._room.size:
            raise ValueError(f"{size} bytes at {offset} are outside the {self._room.size} bytes of shared memory")
        return self._room[offset : offset + size]
