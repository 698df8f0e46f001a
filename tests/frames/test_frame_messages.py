from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.adapters.frames import messages as m
from vedette.contracts.errors import CoreError
from vedette.contracts.frames import FrameInfo

u16, u32, u64 = st.integers(1, 2**16 - 1), st.integers(1, 2**32 - 1), st.integers(1, 2**64 - 1)
number = st.floats(allow_nan=False)
name = st.text(max_size=64)
RING = m.Ring(7, 4, 4096, 64, 48, "gate")

grants = st.builds(
    m.Grant,
    ring=st.just(RING.ring),
    slot=st.integers(0, RING.slots - 1),
    lease=u64,
    granted_s=number,
    expires_s=number,
    full_range=st.booleans(),
    info=st.builds(
        FrameInfo,
        camera=st.just(RING.camera),
        epoch=name,
        frame_no=u64,
        t_s=number,
        media_time_s=number,
        wall_s=number,
        width=st.just(RING.width),
        height=st.just(RING.height),
        gap_reason=st.text(max_size=100),
    ),
)
messages = st.one_of(
    st.builds(m.Ring, ring=u32, slots=u16, slot_bytes=u64, width=u32, height=u32, camera=name),
    grants,
    st.builds(m.Arm, after_s=number, interval_s=st.floats(0, 1000), release=u64),
    st.builds(m.Release, lease=u64),
    st.just(m.Wake()),
    st.just(m.Nothing()),
    st.builds(m.Latest, release=u64),
)


@given(messages)
def test_every_message_survives_the_socket(message: m.Message) -> None:
    packet = m.encode(message)
    assert len(packet) <= m.PACKET_LIMIT_BYTES
    assert m.decode(packet, RING) == message


@given(st.binary(max_size=200), st.sampled_from([None, RING]))
def test_garbage_is_refused_and_nothing_else_happens(packet: bytes, ring: m.Ring | None) -> None:
    with contextlib.suppress(CoreError):
        m.decode(packet, ring)


@given(messages, st.data())
def test_a_cut_packet_is_never_another_message_of_the_same_kind(message: m.Message, data: st.DataObject) -> None:
    packet = m.encode(message)
    cut = packet[: data.draw(st.integers(0, len(packet) - 1))]
    if isinstance(message, m.Ring) and len(cut) >= 24:  # the camera's name has no length of its own
        return
    with pytest.raises(CoreError):
        m.decode(cut, RING)


def test_long_reasons_are_cut_to_the_packet() -> None:
    info = FrameInfo("gate", "e", 1, 0.0, 0.0, 0.0, 64, 48, gap_reason="ä" * 5000)
    grant = m.decode(m.encode(m.Grant(7, 0, 1, 0.0, 0.0, False, info)), RING)
    assert isinstance(grant, m.Grant)
    assert grant.info.gap_reason == "ä" * (m.TEXT_LIMIT_BYTES // 2)


def test_another_version_is_named_in_the_error() -> None:
    packet = bytearray(m.encode(RING))
    packet[1] = 99
    with pytest.raises(CoreError, match="version 99"):
        m.decode(bytes(packet))
    with pytest.raises(CoreError, match="interval"):
        m.decode(m.encode(m.Arm(0.0, -1.0)))
    with pytest.raises(CoreError):
        m.decode(m.encode(m.Arm(math.nan, 1.0)))
