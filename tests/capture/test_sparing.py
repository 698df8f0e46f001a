"""What is not decoded because nobody needs it: less work, and pictures for analysis that are as many and the same."""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.capture.test_pyav_source import address
from vedette.adapters.capture.pyav import PyAvSource
from vedette.contracts.frames import FrameInfo
from vedette.core.nal import first_slice, length_size
from vedette.core.sampling import Sampler
from vedette.core.sparing import Sparing
from vedette.testing.synthetic import make_clip

FPS = 25


@dataclass(frozen=True)
class Played:
    """Pictures by their number, and how many were decoded."""

    pictures: dict[int, tuple[FrameInfo, NDArray[np.uint8]]]
    decoded: int


def play(path: Path, fps: float = math.inf, threads: int = 1) -> Played:
    source = PyAvSource(address(path), camera="cam", realtime=False, fps=fps, threads=threads)
    pictures = {info.frame_no: (info, pixels.y.copy()) for info, pixels in source}
    source.close()
    return Played(pictures, source.progress.decoded)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("codec", "container", "b_frames", "open_gop"),
    [
        ("h264", "mp4", 2, False),
        ("h264", "mp4", 3, True),
        ("h264", "mpegts", 2, False),
        ("h264", "matroska", 1, False),
        ("h265", "mp4", 2, False),
        ("h265", "mpegts", 3, True),
    ],
)
def test_pictures_are_those_of_a_full_decoding(
    tmp_path: Path, codec: str, container: str, b_frames: int, open_gop: bool, threads: int
) -> None:
    path = tmp_path / "clip.bin"
    path.write_bytes(
        make_clip(codec=codec, container=container, b_frames=b_frames, open_gop=open_gop, frames=100)  # type: ignore[arg-type]
    )
    everything, some = play(path, threads=threads), play(path, 3.0, threads)
    assert everything.decoded == 100
    assert some.decoded < 75, "what nobody refers to is not decoded"
    assert len(some.pictures) == 12
    for number, (info, luma) in some.pictures.items():
        known, image = everything.pictures[number]
        assert (info.media_time_s, info.frame_no) == (known.media_time_s, known.frame_no)
        assert np.array_equal(luma, image)
    taken = sorted(info.media_time_s for info, _ in some.pictures.values())
    for point, time_s in enumerate(taken):
        assert -0.034 <= time_s - point / 3 < 0.6 / 3, "of each third of a second one picture"


@pytest.mark.parametrize(("fps", "b_frames"), [(25.0, 2), (8.0, 2), (5.0, 2), (5.0, 0), (math.inf, 2), (4.0, 3)])
def test_everything_is_decoded_where_the_rest_would_be_too_far_apart(tmp_path: Path, fps: float, b_frames: int) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(b_frames=b_frames, frames=100))
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.skip_frame = "NONREF"
        gaps = [b - a for a, b in itertools.pairwise(frame.time or 0.0 for frame in container.decode(video=0))]
    expected = 100 if b_frames == 0 or max(gaps) > 0.6 / fps + 1e-3 else sum(1 for _ in gaps) + 1
    assert play(path, fps).decoded == expected


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
    # One picture may have been left out before the first of the higher layer came; from the next key picture on all.
    assert played.pictures.keys() >= {25, 50}
    assert played.decoded >= 50


@given(
    runs=st.lists(st.integers(0, 4), min_size=10, max_size=60),
    fps=st.floats(1.0, 30.0),
    rate=st.sampled_from([10, 12.5, 25, 30]),
)
def test_the_rate_is_what_was_asked_for(runs: list[int], fps: float, rate: float) -> None:
    """Each run is of so many pictures that no other refers to, between two that others do refer to."""
    sparing, kept, every, number = Sparing(), [0.0], [0.0], 0
    assert not sparing.spares(0.0, 1 / fps, reference=True, layer=0)
    for run in runs:
        after = number + run + 1
        for at in [after, *range(number + 1, after)]:  # in the order of decoding
            every.append(at / rate)
            if not sparing.spares(at / rate, 1 / fps, reference=at == after, layer=0):
                kept.append(at / rate)
        number = after
    full, spared = Sampler(fps), Sampler(fps)
    wanted = [t for t in sorted(every) if full.wants(t)]
    taken = [t for t in sorted(kept) if spared.wants(t)]
    assert abs(len(wanted) - len(taken)) <= 1
    for before, after_s in itertools.pairwise([*taken, every[-1]]):
        assert after_s - before <= 2 / fps + 1 / rate + 2e-3


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans(), st.integers(0, 6)), max_size=200))
def test_any_order_of_time_is_survived_and_little_is_remembered(pictures: list[tuple[float, bool, int]]) -> None:
    sparing, layered = Sparing(), False
    for t_s, reference, layer in pictures:
        layered = layered or layer > 0
        spared = sparing.spares(t_s, 0.2, reference=reference, layer=layer)
        assert not (spared and (reference or layered))
    assert len(sparing._shown_s) <= 16


def test_nothing_is_spared_while_damage_keeps_pictures_out(tmp_path: Path) -> None:
    """After a lost reference nothing is shown, and nothing counted, until a key picture."""
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
    played = play(damaged, 5.0)
    assert played.decoded > 30
    times = sorted(info.media_time_s for info, _ in played.pictures.values())
    assert max(b - a for a, b in itertools.pairwise(times)) > 0.3, "a gap where it was damaged"
