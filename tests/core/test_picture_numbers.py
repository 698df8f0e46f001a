"""Pictures that a camera left out, sent twice or in part are noticed by their numbers, and healthy streams never."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from vedette.core.nal import first_slice, units
from vedette.core.picture_numbers import PictureNumbers
from vedette.testing.synthetic import draw_picture

WIDTH, HEIGHT, GROUP = 160, 96, 15


@dataclass(frozen=True)
class Stream:
    """What an encoder made: a packet a picture, in the order of decoding."""

    packets: tuple[bytes, ...]
    extradata: bytes

    def numbers(self) -> PictureNumbers:
        return PictureNumbers("h264", self.extradata)

    def references(self) -> list[int]:
        """Of pictures that others refer to, those before which and after which none begins anew."""
        begins = [5 in kinds(packet) for packet in self.packets]
        return [
            at
            for at in range(1, len(self.packets) - 1)
            if first_slice(self.packets[at], "h264").reference and not begins[at] and not begins[at + 1]
        ]


def kinds(packet: bytes) -> set[int]:
    return {unit[0] & 0x1F for unit in units(packet, 0)}


@cache
def stream(words: str = "", colour: str = "yuv420p", profile: str = "") -> Stream:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, colour
    encoder.time_base, encoder.framerate, encoder.thread_count = Fraction(1, 25), Fraction(25), 1
    common = f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:b-adapt=0"
    encoder.options = {"preset": "veryfast", "x264-params": f"{common}:{words}"} | (
        {"profile": profile} if profile else {}
    )
    packets = []
    for number in range(100):
        frame = VideoFrame.from_ndarray(draw_picture(number, WIDTH, HEIGHT), format="rgb24").reformat(format=colour)
        frame.pts, frame.time_base = number, Fraction(1, 25)
        packets += encoder.encode(frame)
    return Stream(tuple(bytes(packet) for packet in [*packets, *encoder.encode(None)]), bytes(encoder.extradata or b""))


PLAIN, WITH_B = "bframes=0", "bframes=3:b-pyramid=normal:ref=4"
HEALTHY = [
    (PLAIN, "yuv420p", ""),
    (WITH_B, "yuv420p", ""),
    ("bframes=2:slices=4", "yuv420p", ""),
    ("bframes=2:open-gop=1", "yuv420p", ""),
    ("intra-refresh=1", "yuv420p", ""),
    ("keyint=1", "yuv420p", ""),
    ("cqm=jvt", "yuv420p", ""),
    ("bframes=1:cqm=jvt", "yuv444p", ""),
    ("cabac=0:slices=2", "yuv420p", "baseline"),
    ("interlaced=1", "yuv420p", ""),
    ("keyint=500:min-keyint=500", "yuv420p", ""),
]


@pytest.mark.parametrize(("words", "colour", "profile"), HEALTHY)
def test_a_healthy_stream_is_in_order(words: str, colour: str, profile: str) -> None:
    clip = stream(words, colour, profile)
    numbers = clip.numbers()
    assert all(numbers.in_order(packet) for packet in clip.packets)
    without = PictureNumbers("h264")
    assert all(without.in_order(packet) for packet in clip.packets), "parameter sets in the stream only"


@pytest.mark.parametrize("words", [PLAIN, WITH_B, "bframes=2:slices=4", "keyint=500:min-keyint=500", "cqm=jvt"])
@given(data=st.data())
def test_a_picture_left_out_is_noticed_where_others_refer_to_it(words: str, data: st.DataObject) -> None:
    clip = stream(words)
    at = data.draw(st.sampled_from(clip.references()))
    numbers = clip.numbers()
    assert all(numbers.in_order(packet) for packet in clip.packets[:at])
    assert not numbers.in_order(clip.packets[at + 1])


@given(data=st.data())
def test_a_picture_left_out_that_no_other_refers_to_harms_nothing(data: st.DataObject) -> None:
    clip = stream(WITH_B)
    spare = [at for at, packet in enumerate(clip.packets) if not first_slice(packet, "h264").reference]
    left_out = data.draw(st.sets(st.sampled_from(spare)))
    numbers = clip.numbers()
    assert all(numbers.in_order(packet) for at, packet in enumerate(clip.packets) if at not in left_out)


def test_a_key_picture_left_out_is_noticed() -> None:
    clip = stream(PLAIN)
    numbers = clip.numbers()
    assert 5 in kinds(clip.packets[2 * GROUP])
    assert all(numbers.in_order(packet) for packet in clip.packets[: 2 * GROUP])
    assert not numbers.in_order(clip.packets[2 * GROUP + 1])


@pytest.mark.parametrize("words", [PLAIN, WITH_B])
def test_a_picture_that_comes_twice_is_noticed_where_others_refer_to_it(words: str) -> None:
    clip = stream(words)
    for at in [2 * GROUP, *clip.references()]:
        numbers = clip.numbers()
        assert all(numbers.in_order(packet) for packet in clip.packets[: at + 1])
        assert not numbers.in_order(clip.packets[at])


@given(data=st.data())
def test_slices_that_miss_come_twice_or_in_another_order_are_noticed(data: st.DataObject) -> None:
    clip = stream("bframes=0:slices=4")
    at = data.draw(st.integers(1, len(clip.packets) - 1))
    head = [unit for unit in units(clip.packets[at], 0) if unit[0] & 0x1F not in (1, 5)]
    slices = [unit for unit in units(clip.packets[at], 0) if unit[0] & 0x1F in (1, 5)]
    assert len(slices) == 4
    wrong = data.draw(
        st.one_of(
            st.permutations(slices).filter(lambda mixed: mixed != slices),
            st.integers(0, 3).map(lambda twice: [*slices[: twice + 1], *slices[twice:]]),
            st.just(slices[1:]),
        )
    )
    numbers = clip.numbers()
    assert all(numbers.in_order(packet) for packet in clip.packets[:at])
    assert not numbers.in_order(b"".join(b"\0\0\0\1" + unit for unit in [*head, *wrong]))


def test_what_was_passed_over_is_not_missed() -> None:
    clip = stream(PLAIN)
    numbers = clip.numbers()
    assert all(numbers.in_order(packet) for packet in clip.packets[:8])
    numbers.forget()
    assert numbers.in_order(clip.packets[11])
    assert not numbers.in_order(clip.packets[13])


def test_an_encoder_that_numbers_in_a_way_of_its_own_is_believed_no_more() -> None:
    clip = stream(PLAIN)
    numbers = clip.numbers()
    assert numbers.in_order(clip.packets[0])
    same = clip.packets[1]  # as if no picture counted
    assert numbers.in_order(same)
    judged = [numbers.in_order(same) for _ in range(100)]
    assert not any(judged[:25])
    assert all(judged[40:])
    assert not numbers.believed
    assert all(numbers.in_order(packet) for packet in clip.packets), "a healthy one again"
    assert numbers.believed
    assert not numbers.in_order(clip.packets[3])


@given(st.binary(max_size=400), st.sampled_from([b"", b"\0\0\1\x67", b"\1\x42\0\x1f\xff\xe1"]))
def test_bytes_of_any_kind_do_no_harm(data: bytes, begin: bytes) -> None:
    numbers = PictureNumbers("h264", begin + data)
    for packet in (data, b"\0\0\1\x67" + data, b"\0\0\1\x68" + data, b"\0\0\1\x65" + data, b"\0\0\1\x41" + data):
        assert isinstance(numbers.in_order(packet), bool)


@given(st.data())
def test_damaged_parameter_sets_and_headers_do_no_harm(data: st.DataObject) -> None:
    clip = stream(WITH_B)
    numbers = clip.numbers()
    for packet in clip.packets[:40]:
        changed = bytearray(packet)
        for at in data.draw(st.lists(st.integers(0, min(60, len(packet) - 1)), max_size=2)):
            changed[at] ^= data.draw(st.integers(1, 255))
        numbers.in_order(bytes(changed))


def test_other_codecs_are_left_alone() -> None:
    assert all(PictureNumbers("hevc").in_order(np.random.default_rng(n).bytes(300)) for n in range(50))
