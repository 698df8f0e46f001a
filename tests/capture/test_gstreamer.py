"""Decoding by GStreamer, with decoders on the processor in the place of those in hardware, beside FFmpeg."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.adapters.capture.damage import watch_losses
from vedette.adapters.capture.decoding import SparedPicture
from vedette.adapters.capture.gst_library import Gst, GstError, Pipeline, Sample, as_planes, default_layout
from vedette.adapters.capture.gstreamer import Elements, GstDecoder, find_elements, pipeline_text
from vedette.adapters.capture.planes import as_pixels
from vedette.contracts.errors import CameraError
from vedette.core.pixels import Pixels
from vedette.core.stream import StreamProgress
from vedette.testing.synthetic import make_clip, read_counter

FRAMES = 120


class Played:
    """A clip that went through GStreamer's decoder."""

    def __init__(
        self,
        gst: Gst,
        clip: bytes,
        *,
        damaged: Sequence[int] = (),
        lost: Sequence[int] = (),
        left_out: Sequence[int] = (),
        keys_only: range = range(0),
        name: str = "",
        stamp: Callable[[int, int | None], int | None] = lambda number, pts: pts,
    ) -> None:
        self.progress = StreamProgress()
        self.numbers: list[int] = []
        self.times_s: list[float | None] = []
        self.pictures: list[Pixels] = []
        with av.open(io.BytesIO(clip), "r") as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            elements = find_elements(gst, context.name, software=True) if not name else Elements(name, "videoconvert")
            assert elements is not None
            decoder = GstDecoder(
                gst, context.name, bytes(context.extradata or b""), elements, self.progress, watch_losses(), "a clip"
            )
            with closing(decoder):
                for number, packet in enumerate(container.demux(stream)):
                    if number in left_out:
                        continue
                    packet.is_corrupt = number in damaged
                    watch_losses().losses += number in lost
                    packet.pts = stamp(number, packet.pts)
                    decoder.keys_only = number in keys_only
                    for found in decoder.decode(packet, number / 25):
                        assert not isinstance(found.frame, SparedPicture)
                        pixels = as_pixels(found.frame)
                        self.numbers.append(read_counter(pixels.y))
                        self.times_s.append(found.frame.time)
                        self.pictures.append(pixels)


def by_ffmpeg(clip: bytes) -> Iterator[tuple[float | None, Pixels]]:
    with av.open(io.BytesIO(clip), "r") as container:
        for frame in container.decode(video=0):
            yield frame.time, as_pixels(frame)


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 3), ("h265", 0), ("h265", 2)])
@pytest.mark.parametrize("container", ["mp4", "mpegts", "matroska"])
def test_pictures_and_times_are_those_of_ffmpeg(gst: Gst, codec: str, b_frames: int, container: str) -> None:
    clip = make_clip(codec=codec, b_frames=b_frames, container=container, frames=FRAMES)  # type: ignore[arg-type]
    played = Played(gst, clip)
    expected = list(by_ffmpeg(clip))
    assert played.numbers == list(range(FRAMES))
    assert played.times_s == [time_s for time_s, _ in expected]
    for ours, (_, theirs) in zip(played.pictures, expected, strict=True):
        assert np.array_equal(ours.y, theirs.y)
        assert np.array_equal(ours.u, theirs.u)
        assert np.array_equal(ours.v, theirs.v)
    assert played.progress.decoded == FRAMES
    assert played.progress.corrupt == 0
    assert (played.progress.width, played.progress.height) == (320, 240)


def test_a_decoder_that_is_not_ffmpeg_s_gives_the_same(gst: Gst) -> None:
    if not gst.has("openh264dec"):
        pytest.skip("needs GStreamer's openh264dec (gstreamer1.0-plugins-bad)")
    clip = make_clip(container="mpegts", frames=FRAMES)
    played = Played(gst, clip, name="openh264dec")
    expected = list(by_ffmpeg(clip))
    assert played.times_s == [time_s for time_s, _ in expected]
    assert all(np.array_equal(ours.y, theirs.y) for ours, (_, theirs) in zip(played.pictures, expected, strict=True))


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("h265", 2)])
def test_damage_keeps_pictures_out_until_the_next_key_picture(gst: Gst, codec: str, b_frames: int) -> None:
    clip = make_clip(codec=codec, b_frames=b_frames, container="mpegts", frames=FRAMES)  # type: ignore[arg-type]
    played = Played(gst, clip, damaged=[35])
    numbers = played.numbers
    assert numbers == sorted(set(numbers))
    assert set(range(30)) <= set(numbers)
    assert not set(range(36, 47)) & set(numbers)
    assert set(range(50, FRAMES)) <= set(numbers)
    assert 11 <= played.progress.corrupt <= 20
    assert played.progress.waiting_for_key_s is None


