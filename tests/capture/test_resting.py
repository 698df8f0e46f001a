"""A stream that is not decoded while nothing moves: what is spared, and that nothing is lost by it."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.adapters.capture.damage import LossWatch, PacketWatch, watch_losses
from vedette.adapters.capture.decoding import PacketDecoder, RestingDecoder, SparedPicture
from vedette.contracts.manifest import Motion
from vedette.core.nal import first_slice, length_size
from vedette.core.rest import SETTLE_S, Groups, Sizes
from vedette.core.stream import StreamProgress
from vedette.testing.synthetic import Image, make_clip

FPS = 25
SECONDS = 24
#: Something is there during these times, seconds; the picture is noisy all the time, as a camera's is.
STAYS = ((8.3, 9.4), (15.1, 15.7))


def street(number: int, width: int, height: int) -> Image:
    image = np.full((height, width, 3), 90, np.int16)
    image[:, width // 2 :] = 130
    image += np.random.default_rng(number).integers(-2, 3, image.shape, np.int16)
    t_s = number / FPS
    for begin, end in STAYS:
        if begin <= t_s < end:
            x = 20 + int(60 * (t_s - begin))
            image[80:140, x : x + 40] = 230
    return image.clip(0, 255).astype(np.uint8)


@dataclass
class Played:
    """A clip that went through a resting decoder."""

    packets: int = 0
    numbers: list[int] = field(default_factory=list)
    alone: list[int] = field(default_factory=list)
    rested: list[bool] = field(default_factory=list)
    decoded: int = 0
    away_s: float = 0.0


def play(
    clip: bytes,
    rest: Motion | None,
    damaged: Sequence[int] = (),
    lost: Sequence[int] = (),
    no_key_from: float = float("inf"),
) -> Played:
    """Packets at their pace by a clock of the test's own.

    Those ``damaged`` (by number) are flagged as such; before those ``lost`` FFmpeg reports a loss; key pictures after
    ``no_key_from`` seconds do not come.
    """
    played, progress = Played(), StreamProgress()
    with av.open(io.BytesIO(clip), "r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        decoder = PacketDecoder(stream.codec_context, progress, watch_losses(), 1)
        resting = RestingDecoder(decoder, progress)
        resting.set_rest(rest)
        origin = None
        for packet in container.demux(stream):
            now_s = played.packets / FPS
            played.packets += bool(packet.size)
            if played.packets - 1 in damaged:
                packet.is_corrupt = True
            if played.packets - 1 in lost:
                watch_losses().losses += 1
            if packet.is_keyframe and now_s > no_key_from:
                played.rested.append(progress.resting)
                continue
            for found in resting.decode(packet, now_s):
                assert found.frame.time is not None
                assert not isinstance(found.frame, SparedPicture)
                origin = found.frame.time if origin is None else origin
                number = round((found.frame.time - origin) * FPS)
                played.numbers.append(number)
                if found.alone:
                    played.alone.append(number)
                resting.look(found.frame, number / FPS)
            played.rested.append(progress.resting)
            played.away_s = max(played.away_s, progress.away_s)
    played.decoded = progress.decoded
    return played


def moving() -> set[int]:
    """Numbers of the pictures in which something is seen."""
    return {number for number in range(SECONDS * FPS) if any(b <= number / FPS < e for b, e in STAYS)}


KINDS = [
    ("h264", 2, 1, False),
    ("h264", 2, 2, False),
    ("h264", 0, 4, False),
    ("h265", 2, 2, False),
    ("h264", 4, 2, True),
    ("h264", 2, 2, True),  # as with four, a picture lets go of one before the key picture
    ("h265", 4, 2, True),
]


@pytest.fixture(scope="module", params=KINDS, ids=str)
def clip(request: pytest.FixtureRequest) -> tuple[bytes, int]:
    """A clip, and its seconds from one key picture to the next."""
    codec, b_frames, gop_s, open_gop = request.param
    data = make_clip(
        codec=codec,
        frames=SECONDS * FPS,
        gop=gop_s * FPS,
        b_frames=b_frames,
        crf=28,
        open_gop=open_gop,
        container="mpegts",
        draw=street,
    )
    return data, gop_s


def test_nothing_that_moves_is_lost_and_the_rest_is_spared(clip: tuple[bytes, int]) -> None:
    data, gop_s = clip
    played = play(data, Motion(floor_s=5.0))
    assert played.numbers == sorted(set(played.numbers)), "in order, each once"
    assert moving() <= set(played.numbers)
    assert played.decoded < 0.75 * played.packets
    assert len(played.alone) >= 2
    assert played.away_s > 0, "how long nothing was read while what had been passed over was decoded"
    assert all(number % (gop_s * FPS) == 0 for number in played.alone), "alone are key pictures only"
    quiet = range(int((9.4 + SETTLE_S + 2 * gop_s) * FPS), int(15.1 * FPS))
    if len(quiet) > gop_s * FPS:
        assert any(played.rested[number] for number in quiet)


def test_where_groups_are_longer_than_the_bound_everything_is_decoded(clip: tuple[bytes, int]) -> None:
    data, gop_s = clip
    played = play(data, Motion(floor_s=0.8 * gop_s))
    assert not any(played.rested)
    assert played.numbers == list(range(SECONDS * FPS))


def test_without_a_wish_to_rest_everything_is_decoded(clip: tuple[bytes, int]) -> None:
    assert play(clip[0], None).numbers == list(range(SECONDS * FPS))


def test_damage_ends_the_rest_and_keeps_pictures_out_until_the_next_key_picture(clip: tuple[bytes, int]) -> None:
    data, gop_s = clip
    calm = play(data, Motion(floor_s=5.0))
    first = next(number for number, rested in enumerate(calm.rested) if rested and number % (gop_s * FPS) == 5)
    played = play(data, Motion(floor_s=5.0), damaged=(first,))
    assert not played.rested[first]
    group_end = (first // (gop_s * FPS) + 1) * gop_s * FPS
    assert not set(range(first + 3, group_end - 3)) & set(played.numbers)
    assert group_end in played.numbers


def test_what_came_before_a_loss_is_seen(clip: tuple[bytes, int]) -> None:
    data, gop_s = clip
    calm = play(data, Motion(floor_s=5.0))
    group = gop_s * FPS
    last = next(number for number, rested in enumerate(calm.rested) if rested and number % group == group - 3)
    played = play(data, Motion(floor_s=5.0), lost=(last,))
    assert not played.rested[last]
    assert set(range(last - group + 8, last - 6)) <= set(played.numbers), "what came before it"
    assert last not in played.numbers


def test_a_loss_told_with_a_picture_that_is_passed_over_may_be_of_the_one_after_it() -> None:
    data = make_clip(
        frames=SECONDS * FPS, gop=2 * FPS, b_frames=2, crf=28, open_gop=True, container="mpegts", draw=street
    )
    calm = play(data, Motion(floor_s=5.0))
    with av.open(io.BytesIO(data), "r") as container:
        stamps = [(packet.pts or 0, packet.is_keyframe) for packet in container.demux(video=0) if packet.size]
    at = next(n for n, (_, key) in enumerate(stamps) if key and calm.rested[n] and stamps[n + 1][0] < stamps[n][0])
    last = next(n for n in range(at + 1, len(stamps)) if stamps[n + 1][0] > stamps[at][0])
    played = play(data, Motion(floor_s=5.0), lost=(last,))
    shown = round((stamps[at][0] - min(pts for pts, _ in stamps)) / 90_000 * FPS)
    assert shown in played.numbers
    assert not set(range(shown + 1, shown + 2 * FPS - 2)) & set(played.numbers)


def test_where_the_next_key_picture_does_not_come_everything_is_decoded_in_time() -> None:
    data = make_clip(frames=SECONDS * FPS, gop=FPS, b_frames=0, crf=28, container="mpegts", draw=street)
    played = play(data, Motion(floor_s=2.0), no_key_from=5.5)
    resting = [number / FPS for number, rested in enumerate(played.rested) if rested]
    assert min(resting) >= 3.0
    assert max(resting) < 5.0 + 1.1 * 2.0 + 0.1


@pytest.mark.parametrize("b_frames", [2, 4])
def test_a_stream_joined_at_a_key_picture_that_is_no_fresh_start_is_shown_from_there(b_frames: int) -> None:
    data = make_clip(frames=100, gop=50, b_frames=b_frames, open_gop=True, container="mpegts", draw=street)
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        packets = list(container.demux(stream))
        key = next(number for number, packet in enumerate(packets) if number and packet.is_keyframe)
        stamps = [packet.pts for packet in packets[key:] if packet.pts is not None]
        decoder = PacketDecoder(stream.codec_context, StreamProgress(), watch_losses(), 1)
        shown = [found.frame.pts for packet in packets[key:] for found in decoder.decode(packet, 0.0)]
    assert shown == sorted(pts for pts in stamps if pts >= stamps[0])


@pytest.mark.parametrize("open_gop", [False, True])
def test_a_picture_to_let_go_that_is_not_there_is_a_loss_after_a_fresh_start(open_gop: bool) -> None:
    data = make_clip(frames=100, gop=50, b_frames=2, open_gop=open_gop, container="mpegts", draw=street)
    with av.open(io.BytesIO(data), "r") as container:
        key = [packet for packet in container.demux(video=0) if packet.is_keyframe][1]
        losses = LossWatch()
        watch = PacketWatch(losses, "h264", b"")
        assert not watch.damaged(key)
        losses.emit(logging.LogRecord("libav.h264", logging.ERROR, "", 0, "mmco: unref short failure", None, None))
    assert watch.take_loss() is not open_gop


def test_references_are_told_from_what_nobody_refers_to() -> None:
    for codec, name in (("h264", "h264"), ("h265", "hevc")):
        data = make_clip(codec=codec, frames=60, gop=30, b_frames=2, container="mpegts")  # type: ignore[arg-type]
        with av.open(io.BytesIO(data), "r") as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
            kinds = [first_slice(memoryview(packet), name).reference for packet in packets]
        with av.open(io.BytesIO(data), "r") as container:
            stream = container.streams.video[0]
            stream.codec_context.skip_frame = "NONREF"
            decoded = len(list(container.decode(stream)))
        assert 0.2 < kinds.count(True) / len(kinds) < 0.8
        assert decoded == kinds.count(True), "the decoder skips the very same"


@given(st.binary(max_size=600), st.sampled_from(["h264", "hevc", "mjpeg", ""]), st.sampled_from([0, 1, 2, 4]))
def test_any_bytes_may_be_asked(packet: bytes, codec: str, length_bytes: int) -> None:
    seen = first_slice(packet, codec, length_bytes)
    assert seen.reference in (True, False)
    assert 0 <= seen.layer < 7
    assert 0 <= length_size(packet, codec) <= 4


@given(st.lists(st.integers(50, 60_000), min_size=20, max_size=200), st.integers(1_000, 60_000))
def test_what_is_usual_never_counts_as_a_jump_for_long(sizes: list[int], usual: int) -> None:
    meter = Sizes()
    for size in sizes:
        meter.note(size, reference=True)
    for _ in range(200):
        meter.note(usual, reference=True)
    assert not meter.jumped(usual, reference=True)
    assert not meter.jumped(round(1.4 * usual), reference=True)
    assert meter.jumped(4 * usual + 1_000, reference=True)


def test_the_longest_group_counts() -> None:
    groups = Groups()
    assert not groups.fit(60)
    for t_s in (0.0, 1.0, 2.0, 6.0, 7.0):
        groups.note(key=True, size=100, arrival_s=t_s)
    assert groups.longest_s == 4.0
    assert groups.fit(4.0)
    assert not groups.fit(3.0)
    groups.note(key=False, size=1 << 24, arrival_s=7.1)
    groups.note(key=True, size=100, arrival_s=8.0)
    assert not groups.fit(60), "two such groups are not kept in memory"
