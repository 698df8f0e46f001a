"""Clients that are not ours: FFmpeg (library and program), ffprobe, GStreamer."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from tests.camera_simulator.clients import open_stream, read_pictures, rgb
from tests.camera_simulator.conftest import FRAMES
from vedette.testing.camera import CameraSimulator, CameraSource, Credentials
from vedette.testing.synthetic import read_counter

CODECS = [("h264", 0), ("h264", 2), ("h265", 2), ("mjpeg", 0), ("mpeg4", 0)]


def frame_hashes(file: bytes | str, count: int = 0) -> list[str]:
    hashes = []
    with av.open(io.BytesIO(file) if isinstance(file, bytes) else file, "r") as container:
        for frame in container.decode(video=0):
            hashes.append(hashlib.sha256(rgb(frame).tobytes()).hexdigest())
            if len(hashes) == count:
                break
    return hashes


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(("codec", "b_frames"), CODECS)
def test_ffmpeg_sees_the_file_over_the_seam(
    clip: Callable[..., bytes], codec: str, b_frames: int, transport: str
) -> None:
    file = clip(codec, b_frames=b_frames)
    with CameraSimulator([CameraSource(io.BytesIO(file), "hall")]) as simulator:
        pictures = read_pictures(simulator.url(), FRAMES + 10, transport)
    counters = [read_counter(picture.image) for picture in pictures]
    first = counters[0]
    assert counters == [(first + n) % FRAMES for n in range(FRAMES + 10)], "no picture lost, none twice"
    times = [picture.pts for picture in pictures[1:]]  # FFmpeg's parser gives the very first one no time
    assert all(t is not None for t in times)
    assert {b - a for a, b in itertools.pairwise(times)} == {3600}  # type: ignore[operator]
    if codec != "mpeg4":
        direct = frame_hashes(file)
        seen = [hashlib.sha256(picture.image.tobytes()).hexdigest() for picture in pictures]
        assert [direct[n] for n in counters] == seen, "pictures are those of the file, bit for bit"


@pytest.mark.footage
def test_real_h265_with_large_key_pictures_arrives_whole(shared_data: Path) -> None:
    path = shared_data / "videos" / "Retail02_short.mp4"
    direct = frame_hashes(str(path), 25)
    with CameraSimulator([CameraSource(path)]) as simulator:
        for transport in ("tcp", "udp"):
            pictures = read_pictures(simulator.url(), 25, transport)
            seen = [hashlib.sha256(picture.image.tobytes()).hexdigest() for picture in pictures]
            assert seen == direct, transport


def test_ffprobe_describes_the_stream(clip: Callable[..., bytes]) -> None:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe is not installed")
    with CameraSimulator([CameraSource(io.BytesIO(clip("h265")), "hall")]) as simulator:
        for transport in ("tcp", "udp"):
            command = ["ffprobe", "-v", "error", "-rtsp_transport", transport, "-show_streams", "-of", "json"]
            result = subprocess.run([*command, simulator.url()], capture_output=True, timeout=60, check=True)
            stream = json.loads(result.stdout)["streams"][0]
            assert (stream["codec_name"], stream["width"], stream["height"]) == ("hevc", 320, 240)
            assert stream["r_frame_rate"] == "25/1"
            assert result.stderr == b""


def test_the_ffmpeg_program_copies_without_complaint(clip: Callable[..., bytes], tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    output = tmp_path / "copy.mkv"
    with CameraSimulator([CameraSource(io.BytesIO(clip("h264")), "hall")]) as simulator:
        command = ["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", simulator.url(), "-frames:v", "60"]
        subprocess.run([*command, "-c", "copy", str(output)], timeout=60, check=True)
    with av.open(str(output), "r") as container:
        counters = [read_counter(rgb(frame)) for frame in container.decode(video=0)]
    assert counters == [(counters[0] + n) % FRAMES for n in range(len(counters))]
    assert len(counters) >= 59


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("codec", "b_frames", "chain"),
    [
        ("h264", 2, "rtph264depay ! h264parse ! avdec_h264"),
        ("h265", 0, "rtph265depay ! h265parse ! avdec_h265"),
        ("mjpeg", 0, "rtpjpegdepay ! jpegdec"),
    ],
)
def test_gstreamer_with_a_password(
    clip: Callable[..., bytes], tmp_path: Path, codec: str, b_frames: int, chain: str, transport: str
) -> None:
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("gst-launch-1.0 is not installed")
    for element in ("rtspsrc", *chain.replace("!", " ").split()):
        if subprocess.run(["gst-inspect-1.0", "--exists", element], timeout=30).returncode:
            pytest.skip(f"the GStreamer element {element} is not installed")
    raw = tmp_path / "pictures.gray"
    credentials = Credentials("viewer", "secret")
    with CameraSimulator(
        [CameraSource(io.BytesIO(clip(codec, b_frames=b_frames)), "hall")], credentials=credentials
    ) as s:
        pipeline = (
            f"rtspsrc location={s.url()} user-id=viewer user-pw=secret protocols={transport} latency=200 ! {chain}"
        )
        pipeline += f" ! videoconvert ! video/x-raw,format=GRAY8 ! identity eos-after=50 ! filesink location={raw}"
        # Its exit status is not asked: ending in the middle of a live stream, it sometimes reports a failed PAUSE.
        result = subprocess.run(["gst-launch-1.0", "-q", *pipeline.split()], timeout=60, capture_output=True)
    planes = np.frombuffer(raw.read_bytes(), dtype=np.uint8).reshape(-1, 240, 320)
    counters = [read_counter(plane) for plane in planes][:44]  # the last ones are cut off by the end we asked for
    assert len(counters) == 44, result.stderr
    assert counters == [(counters[0] + n) % FRAMES for n in range(44)]


def test_many_foreign_clients_at_once(clip: Callable[..., bytes]) -> None:
    with CameraSimulator([CameraSource(io.BytesIO(clip("h264")), "hall")]) as simulator:
        containers = [open_stream(simulator.url(), "tcp" if n % 2 else "udp") for n in range(6)]
        try:
            simulator.camera().wait_for_clients(6)
            assert {c.user_agent[:4] for c in simulator.camera().clients()} == {"Lavf"}
            for container in containers:
                counters = []
                for frame in container.decode(video=0):
                    counters.append(read_counter(rgb(frame)))
                    if len(counters) == 30:
                        break
                assert counters == [(counters[0] + n) % FRAMES for n in range(30)]
        finally:
            for container in containers:
                container.close()
        simulator.camera().wait_for_clients(0)
