"""Fields of a protocol buffer, without a library and without its schema: plain Python, so a hostile file harms nothing.

The wire format is that of https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5


class MalformedError(ValueError):
    """The bytes are no protocol buffer."""


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: of the field.
        kind: wire type.
        content: of a field of bytes or of fixed size.
        integer: of a field of variable length.
    """

    number: int
    kind: int
    content: memoryview
    integer: int


def fields(view: memoryview) -> Iterator[Field]:
    """All fields of a message, in their order. Whoever reads foreign files counts them.

    Raises:
        MalformedError: here begins something else.
    """
    at, end = 0, len(view)
    while at < end:
        key, at = _varint(view, at)
        number, kind = key >> 3, key & 7
        integer, size = 0, 0
        if kind == VARINT:
            integer, at = _varint(view, at)
        elif kind == BYTES:
            size, at = _varint(view, at)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise MalformedError(f"field {number} has the wire type {kind}")
        if number == 0:
            raise MalformedError("a field has the number 0")
        if size > end - at:
            raise MalformedError(f"field {number} ends {size - (end - at)} bytes behind the end")
        yield Field(number, kind, view[at : at + size], integer)
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """A variable-length integer, at most 64 bits as parsers read it, and where the next thing starts."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise MalformedError("it ends within a number")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise MalformedError("a number has more than 10 bytes")
