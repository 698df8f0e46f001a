"""The event-stream framing that Greengrass components speak on their Unix socket.

Frame, big-endian: total length u32, headers length u32, CRC32 of those eight bytes, headers, payload, CRC32 of
everything before it. Header: name length u8, name, type u8, value. Lengths are checked against a limit before
anything is stored, so a hostile peer costs at most one frame of memory.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Final

from vedette.contracts.errors import CoreError

PRELUDE_BYTES: Final = 12
TRAILER_BYTES: Final = 4
MAX_FRAME_BYTES: Final = 1 << 20
MAX_HEADERS_BYTES: Final = 1 << 14

HeaderValue = bool | int | bytes | str

_INT_BYTES: Final[dict[int, int]] = {2: 1, 3: 2, 4: 4, 5: 8, 8: 8}
_UUID_TYPE: Final = 9


class WireError(CoreError):
    """Bytes that do not follow the framing; the connection they came from cannot be trusted any further."""

    default_code = "V605"


class MessageType(IntEnum):
    """What a frame is for."""

    APPLICATION_MESSAGE = 0
    APPLICATION_ERROR = 1
    PING = 2
    PING_RESPONSE = 3
    CONNECT = 4
    CONNECT_ACK = 5
    PROTOCOL_ERROR = 6
    INTERNAL_ERROR = 7


class MessageFlag(IntFlag):
    """Bits of ``:message-flags``."""

    CONNECTION_ACCEPTED = 1
    TERMINATE_STREAM = 2


@dataclass(frozen=True, slots=True)
class Message:
    """One frame.

    Attributes:
        message_type: ``:message-type``.
        flags: ``:message-flags``, a sum of ``MessageFlag``.
        stream_id: ``:stream-id``; 0 for the connection itself.
        headers: every other header, by name.
        payload: the body.
    """

    message_type: int
    flags: int = 0
    stream_id: int = 0
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    payload: bytes = b""

    def text(self, name: str) -> str | None:
        """A string header, or None where it is absent or of another type."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else None


def _encode_header(name: str, value: HeaderValue) -> bytes:
    raw_name = name.encode()
    if not 1 <= len(raw_name) <= 255:
        raise WireError(f"header name of {len(raw_name)} bytes; 1 to 255 are allowed.")
    head = bytes([len(raw_name)]) + raw_name
    if isinstance(value, bool):
        return head + (b"\x00" if value else b"\x01")
    if isinstance(value, int):
        if -(1 << 31) <= value < 1 << 31:
            return head + struct.pack(">Bi", 4, value)
        if -(1 << 63) <= value < 1 << 63:
            return head + struct.pack(">Bq", 5, value)
        raise WireError(f"header {name!r}: the integer does not fit 64 bits.")
    raw = value if isinstance(value, bytes) else value.encode()
    if len(raw) > 0xFFFF:
        raise WireError(f"header {name!r}: value of {len(raw)} bytes; at most 65535 are allowed.")
    return head + struct.pack(">BH", 6 if isinstance(value, bytes) else 7, len(raw)) + raw


def encode(message: Message) -> bytes:
    """The bytes of one frame.

    Raises:
        WireError: a header name or value cannot be represented.
    """
    fields: dict[str, HeaderValue] = {
        ":message-type": int(message.message_type),
        ":message-flags": int(message.flags),
        ":stream-id": int(message.stream_id),
    }
    fields.update(message.headers)
    headers = b"".join(_encode_header(name, value) for name, value in fields.items())
    total = PRELUDE_BYTES + len(headers) + len(message.payload) + TRAILER_BYTES
    prelude = struct.pack(">II", total, len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + message.payload
    return body + struct.pack(">I", zlib.crc32(body))


class _Cursor:
    """Reads header fields from a block and refuses to run past its end."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._block)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._block):
            raise WireError("a header runs past the end of the header block.")
        piece = self._block[self._at : end]
        self._at = end
        return piece


def _decode_value(cursor: _Cursor) -> HeaderValue:
    kind = cursor.take(1)[0]
    if kind in (0, 1):
        return kind == 0
    if kind in _INT_BYTES:
        return int.from_bytes(cursor.take(_INT_BYTES[kind]), "big", signed=True)
    if kind in (6, 7):
        raw = cursor.take(int.from_bytes(cursor.take(2), "big"))
        return raw if kind == 6 else _utf8(raw)
    if kind == _UUID_TYPE:
        return cursor.take(16)
    raise WireError(f"header of unknown type {kind}; 0 to 9 are allowed.")


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise WireError("a header is not valid UTF-8.") from None


def _decode_headers(block: bytes) -> dict[str, HeaderValue]:
    cursor = _Cursor(block)
    headers: dict[str, HeaderValue] = {}
    while cursor.more():
        name = _utf8(cursor.take(cursor.take(1)[0]))
        if not name or name in headers:
            raise WireError(f"header name {name!r} is empty or given twice.")
        headers[name] = _decode_value(cursor)
    return headers


def _message(headers: dict[str, HeaderValue], payload: bytes) -> Message:
    numbers: list[int] = []
    for name, default in ((":message-type", None), (":message-flags", 0), (":stream-id", 0)):
        value = headers.pop(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise WireError(f"header {name!r} is missing or no integer.")
        numbers.append(value)
    kind, flags, stream = numbers
    return Message(kind, flags, stream, headers, payload)


class FrameDecoder:
    """Turns a byte stream into messages, keeping at most one incomplete frame.

    Args:
        max_frame_bytes: longest frame accepted, prelude and checksums included.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max = max_frame_bytes
        self._buffer = bytearray()

    @property
    def pending_bytes(self) -> int:
        """Bytes of an incomplete frame kept so far."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Message]:
        """Every message completed by these bytes, in order.

        Raises:
            WireError: a checksum, a length or a header is wrong. The decoder must not be used afterwards.
        """
        self._buffer += data
        messages: list[Message] = []
        while len(self._buffer) >= PRELUDE_BYTES:
            total, headers_length, checksum = struct.unpack_from(">III", self._buffer)
            if zlib.crc32(self._buffer[:8]) != checksum:
                raise WireError("the checksum of a frame's first bytes is wrong.")
            if not PRELUDE_BYTES + TRAILER_BYTES <= total <= self._max:
                raise WireError(f"a frame claims {total} bytes; at most {self._max} are allowed.")
            room = total - PRELUDE_BYTES - TRAILER_BYTES
            if headers_length > min(room, MAX_HEADERS_BYTES):
                raise WireError(f"a frame claims {headers_length} bytes of headers, more than allowed.")
            if len(self._buffer) < total:
                break
            frame = bytes(self._buffer[:total])
            del self._buffer[:total]
            if zlib.crc32(frame[:-4]) != int.from_bytes(frame[-4:], "big"):
                raise WireError("the checksum of a frame is wrong.")
            split = PRELUDE_BYTES + headers_length
            messages.append(_message(_decode_headers(frame[PRELUDE_BYTES:split]), frame[split:-4]))
        return messages
