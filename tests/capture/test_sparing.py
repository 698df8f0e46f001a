"""What is not decoded because nobody needs it: less work, and the very same pictures for analysis."""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.capture.test_pyav_source import address
from vedette.adapters.capture.decoding import PacketDecoder
from vedette.adapters.capture.pyav import PyAvSource
from vedette.contracts.frames import FrameInfo
from vedette.core.nal import first_slice, length_size
from vedette.core.sampling import Sampler
from vedette.testing.synthetic import make_clip

FPS = 25


@dataclass(frozen=True)
class Played:
    """Pictures in their order, and how many were decoded."""

    pictures: list[tuple[FrameInfo, NDArray[np.uint8]]]
    decoded: int


def play(path: Path, fps: float = math.inf, threads: int = 1) -> Played:
    source = PyAvSource(address(path), camera="cam", realtime=False, fps=fps, threads=threads)
    pictures = [(info, pixels.y.copy()) for info, pixels in source]
    source.close()
    return Played(pictures, source.progress.decoded)


def play_all(path: Path, fps: float, threads: int = 1) -> Played:
    """The same with everything decoded."""
    with patch.object(PacketDecoder, "_may_spare", return_value=False):
        return play(path, fps, threads)


def references(path: Path) -> int:
    """How many pictures others refer to, as FFmpeg sees it."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.skip_frame = "NONREF"
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("fps", [3.0, 5.0, 7.0, 10.0, 12.5])
@pytest.mark.parametrize(
    ("codec", "container", "b_frames", "open_gop", "threads"),
    [
        ("h264", "mp4", 2, False, 1),
        ("h264", "mp4", 2, False, 3),
        ("h264", "mp4", 3, True, 1),
        ("h264", "mpegts", 2, False, 2),
        ("h264", "matroska", 1, False, 1),
        ("h265", "mp4", 2, False, 1),
        ("h265", "mpegts", 3, True, 2),
    ],
)
def test_the_very_same_pictures_with_less_decoded(
    tmp_path: Path, codec: str, container: str, b_frames: int, open_gop: bool, threads: int, fps: float
) -> None:
    path = tmp_path / "clip.bin"
    path.write_bytes(
        make_clip(codec=codec, container=container, b_frames=b_frames, open_gop=open_gop, frames=100)  # type: ignore[arg-type]
    )
    some, everything = play(path, fps, threads), play_all(path, fps, threads)
    assert everything.decoded == 100
    assert some.decoded <= references(path) + len(some.pictures) + 2, "references, and what is wanted"
    assert [info for info, _ in some.pictures] == [info for info, _ in everything.pictures]
    for (_, luma), (_, image) in zip(some.pictures, everything.pictures, strict=True):
        assert np.array_equal(luma, image)


@pytest.mark.parametrize(("fps", "b_frames"), [(25.0, 2), (math.inf, 2), (5.0, 0)])
def test_everything_is_decoded_where_all_is_wanted_or_referred_to(tmp_path: Path, fps: float, b_frames: int) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(b_frames=b_frames, frames=100))
    assert play(path, fps).decoded == 100


def test_temporal_layers_are_decoded_whole(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as output:
        parameters = (
            "keyint=25:min-keyint=25:scenecut=0:bframes=3:b-adapt=0:b-pyramid=1:temporal-layers=3:log-level=none"
        )
        stream = output.add_stream("libx265", rate=FPS, options={"preset": "ultrafast", "x265-params": parameters})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(75):
            image = np.full((96, 160, 3), 3 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with av.open(str(path)) as container:
        size = length_size(bytes(container.streams.video[0].codec_context.extradata or b""), "hevc")
        layers = {first_slice(memoryview(packet), "hevc", size).layer for packet in container.demux(video=0)}
    assert layers == {0, 1, 2}, "the clip has what is tested"
    played = play(path, 3.0)
    # One picture may have been left out before the first of a higher layer came; from the next key picture on all.
    assert {25, 50} <= {info.frame_no for info, _ in played.pictures}
    assert played.decoded >= 50


def test_after_damage_nothing_is_shown_until_a_key_picture(tmp_path: Path) -> None:
    data = make_clip(b_frames=2, frames=100, container="mpegts")
    damaged = tmp_path / "clip.ts"
    with av.open(io.BytesIO(data), "r") as container, av.open(str(damaged), "w") as output:
        stream = output.add_stream_from_template(container.streams.video[0])
        packets = [packet for packet in container.demux(video=0) if packet.size]
        lost = [packet for packet in packets if first_slice(memoryview(packet), "h264").reference][3]
        for packet in packets:
            if packet is not lost:
                packet.stream = stream
                output.mux(packet)
    some, everything = play(damaged, 5.0), play_all(damaged, 5.0)
    times = [info.media_time_s for info, _ in some.pictures]
    assert max(b - a for a, b in itertools.pairwise(times)) > 0.3, "a gap where it was damaged"
    assert times[-5:] == [info.media_time_s for info, _ in everything.pictures][-5:]


@given(st.lists(st.floats(0.0, 3.0), max_size=40), st.floats(0.5, 60.0), st.floats(0.0, 5.0))
def test_a_copied_sampler_answers_alike_and_disturbs_nothing(steps: list[float], fps: float, at_s: float) -> None:
    sampler, twin = Sampler(fps), Sampler(fps)
    time_s = 0.0
    for step in steps:
        time_s += step
        asked = sampler.copy()
        answer = asked.due(time_s)
        asked.wants(time_s + at_s)
        assert sampler.wants(time_s) == twin.wants(time_s) == answer