def test_a_damaged_key_picture_does_not_open_the_gate(gst: Gst) -> None:
    played = Played(gst, make_clip(container="mpegts", frames=FRAMES), damaged=[40, 50])
    assert set(played.numbers) == set(range(FRAMES)) - set(range(40, 75))


def test_a_loss_may_be_of_the_packet_after_the_one_with_which_it_is_told(gst: Gst) -> None:
    played = Played(gst, make_clip(container="mpegts", frames=FRAMES), lost=[49])
    assert set(played.numbers) == set(range(FRAMES)) - set(range(49, 75)), "the key picture 50 may be damaged"


def test_a_picture_left_out_is_noticed_by_the_numbers_of_those_after_it(gst: Gst) -> None:
    clip = make_clip(container="mpegts", frames=FRAMES)
    played = Played(gst, clip, left_out=[35])
    assert set(played.numbers) == set(range(FRAMES)) - set(range(35, 50))


def test_key_pictures_only_where_no_others_are_wanted(gst: Gst) -> None:
    played = Played(gst, make_clip(container="mpegts", frames=200, b_frames=2), keys_only=range(60, 130))
    quiet = [number for number in played.numbers if 60 < number < 150]
    assert quiet == [75, 100, 125]
    assert played.numbers[-50:] == list(range(150, 200))
    assert played.progress.corrupt == 0, "what was not wanted is not damaged"


