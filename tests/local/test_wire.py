"""The framing: what is encoded comes back, what is damaged never does."""

from __future__ import annotations

import contextlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.local.conftest import PROPERTY
from vedette.local.wire import MAX_HEADERS_BYTES, FrameDecoder, Message, MessageType, WireError, encode

_names = st.text(min_size=1, max_size=20).filter(
    lambda name: name not in (":message-type", ":message-flags", ":stream-id")
)
_values = st.one_of(
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.text(max_size=50),
    st.binary(max_size=50),
)
messages = st.builds(
    Message,
    message_type=st.integers(0, 7),
    flags=st.integers(0, 3),
    stream_id=st.integers(0, (1 << 31) - 1),
    headers=st.dictionaries(_names, _values, max_size=5),
    payload=st.binary(max_size=300),
)


@given(st.lists(messages, max_size=4), st.integers(1, 64))
@PROPERTY
def test_round_trip_in_pieces_of_any_size(sent: list[Message], piece: int) -> None:
    stream = b"".join(encode(message) for message in sent)
    decoder = FrameDecoder()
    got = [m for at in range(0, len(stream), piece) for m in decoder.feed(stream[at : at + piece])]
    assert got == sent
    assert decoder.pending_bytes == 0


@given(messages, st.data())
@PROPERTY
def test_one_wrong_byte_is_noticed(message: Message, data: st.DataObject) -> None:
    frame = bytearray(encode(message))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= data.draw(st.integers(1, 255))
    try:
        got = FrameDecoder().feed(bytes(frame))
    except WireError:
        return
    assert got == []  # a longer frame is claimed and awaited; nothing false came out


@given(messages, st.data())
@PROPERTY
def test_a_truncated_frame_gives_nothing(message: Message, data: st.DataObject) -> None:
    frame = encode(message)
    cut = data.draw(st.integers(0, len(frame) - 1))
    decoder = FrameDecoder()
    assert decoder.feed(frame[:cut]) == []
    assert decoder.feed(frame[cut:]) == [message]


@given(st.binary(max_size=200))
@PROPERTY
def test_noise_raises_nothing_but_wire_errors(noise: bytes) -> None:
    decoder = FrameDecoder()
    with contextlib.suppress(WireError):
        decoder.feed(noise)
    assert decoder.pending_bytes <= 200


@given(st.binary(max_size=80))
@PROPERTY
def test_noisy_headers_raise_nothing_but_wire_errors(block: bytes) -> None:
    prelude = struct.pack(">II", 16 + len(block), len(block))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + block
    frame = body + struct.pack(">I", zlib.crc32(body))
    with contextlib.suppress(WireError):
        assert len(FrameDecoder().feed(frame)) == 1


def _prelude(total: int, headers: int) -> bytes:
    raw = struct.pack(">II", total, headers)
    return raw + struct.pack(">I", zlib.crc32(raw))


@pytest.mark.parametrize(
    ("total", "headers"),
    [(15, 0), (0xFFFFFFFF, 0), (1001, 0), (100, 85), (1000, MAX_HEADERS_BYTES + 1), (16, 1)],
)
def test_a_claimed_length_is_refused_before_it_costs_memory(total: int, headers: int) -> None:
    with pytest.raises(WireError):
        FrameDecoder(max_frame_bytes=1000).feed(_prelude(total, headers))


def test_the_longest_frame_is_accepted_and_one_byte_more_is_not() -> None:
    message = Message(MessageType.APPLICATION_MESSAGE, payload=b"x" * 500)
    size = len(encode(message))
    assert FrameDecoder(size).feed(encode(message)) == [message]
    with pytest.raises(WireError):
        FrameDecoder(size - 1).feed(encode(message))


def test_the_bytes_are_those_of_the_aws_library() -> None:
    """A CONNECT frame built by hand from the published layout."""
    headers = (
        b"\x0d:message-type\x04\x00\x00\x00\x04"
        b"\x0e:message-flags\x04\x00\x00\x00\x00"
        b"\x0a:stream-id\x04\x00\x00\x00\x00"
        b"\x08:version\x07\x00\x050.1.0"
    )
    payload = b'{"authToken":"t"}'
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    expected = body + struct.pack(">I", zlib.crc32(body))
    connect = Message(MessageType.CONNECT, headers={":version": "0.1.0"}, payload=payload)
    assert encode(connect) == expected
    assert FrameDecoder().feed(expected) == [connect]


def test_header_limits() -> None:
    with pytest.raises(WireError, match="255"):
        encode(Message(0, headers={"n" * 256: "v"}))
    with pytest.raises(WireError, match="65535"):
        encode(Message(0, headers={"n": "v" * 65536}))
    with pytest.raises(WireError, match="64 bits"):
        encode(Message(0, headers={"n": 1 << 63}))
