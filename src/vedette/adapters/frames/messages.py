"""Messages between a frame store and its readers: one packet of a SOCK_SEQPACKET socket each, little-endian.

store → reader   RING (with the memory's descriptor) · WAKE · GRANT · NONE
reader → store   ARM · LATEST · RELEASE
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from vedette.contracts.errors import CoreError
from vedette.contracts.frames import FrameInfo

#: Raised when the layout of a message changes; both ends come from one release, so they must agree.
PROTOCOL_VERSION: Final = 3
#: Largest packet; texts are cut so that they fit.
PACKET_LIMIT_BYTES: Final = 2048
TEXT_LIMIT_BYTES: Final = 512

_RING: Final = struct.Struct("<BBHIQII")  # type, version, slots, ring, slot bytes, width, height; then the camera
_GRANT: Final = struct.Struct("<BBHIQQddddddHH")  # type, flags, slot, ring, lease, number, times, text lengths
_ARM: Final = struct.Struct("<BddQ")
_RELEASE: Final = struct.Struct("<BQ")
_FULL_RANGE: Final = 1

TYPE_RING: Final = 1
TYPE_WAKE: Final = 2
TYPE_GRANT: Final = 3
TYPE_NONE: Final = 4
TYPE_ARM: Final = 5
TYPE_LATEST: Final = 6
TYPE_RELEASE: Final = 7


@dataclass(frozen=True, slots=True)
class Ring:
    """The memory that pictures are in from now on; its descriptor travels with the packet.

    Attributes:
        ring: number of the ring within the store; a change of size makes a new one.
        slots: pictures it has room for.
        slot_bytes: distance between the starts of two slots.
        width: of every picture in it, pixels.
        height: of every picture in it, pixels.
        camera: the device's name of the camera.
    """

    ring: int
    slots: int
    slot_bytes: int
    width: int
    height: int
    camera: str

    @property
    def total_bytes(self) -> int:
        """Size of the memory."""
        return self.slots * self.slot_bytes


@dataclass(frozen=True, slots=True)
class Wake:
    """A picture that is due may be had."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A leased picture.

    Attributes:
        ring: which memory it is in.
        slot: where in it.
        lease: number for the release.
        granted_s: CLOCK_MONOTONIC.
        expires_s: CLOCK_MONOTONIC; until then the slot is not overwritten.
        full_range: as in ``Pixels``.
        info: identity and time; camera and size are the ring's.
    """

    ring: int
    slot: int
    lease: int
    granted_s: float
    expires_s: float
    full_range: bool
    info: FrameInfo


@dataclass(frozen=True, slots=True)
class Nothing:
    """No picture that the reader has not had, or none due yet."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Wake me once. ``after_s`` is the time of the last picture had (minus infinity: none)."""

    after_s: float
    interval_s: float
    release: int = 0


@dataclass(frozen=True, slots=True)
class Latest:
    """Lease me the freshest picture. ``release`` is a lease given back at the same time (0: none)."""

    release: int = 0


@dataclass(frozen=True, slots=True)
class Release:
    """The picture is not needed any more."""

    lease: int


Message = Ring | Wake | Grant | Nothing | Arm | Latest | Release


def encode(message: Message) -> bytes:
    """One packet. Texts longer than ``TEXT_LIMIT_BYTES`` are cut."""
    match message:
        case Ring():
            return (
                _RING.pack(
                    TYPE_RING,
                    PROTOCOL_VERSION,
                    message.slots,
                    message.ring,
                    message.slot_bytes,
                    message.width,
                    message.height,
                )
                + message.camera.encode()
            )
        case Grant():
            info = message.info
            epoch, gap = _cut(info.epoch), _cut(info.gap_reason)
            head = _GRANT.pack(
                TYPE_GRANT,
                _FULL_RANGE if message.full_range else 0,
                message.slot,
                message.ring,
                message.lease,
                info.frame_no,
                info.t_s,
                info.media_time_s,
                info.wall_s,
                info.still_s,
                message.granted_s,
                message.expires_s,
                len(epoch),
                len(gap),
            )
            return head + epoch + gap
        case Arm():
            return _ARM.pack(TYPE_ARM, message.after_s, message.interval_s, message.release)
        case Release():
            return _RELEASE.pack(TYPE_RELEASE, message.lease)
        case Wake():
            return bytes((TYPE_WAKE,))
        case Nothing():
            return bytes((TYPE_NONE,))
        case Latest():
            return _RELEASE.pack(TYPE_LATEST, message.release)


def decode(packet: bytes, ring: Ring | None = None) -> Message:
    """Read one packet.

    Args:
        packet: as received.
        ring: the ring in use, which tells a GRANT its camera and size.

    Raises:
        CoreError: V605, not a message of this protocol version.
    """
    try:
        return _decode(packet, ring)
    except (struct.error, UnicodeDecodeError, ValueError, IndexError) as error:
        raise CoreError(
            f"a packet of {len(packet)} bytes on a frame socket is not a message of version {PROTOCOL_VERSION}: "
            f"{error}.",
            hint="Both processes must come from the same release; restart the components.",
            code="V605",
        ) from error


def _decode(packet: bytes, ring: Ring | None) -> Message:
    kind = packet[0]
    if kind == TYPE_GRANT:
        return _decode_grant(packet, ring)
    if kind == TYPE_RING:
        _, version, slots, number, slot_bytes, width, height = _RING.unpack_from(packet)
        if version != PROTOCOL_VERSION:
            raise ValueError(f"version {version}")
        if not (slots and slot_bytes and width and height):
            raise ValueError("a ring without room")
        return Ring(number, slots, slot_bytes, width, height, packet[_RING.size :].decode())
    if kind == TYPE_ARM:
        _, after_s, interval_s, release = _ARM.unpack(packet)
        if not 0 <= interval_s < 1e6 or after_s != after_s:
            raise ValueError(f"interval {interval_s}")
        return Arm(after_s, interval_s, release)
    if kind == TYPE_RELEASE:
        return Release(_RELEASE.unpack(packet)[1])
    if kind == TYPE_LATEST:
        return Latest(_RELEASE.unpack(packet)[1])
    if len(packet) != 1:
        raise ValueError("more bytes than the type has")
    if kind == TYPE_WAKE:
        return Wake()
    if kind == TYPE_NONE:
        return Nothing()
    raise ValueError(f"type {kind}")


def _decode_grant(packet: bytes, ring: Ring | None) -> Grant:
    if ring is None:
        raise ValueError("a grant before the ring")
    (
        _,
        flags,
        slot,
        number,
        lease,
        frame_no,
        t_s,
        media_s,
        wall_s,
        still_s,
        granted_s,
        expires_s,
        epoch_size,
        gap_size,
    ) = _GRANT.unpack_from(packet)
    texts = packet[_GRANT.size :]
    if len(texts) != epoch_size + gap_size or number != ring.ring or slot >= ring.slots:
        raise ValueError("a grant that does not fit the ring")
    info = FrameInfo(
        camera=ring.camera,
        epoch=texts[:epoch_size].decode(),
        frame_no=frame_no,
        t_s=t_s,
        media_time_s=media_s,
        wall_s=wall_s,
        width=ring.width,
        height=ring.height,
        gap_reason=texts[epoch_size:].decode(),
        still_s=still_s,
    )
    return Grant(number, slot, lease, granted_s, expires_s, bool(flags & _FULL_RANGE), info)


def _cut(text: str) -> bytes:
    return text.encode()[:TEXT_LIMIT_BYTES].decode(errors="ignore").encode()
