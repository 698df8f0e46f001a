"""Packets: every coded picture comes back from its payloads; headers and reports are as the RFCs say."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.testing.camera.bitstream import Codec
from vedette.testing.camera.media import AccessUnit, Media
from vedette.testing.camera.rtp import (
    MAX_PAYLOAD_BYTES,
    NTP_EPOCH_OFFSET_S,
    interleaved,
    packetise,
    rtp_packet,
    sender_report,
)
from vedette.testing.camera.sdp import describe


def reassemble(codec: Codec, payloads: list[bytes]) -> list[bytes]:
    """NAL units out of payloads, as a receiver does it; fails on a fragment out of place."""
    nals: list[bytes] = []
    partial: bytes | None = None
    for data in payloads:
        kind = data[0] & 31 if codec == "h264" else data[0] >> 1 & 63
        if codec == "h264" and kind == 24:
            position = 1
            while position < len(data):
                size = int.from_bytes(data[position : position + 2])
                nals.append(data[position + 2 : position + 2 + size])
                position += 2 + size
            continue
        if kind not in (28, 49):
            assert partial is None
            nals.append(data)
            continue
        header, body = (data[1], data[2:]) if codec == "h264" else (data[2], data[3:])
        if header & 0x80:
            assert partial is None
            start = (
                bytes((data[0] & 0xE0 | header & 31,))
                if codec == "h264"
                else bytes((data[0] & 0x81 | (header & 63) << 1, data[1]))
            )
            partial = start + body
        else:
            assert partial is not None
            partial += body
        if header & 0x40:
            assert partial is not None
            nals.append(partial)
            partial = None
    assert partial is None
    return nals


@given(
    st.sampled_from(["h264", "h265"]),
    st.lists(st.integers(3, 5000), min_size=1, max_size=4),
    st.lists(st.integers(4, 900), max_size=3),
    st.randoms(use_true_random=False),
)
def test_pictures_survive_packets(codec: Codec, sizes: list[int], sets: list[int], random: object) -> None:
    head = b"\x65" if codec == "h264" else b"\x26\x01"
    set_head = b"\x67" if codec == "h264" else b"\x42\x01"
    fill = random.randbytes  # type: ignore[attr-defined]
    nals = tuple(head + fill(size) for size in sizes)
    parameter_sets = tuple(set_head + fill(size) for size in sets)
    payloads = packetise(codec, AccessUnit(nals, parameter_sets, 0, 0, True))
    assert all(0 < len(p.data) <= MAX_PAYLOAD_BYTES for p in payloads)
    assert reassemble(codec, [p.data for p in payloads]) == [*parameter_sets, *nals]
    assert [p.nal for p in payloads if p.nal >= 0] == sorted(p.nal for p in payloads if p.nal >= 0)
    bare = packetise(codec, AccessUnit(nals, parameter_sets, 0, 0, True), parameter_sets=False)
    assert reassemble(codec, [p.data for p in bare]) == list(nals)


def test_h264_parameter_sets_travel_together(media: Callable[..., Media]) -> None:
    loaded = media("h264")
    first = packetise("h264", loaded.units[0])[0]
    assert first.data[0] & 31 == 24
    assert reassemble("h264", [first.data]) == list(loaded.parameter_sets)


def test_jpeg_offsets_and_tables(media: Callable[..., Media]) -> None:
    payloads = packetise("jpeg", media("mjpeg").units[0])
    offset = 0
    for number, payload in enumerate(payloads):
        kind, quality, width, height = payload.data[4:8]
        assert int.from_bytes(payload.data[:4]) == offset
        assert (kind & 63, quality, width * 8, height * 8) == (1, 255, 320, 240)
        if number == 0:
            assert payload.data[payload.fragile_from - 132 : payload.fragile_from - 128] == b"\x00\x00\x00\x80"
        offset += len(payload.data) - payload.fragile_from


def test_header_fields_wrap() -> None:
    packet = rtp_packet(b"x", kind=96, marker=True, sequence=65536 + 5, timestamp=2**32 + 7, ssrc=9)
    assert struct.unpack("!BBHII", packet[:12]) == (0x80, 0x80 | 96, 5, 7, 9)


def test_sender_report_holds_wall_clock_and_rtp_time() -> None:
    report = sender_report(ssrc=7, wall_time_s=1.5, rtp_time=2**32 + 11, packets=3, octets=400)
    head, kind, words, ssrc, seconds, fraction, rtp, packets, octets = struct.unpack("!BBHIIIIII", report[:28])
    assert (head, kind, words, ssrc) == (0x80, 200, 6, 7)
    assert (seconds, fraction) == (NTP_EPOCH_OFFSET_S + 1, 1 << 31)
    assert (rtp, packets, octets) == (11, 3, 400)
    assert len(report[28:]) == 4 * (1 + int.from_bytes(report[30:32]))


def test_interleaved_frames_are_joined() -> None:
    assert interleaved([b"ab", b"c"], 3) == b"$\x03\x00\x02ab$\x03\x00\x01c"


@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
def test_session_description(media: Callable[..., Media], codec: str) -> None:
    loaded = media(codec)
    lines = describe(loaded, name="hall", host="127.0.0.1", session=5).decode().split("\r\n")
    video = next(line for line in lines if line.startswith("m="))
    if codec == "mjpeg":
        assert video == "m=video 0 RTP/AVP 26"
        return
    number = {"h264": 96, "h265": 97}[codec]
    assert video == f"m=video 0 RTP/AVP {number}"
    assert f"a=rtpmap:{number} {codec.upper()}/90000" in lines
    values = next(line for line in lines if line.startswith("a=fmtp:"))
    assert all(base64.b64encode(nal).decode() in values for nal in loaded.parameter_sets)
    bare = describe(loaded, name="hall", host="127.0.0.1", session=5, parameter_sets=False).decode()
    assert "sprop" not in bare
