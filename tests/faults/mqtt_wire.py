"""The little of MQTT 5 that a broker of tests needs (OASIS standard, version 5.0, chapter 3)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

CONNECT: Final = 1
PUBLISH: Final = 3
PUBACK: Final = 4
SUBSCRIBE: Final = 8
PINGREQ: Final = 12
DISCONNECT: Final = 14


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet: its type, the flags of its first byte, and what follows the length."""

    kind: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Publish:
    """A message that wants an acknowledgement where ``packet_id`` is not 0."""

    topic: str
    packet_id: int
    payload: bytes


async def read(reader: asyncio.StreamReader) -> Packet:
    """The next packet.

    Raises:
        asyncio.IncompleteReadError: the connection ended.
    """
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return Packet(first >> 4, first & 0x0F, await reader.readexactly(length))


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    """A packet as it is sent."""
    out = bytearray([kind << 4 | flags])
    length = len(body)
    while True:
        byte, length = length & 0x7F, length >> 7
        out.append(byte | (0x80 if length else 0))
        if not length:
            return bytes(out) + body


def connack() -> bytes:
    """Accepted, a clean session."""
    return packet(2, b"\x00\x00\x00")


def puback(packet_id: int, reason: int = 0) -> bytes:
    """The broker's word on a message: from 128 it is a refusal."""
    return packet(PUBACK, packet_id.to_bytes(2, "big") + (bytes([reason, 0]) if reason else b""))


def suback(body: bytes) -> bytes:
    """Everything that was asked for, with QoS 0."""
    return packet(9, body[:2] + b"\x00" + b"\x00")


def pingresp() -> bytes:
    return packet(13, b"")


def publish(topic: str, payload: bytes) -> bytes:
    """To a subscriber, with QoS 0."""
    name = topic.encode()
    return packet(PUBLISH, len(name).to_bytes(2, "big") + name + b"\x00" + payload)


def parse_publish(found: Packet) -> Publish:
    """A message of a client, its properties left out."""
    size = int.from_bytes(found.body[:2], "big")
    topic, at = found.body[2 : 2 + size].decode(), 2 + size
    packet_id = 0
    if found.flags & 0x06:
        packet_id, at = int.from_bytes(found.body[at : at + 2], "big"), at + 2
    properties, at = _length(found.body, at)
    return Publish(topic, packet_id, found.body[at + properties :])


def _length(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
