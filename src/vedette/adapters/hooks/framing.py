"""Messages between a warden and the process it watches: a length of four bytes, then one JSON object. Standard library.

Descriptors travel from the warden only: its own end is read with a plain ``recv``, so the kernel closes whatever the
other side may have attached.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

_LENGTH: Final = struct.Struct("!I")
#: Largest message from the confined process: a state of 64 KB, escaped twice at worst, and sixteen alerts.
ANSWER_LIMIT_BYTES: Final = 512 << 10
#: Largest message to it: a track batch with every object that fits one.
CALL_LIMIT_BYTES: Final = 8 << 20
#: Descriptors taken with one read.
_DESCRIPTORS: Final = 4


class FramingError(Exception):
    """The other side does not follow the protocol."""


def encode(message: dict[str, Any]) -> bytes:
    """One message as it travels."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Cuts a stream into messages; for the warden's side, which waits for nothing.

    Args:
        limit_bytes: largest message.
    """

    def __init__(self, limit_bytes: int = ANSWER_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """Messages completed by ``chunk``.

        Raises:
            FramingError: a message is too large or no JSON object.
        """
        self._buffer += chunk
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            if size > self._limit:
                raise FramingError(f"a message of {size} bytes; at most {self._limit} are allowed")
            if len(self._buffer) < _LENGTH.size + size:
                return
            body = bytes(self._buffer[_LENGTH.size : _LENGTH.size + size])
            del self._buffer[: _LENGTH.size + size]
            yield _parsed(body)


def receive(source: socket.socket, descriptors: list[int]) -> dict[str, Any] | None:
    """The next message, waiting for it; None where the other side is gone. For the confined process.

    Args:
        source: blocking.
        descriptors: those that came with it are added.

    Raises:
        FramingError: the message is too large or no JSON object.
    """
    head = _exactly(source, _LENGTH.size, descriptors)
    if head is None:
        return None
    (size,) = _LENGTH.unpack(head)
    if size > CALL_LIMIT_BYTES:
        raise FramingError(f"a message of {size} bytes")
    body = _exactly(source, size, descriptors)
    return None if body is None else _parsed(body)


def send(target: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send a message, waiting until there is room.

    Raises:
        OSError: the other side is gone.
    """
    data = encode(message)
    if descriptors:
        sent = socket.send_fds(target, [data], list(descriptors))
        data = data[sent:]
    target.sendall(data)


def _exactly(source: socket.socket, size: int, descriptors: list[int]) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        try:
            chunk, found, _, _ = socket.recv_fds(source, size - len(data), _DESCRIPTORS)
        except ConnectionError:
            return None
        descriptors.extend(found)
        if not chunk:
            return None
        data += chunk
    return bytes(data)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FramingError("a message that is no JSON") from error
    if not isinstance(message, dict):
        raise FramingError("a message that is no JSON object")
    return message
