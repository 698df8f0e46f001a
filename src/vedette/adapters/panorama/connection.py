"""One conversation with the code of an application, in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from vedette.adapters.frames import memory
from vedette.adapters.panorama import messages
from vedette.adapters.panorama.media_port import Pictures, PortClosed
from vedette.adapters.panorama.rings import Rings
from vedette.contracts.errors import VedetteError
from vedette.ports.panorama import OutputPicture

log = logging.getLogger(__name__)

#: Between two arrays in shared memory: each begins where any type may begin.
_ALIGNMENT: Final = 64
_CHANNELS: Final = 3
#: Kinds of numbers that an array handed to the code may have: truth values, whole numbers, fractions.
_KINDS: Final = "biuf"


class Server(Protocol):
    """What answers to the requests of all connections."""

    @property
    def rings(self) -> Rings:
        """Pictures that the code holds."""
        ...

    @property
    def pictures_wanted(self) -> bool:
        """Whether anybody looks at the pictures that are put."""
        ...

    def hello(self) -> bytes:
        """Ports."""
        ...

    def value(self, port: str) -> bytes:
        """The value of a parameter port."""
        ...

    def get(self, request: messages.Get, hung_up: Any) -> bytes | Pictures:
        """The next pictures."""
        ...

    def put(self, port: str, pictures: list[OutputPicture]) -> None:
        """Take pictures."""
        ...

    def call(self, node: str, inputs: dict[str, Any]) -> tuple[Any, ...]:
        """Run a model."""
        ...

    def grow(self, more_bytes: int) -> bool:
        """Whether a connection may have so much more memory."""
        ...

    def refused(self) -> None:
        """Count a request that was refused."""
        ...

    def forget(self, connection: Connection, room_bytes: int) -> None:
        """A connection has ended."""
        ...


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer.

    Attributes:
        data: the packet.
        descriptors: that go with it, and are closed then.
        tokens: slots that the process has from then on.
        client: the process.
    """

    data: bytes
    descriptors: Sequence[int] = ()
    tokens: tuple[int, ...] = ()
    client: int = 0


