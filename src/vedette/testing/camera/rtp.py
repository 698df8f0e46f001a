"""RTP payloads and headers, RTCP sender reports.

Sources: RFC 3550 (RTP, RTCP), RFC 6184 (H.264: single NAL unit, STAP-A for parameter sets, FU-A), RFC 7798
(H.265: single NAL unit, FU), RFC 2435 (JPEG).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from vedette.testing.camera.bitstream import Codec
from vedette.testing.camera.jpeg import parse_jpeg
from vedette.testing.camera.media import AccessUnit

MAX_PAYLOAD_BYTES: Final = 1400
"""RTP payload that fits an Ethernet frame with room for tunnels."""

PAYLOAD_TYPES: Final[dict[Codec, int]] = {"h264": 96, "h265": 97, "jpeg": 26}
RTP_HEADER_BYTES: Final = 12
NTP_EPOCH_OFFSET_S: Final = 2_208_988_800
"""Seconds from 1900 (NTP) to 1970 (Unix)."""

_H264_STAP_A: Final = 24
_H264_FU_A: Final = 28
_H265_FU: Final = 49


@dataclass(frozen=True, slots=True)
class Payload:
    """The payload of one RTP packet.

    Attributes:
        data: bytes after the RTP header.
        nal: index of the NAL unit it belongs to, -1 for parameter sets.
        fragile_from: offset in ``data`` after which bit errors hit coded picture data only, not headers.
    """

    data: bytes
    nal: int
    fragile_from: int


def packetise(codec: Codec, unit: AccessUnit, *, parameter_sets: bool = True) -> list[Payload]:
    """Cut one picture into RTP payloads of at most ``MAX_PAYLOAD_BYTES``.

    Args:
        codec: coding of ``unit``.
        unit: the picture.
        parameter_sets: whether a key picture is preceded by its parameter sets.
    """
    if codec == "jpeg":
        return _jpeg_payloads(unit.nals[0])
    sets = list(unit.parameter_sets) if parameter_sets else []
    if codec == "h264":
        return _h264_sets(sets) + [p for i, nal in enumerate(unit.nals) for p in _h264_nal(nal, i)]
    return [p for nal in sets for p in _h265_nal(nal, -1)] + [
        p for i, nal in enumerate(unit.nals) for p in _h265_nal(nal, i)
    ]


def rtp_packet(payload: bytes, *, kind: int, marker: bool, sequence: int, timestamp: int, ssrc: int) -> bytes:
    """Return one RTP packet; sequence and time stamp are taken modulo their field."""
    head = struct.pack("!BBHII", 0x80, kind | (0x80 if marker else 0), sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    return head + payload


def sender_report(*, ssrc: int, wall_time_s: float, rtp_time: int, packets: int, octets: int) -> bytes:
    """Return an RTCP compound packet: sender report and source description."""
    ntp = int((wall_time_s + NTP_EPOCH_OFFSET_S) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF
    report = struct.pack(
        "!BBHIQIII", 0x80, 200, 6, ssrc, ntp, rtp_time & 0xFFFFFFFF, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF
    )
    name = b"camera"
    item = bytes((1, len(name))) + name + b"\x00"
    item += bytes(-len(item) % 4)
    return report + struct.pack("!BBHI", 0x81, 202, 1 + len(item) // 4, ssrc) + item


def interleaved(packets: list[bytes], channel: int) -> bytes:
    """Frame packets for RTSP over TCP (RFC 2326 section 10.12), joined into one buffer."""
    return b"".join(part for p in packets for part in (struct.pack("!BBH", 0x24, channel, len(p)), p))


def _h264_sets(sets: list[bytes]) -> list[Payload]:
    if not sets:
        return []
    size = 1 + sum(2 + len(nal) for nal in sets)
    if len(sets) == 1 or size > MAX_PAYLOAD_BYTES:
        return [p for nal in sets for p in _h264_nal(nal, -1)]
    reference = max(nal[0] & 0x60 for nal in sets)
    body = b"".join(len(nal).to_bytes(2) + nal for nal in sets)
    return [Payload(bytes((reference | _H264_STAP_A,)) + body, -1, size)]


def _h264_nal(nal: bytes, index: int) -> list[Payload]:
    if len(nal) <= MAX_PAYLOAD_BYTES:
        return [Payload(nal, index, 1)]
    indicator, kind = nal[0] & 0xE0 | _H264_FU_A, nal[0] & 0x1F
    step = MAX_PAYLOAD_BYTES - 2
    result: list[Payload] = []
    for begin in range(1, len(nal), step):
        flags = (0x80 if begin == 1 else 0) | (0x40 if begin + step >= len(nal) else 0)
        result.append(Payload(bytes((indicator, flags | kind)) + nal[begin : begin + step], index, 2))
    return result


def _h265_nal(nal: bytes, index: int) -> list[Payload]:
    if len(nal) <= MAX_PAYLOAD_BYTES:
        return [Payload(nal, index, 2)]
    header = bytes((nal[0] & 0x81 | _H265_FU << 1, nal[1]))
    kind = (nal[0] >> 1) & 0x3F
    step = MAX_PAYLOAD_BYTES - 3
    result: list[Payload] = []
    for begin in range(2, len(nal), step):
        flags = (0x80 if begin == 2 else 0) | (0x40 if begin + step >= len(nal) else 0)
        result.append(Payload(header + bytes((flags | kind,)) + nal[begin : begin + step], index, 3))
    return result


def _jpeg_payloads(data: bytes) -> list[Payload]:
    image = parse_jpeg(data)
    restart = struct.pack("!HH", image.restart_interval, 0xFFFF) if image.restart_interval else b""
    result: list[Payload] = []
    offset = 0
    while offset < len(image.scan):
        head = struct.pack("!I", offset) + bytes((image.kind, 255, image.width // 8, image.height // 8)) + restart
        if offset == 0:
            head += struct.pack("!BBH", 0, 0, len(image.tables)) + image.tables
        part = image.scan[offset : offset + MAX_PAYLOAD_BYTES - len(head)]
        result.append(Payload(head + part, 0, len(head)))
        offset += len(part)
    return result