def test_what_is_not_decoded_is_not_waited_for(gst: Gst, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    pull = Pipeline.pull

    def counted(pipeline: Pipeline, wait_s: float) -> Sample | None:
        waits.append(wait_s)
        return pull(pipeline, wait_s)

    monkeypatch.setattr(Pipeline, "pull", counted)
    clip = make_clip(container="mpegts", frames=100, b_frames=2, gop=100)
    Played(gst, clip, keys_only=range(50, 100))  # 50 went in, after which what the decoder keeps back is measured
    assert sum(wait_s > 0 for wait_s in waits[-50:]) <= 2


def test_another_size_in_the_middle_of_the_stream(gst: Gst) -> None:
    clips = [make_clip(container="h264", frames=50, width=width, height=height) for width, height in SIZES]
    played = Played(gst, _with_times(b"".join(clips)))
    sizes = [(picture.width, picture.height) for picture in played.pictures]
    assert sizes == [SIZES[0]] * 50 + [SIZES[1]] * 50
    assert played.numbers == [*range(50), *range(50)]


SIZES = ((320, 240), (406, 302))


def _with_times(stream: bytes) -> bytes:
    """A raw H.264 stream as MPEG-TS, at 25 pictures a second."""
    buffer = io.BytesIO()
    with av.open(io.BytesIO(stream), "r", format="h264") as source, av.open(buffer, "w", format="mpegts") as target:
        out = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            packet.stream = out
            packet.pts = packet.dts = number * 3600
            packet.time_base = Fraction(1, 90_000)
            target.mux(packet)
    return buffer.getvalue()


def test_a_live_stream_s_first_packet_has_no_time_stamp(gst: Gst) -> None:
    clip = make_clip(container="mpegts", frames=60, b_frames=2)
    played = Played(gst, clip, stamp=lambda number, pts: pts if number else None)
    assert played.numbers == list(range(60))
    assert played.times_s[0] is None
    assert played.progress.corrupt == 0


def test_a_stream_without_time_stamps_is_told(gst: Gst) -> None:
    with pytest.raises(CameraError, match="no time stamps") as caught:
        Played(gst, make_clip(container="mpegts", frames=FRAMES), stamp=lambda number, pts: None)
    assert caught.value.code == "V203"


def test_time_stamps_that_jump_cost_pictures_until_the_next_key_picture(gst: Gst) -> None:
    def jumps(number: int, pts: int | None) -> int | None:
        return None if pts is None else pts + (0, 7200, -30, 3)[number // 30] * 90_000

    played = Played(gst, make_clip(container="mpegts", frames=FRAMES), stamp=jumps)
    # Forward nothing is lost; back (at picture 60) a new pipeline begins with the key picture 75.
    assert played.numbers == [*range(60), *range(75, FRAMES)]
    assert played.progress.waiting_for_key_s is None


def test_a_pipeline_that_fails_begins_anew(gst: Gst) -> None:
    played = Played(gst, make_clip(container="mpegts", frames=FRAMES), name="identity error-after=60 ! avdec_h264")
    assert set(range(55)) <= set(played.numbers)
    assert set(range(75, 100)) <= set(played.numbers)
    assert played.progress.corrupt >= 14


def _decode(
    gst: Gst, packets: Sequence[av.Packet[Any]], extradata: bytes, codec: str = "h264"
) -> tuple[list[float], StreamProgress]:
    """Times of the pictures of packets that are given one by one."""
    progress = StreamProgress()
    elements = find_elements(gst, codec, software=True)
    assert elements is not None
    times_s: list[float] = []
    with closing(GstDecoder(gst, codec, extradata, elements, progress, watch_losses(), "a clip")) as decoder:
        for packet in [*packets, av.Packet()]:
            times_s += [found.frame.time or 0.0 for found in decoder.decode(packet, 0.0)]
    return times_s, progress


def test_parameters_that_only_the_stream_description_has(gst: Gst) -> None:
    extradata, packets = b"", []
    with av.open(io.BytesIO(make_clip(container="mpegts", frames=40)), "r") as container:
        stream = container.streams.video[0]
        extradata = bytes(stream.codec_context.extradata or b"")
        for packet in container.demux(stream):
            if packet.size:
                units = bytes(packet).replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]
                kept = [unit for unit in units if unit[0] & 31 not in (7, 8)]  # sequence and picture parameters
                bare = av.Packet(b"".join(b"\0\0\0\1" + unit for unit in kept))
                bare.pts, bare.dts, bare.time_base = packet.pts, packet.dts, packet.time_base
                bare.is_keyframe = packet.is_keyframe
                packets.append(bare)
    assert b"\0\0\1\x67" in extradata
    times_s, progress = _decode(gst, packets, extradata)
    assert len(times_s) == 40
    assert progress.corrupt == 0


def _open_groups(codec: str) -> list[av.Packet[Any]]:
    """Packets of 80 pictures, those from the second key picture on: it is no fresh start."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as output:
        parameters = "open-gop=1:keyint=20:min-keyint=20:scenecut=0:bframes=2:b-adapt=0:log-level=none"
        parameters = parameters if codec == "x265" else parameters.removesuffix(":log-level=none")
        stream = output.add_stream(f"lib{codec}", rate=25, options={f"{codec}-params": parameters})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(80):
            picture = np.random.default_rng(number).integers(0, 255, (240, 320, 3), np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    return packets[[number for number, packet in enumerate(packets) if packet.is_keyframe][1] :]


def test_a_key_picture_that_is_no_fresh_start_costs_one_group_at_most(gst: Gst) -> None:
    packets = _open_groups("x264")
    times_s, progress = _decode(gst, packets, b"")
    second = [packet for packet in packets if packet.is_keyframe][1]
    assert times_s == sorted(times_s)
    assert len([time_s for time_s in times_s if time_s >= float((second.pts or 0) * second.time_base)]) >= 40
    assert progress.waiting_for_key_s is None


def test_pictures_before_the_key_picture_that_was_joined_at_are_left_out(gst: Gst) -> None:
    joined = _open_groups("x265")
    key_s = float((joined[0].pts or 0) * joined[0].time_base)
    early = [packet for packet in joined if float((packet.pts or 0) * packet.time_base) < key_s]
    assert early, "the group is open"
    times_s, progress = _decode(gst, joined, b"", "hevc")
    assert times_s == sorted(times_s)
    assert times_s[0] == key_s
    assert len(times_s) == len(joined) - len(early)
    assert progress.waiting_for_key_s is None


def test_pictures_stay_readable_after_the_pipeline_is_gone(gst: Gst) -> None:
    played = Played(gst, make_clip(frames=30, container="mpegts"))
    assert [read_counter(picture.y) for picture in played.pictures] == list(range(30))


def test_pipelines_leave_no_threads_and_no_descriptors_behind(gst: Gst) -> None:
    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))

    clip = make_clip(frames=10, container="mpegts")
    Played(gst, clip)
    # Threads of a pool may end in between; growth is what would show a leak.
    threads, descriptors = held()
    for _ in range(12):
        Played(gst, clip)
    assert held()[0] <= threads + 2
    assert held()[1] <= descriptors + 2


def test_a_decoder_that_is_missing_is_named(gst: Gst) -> None:
    with pytest.raises(CameraError, match="nosuchdecoder") as caught:
        Played(gst, make_clip(frames=3), name="nosuchdecoder")
    assert caught.value.code == "V203"
    assert "decoder: ffmpeg" in caught.value.hint


def test_a_decoder_that_gives_no_pictures_is_noticed(gst: Gst) -> None:
    with pytest.raises(CameraError, match="gave no picture") as caught:
        Played(gst, make_clip(frames=FRAMES), name="fakesink name=swallow  videotestsrc num-buffers=0")
    assert caught.value.code == "V203"


def test_a_stream_that_is_none_fails_with_words(gst: Gst) -> None:
    elements = find_elements(gst, "h264", software=True)
    assert elements is not None
    with closing(Pipeline(gst, pipeline_text("h264", elements, b"\1not an avcC record"))) as pipeline:
        pipeline.push(b"\0\0\0\5abcde", 0)
        assert pipeline.pull(2.0) is None
        assert pipeline.error()


def test_hardware_first_and_processors_only_where_allowed() -> None:
    class Here(Gst):
        def __init__(self, *elements: str) -> None:
            self._elements = elements

        def has(self, element: str) -> bool:
            return element in self._elements

    plain = ("h264parse", "h265parse", "avdec_h264", "videoconvert")
    jetson = Here(*plain, "nvv4l2decoder", "nvvidconv")
    assert find_elements(jetson, "hevc", software=False) == Elements("nvv4l2decoder", "nvvidconv")
    assert find_elements(jetson, "h264", software=True) == Elements("nvv4l2decoder", "nvvidconv")
    assert find_elements(Here(*plain), "h264", software=True) == Elements("avdec_h264", "videoconvert")
    assert find_elements(Here(*plain), "h264", software=False) is None
    assert find_elements(Here(*plain), "hevc", software=True) is None
    assert find_elements(jetson, "mjpeg", software=True) is None


def test_the_pipeline_is_text_without_an_address() -> None:
    text = pipeline_text("hevc", Elements("nvv4l2decoder", "nvvidconv"), b"\1\2\xff")
    assert text == (
        'appsrc name=in format=time max-bytes=0 caps="video/x-h265,stream-format=hvc1,alignment=au,'
        'codec_data=(buffer)0102ff" ! h265parse ! nvv4l2decoder ! nvvidconv ! video/x-raw,format=I420'
        " ! appsink name=out sync=false async=false max-buffers=4 drop=false"
    )
    assert "stream-format=byte-stream" in pipeline_text("h264", Elements("x", "y"), b"\0\0\0\1g")


@given(st.integers(1, 500), st.integers(1, 500))
def test_planes_of_any_size_lie_apart_within_the_memory(width: int, height: int) -> None:
    layout = default_layout(width, height)
    (_, row), (u, chroma_row), (v, _) = layout
    rows = (height + 1) // 2
    memory = np.zeros(v + chroma_row * rows, np.uint8)
    memory[:u], memory[u:v], memory[v:] = 1, 2, 3
    pixels = as_planes(memory, width, height, layout, False)
    assert row >= width
    assert (pixels.width, pixels.height) == (width, height)
    assert (pixels.y == 1).all()
    assert (pixels.u == 2).all()
    assert (pixels.v == 3).all()
    with pytest.raises(GstError, match="does not fit"):
        as_planes(memory[: v + chroma_row * (rows - 1)], width, height, layout, False)