class Connection:
    """One conversation, in a thread of its own.

    Args:
        server: answers.
        peer: the socket.
    """

    def __init__(self, server: Server, peer: socket.socket) -> None:
        self._server = server
        self._peer = peer
        self._room: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._client: int | None = None
        self._parts: list[OutputPicture] = []
        self._next_part = 0
        self._ends = select.poll()
        self._ends.register(peer, select.POLLRDHUP)
        self._thread = threading.Thread(target=self._serve, name="panorama-connection", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hang_up(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._peer.shutdown(socket.SHUT_RDWR)

    def join(self, limit_s: float) -> None:
        """Wait until it has ended, for so long."""
        self._thread.join(limit_s)

    def _serve(self) -> None:
        try:
            while packet := self._peer.recv(messages.PACKET_BYTES + 1):
                self._send(self._answer(packet))
        except (OSError, PortClosed):
            pass  # the code, or the host, has hung up
        finally:
            self._peer.close()
            if self._client is not None:
                self._server.rings.leave(self._client)
            self._server.forget(self, self._room.size)

    def _send(self, reply: _Reply) -> None:
        delivered = False
        try:
            if len(reply.data) > messages.PACKET_BYTES:
                self._peer.send(messages.refusal("RuntimeError", "the answer is too long"))
            elif reply.descriptors:
                socket.send_fds(self._peer, [reply.data], reply.descriptors)
                delivered = True
            else:
                self._peer.send(reply.data)
                delivered = True
        finally:
            for descriptor in reply.descriptors:
                os.close(descriptor)
            for token in () if delivered else reply.tokens:
                self._server.rings.release(token, reply.client)

    def _hung_up(self) -> bool:
        """Whether the code does not wait for the answer any more."""
        return bool(self._ends.poll(0))

    def _answer(self, packet: bytes) -> _Reply:
        try:
            return self._do(messages.read_request(packet))
        except PortClosed:
            raise
        except messages.NotUnderstood as error:
            kind, text = "ValueError", f"the request is not understood: {error}"
        except KeyError as error:
            kind, text = "KeyError", str(error.args[0]) if error.args else "not known"
        except ValueError as error:
            kind, text = "ValueError", str(error)
        except VedetteError as error:
            kind, text = "RuntimeError", f"{error.code} {error.message}"
        except Exception as error:  # the boundary of this thread: one request must not end the code
            log.exception("a request of the application's code failed")
            kind, text = "RuntimeError", f"the host failed: {type(error).__name__}"
        self._server.refused()
        return _Reply(messages.refusal(kind, text))

    def _do(self, request: messages.Request) -> _Reply:
        server = self._server
        match request:
            case messages.Hello():
                return self._hello(request)
            case messages.Value():
                return _Reply(server.value(request.port))
            case messages.Get():
                return self._get(request)
            case messages.Room():
                return self._new_room(request.bytes, {})
            case messages.Put():
                return self._put(request)
            case messages.Call():
                return self._call(request)

    def _hello(self, request: messages.Hello) -> _Reply:
        if self._client not in (None, request.client):
            raise ValueError("this connection has said hello with another number")
        if self._client is None:
            if not self._server.rings.join(request.client):
                raise ValueError("another process has this number")
            self._client = request.client
        return _Reply(self._server.hello())

    def _get(self, request: messages.Get) -> _Reply:
        if not self._server.rings.has(request.client):
            raise ValueError("no process with this number has said hello")
        found = self._server.get(request, self._hung_up)
        if isinstance(found, bytes):
            return _Reply(found)
        return _Reply(found.data, found.descriptors, found.tokens, request.client)

    def _new_room(self, size: int, answer: dict[str, Any]) -> _Reply:
        """An answer that brings memory of another size."""
        more = size - self._room.size
        if size > messages.ROOM_BYTES or not self._server.grow(more):
            raise ValueError(f"{size >> 20} MB of shared memory are more than an application may have")
        try:
            descriptor, mapping = memory.create("panorama-room", size, "an application's tensors", shared_writing=True)
        except VedetteError:
            self._server.grow(-more)
            raise
        self._room = np.frombuffer(mapping, np.uint8)
        return _Reply(messages.answer(**answer, room=size), [descriptor])

    def _put(self, request: messages.Put) -> _Reply:
        if request.part == 0:
            self._parts, self._next_part = [], 0
        if request.part != self._next_part or request.part >= request.of:
            raise ValueError(f"part {request.part} of {request.of} was not expected")
        self._next_part += 1
        found = self._server.rings.find(request.media.token)
        if found is not None:
            handed, pixels = found
            image = request.media.image
            if image is not None:
                size = image.height * image.width * _CHANNELS
                pixels = self._bytes(image.offset, size).reshape(image.height, image.width, _CHANNELS)
            rects, labels = request.media.drawn()
            self._parts.append(OutputPicture(handed.stream, handed.info, rects, labels, pixels))
        if self._next_part == request.of:
            parts, self._parts, self._next_part = self._parts, [], 0
            self._server.put(request.port, parts)
        return _Reply(messages.answer(ok=True, pictures=self._server.pictures_wanted))

    def _call(self, request: messages.Call) -> _Reply:
        if self._hung_up():  # it has waited for something else for too long
            raise PortClosed
        outputs = [np.ascontiguousarray(output) for output in self._server.call(request.node, self._inputs(request))]
        entries: list[dict[str, Any]] = []
        end = 0
        for output in outputs:
            if output.dtype.kind not in _KINDS:
                raise ValueError(f"the model gives {output.dtype}; only numbers can be handed on")
            entries.append({"dtype": output.dtype.name, "shape": list(output.shape), "offset": end})
            end += -(-output.nbytes // _ALIGNMENT) * _ALIGNMENT
        if end > self._room.size:
            reply = self._new_room(end, {"outputs": entries})
        else:
            reply = _Reply(messages.answer(outputs=entries))
        for output, entry in zip(outputs, entries, strict=True):
            self._room[entry["offset"] : entry["offset"] + output.nbytes] = output.reshape(-1).view(np.uint8)
        return reply

    def _inputs(self, request: messages.Call) -> dict[str, Any]:
        """The arrays, copied: what a model computes with must not change under it."""
        views = {}
        for entry in request.inputs:
            dtype = np.dtype(entry.dtype.value)
            flat = self._bytes(entry.offset, entry.count * dtype.itemsize)
            if entry.offset % dtype.itemsize:
                raise ValueError(f"the input {entry.name!r} does not begin where its numbers could")
            views[entry.name] = flat.view(dtype).reshape(entry.shape)
        if sum(view.nbytes for view in views.values()) > self._room.size:
            raise ValueError("the inputs are larger than the shared memory that they are in")
        return {name: np.array(view) for name, view in views.items()}

    def _bytes(self, offset: int, size: int) -> NDArray[np.uint8]:
        if offset + size > self._room.size:
            raise ValueError(f"{size} bytes at {offset} are outside the {self._room.size} bytes of shared memory")
        return self._room[offset : offset + size]
