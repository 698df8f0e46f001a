from __future__ import annotations

import itertools
import math
import random
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from vedette.adapters.capture.pyav import PyAvSource
from vedette.contracts.camera import Transport
from vedette.contracts.errors import CameraError
from vedette.contracts.frames import FrameInfo
from vedette.core.url_policy import CheckedUrl, camera_policy, check_url
from vedette.testing.camera import CameraSimulator, CameraSource
from vedette.testing.synthetic import make_clip, read_counter


def address(url: str | Path) -> CheckedUrl:
    return check_url(str(url), camera_policy(), lambda _: ())


def read(path: Path, **options: object) -> list[tuple[FrameInfo, int]]:
    """Identity and burned-in number of every picture."""
    source = PyAvSource(address(path), camera="cam", **{"realtime": False, **options})  # type: ignore[arg-type]
    pictures = [(info, read_counter(pixels.y)) for info, pixels in source]
    source.close()
    return pictures


@pytest.mark.parametrize(
    ("codec", "container", "b_frames"),
    [
        ("h264", "mp4", 0),
        ("h264", "mp4", 3),
        ("h265", "mp4", 2),
        ("mjpeg", "avi", 0),
        ("mpeg4", "avi", 2),
        ("h264", "matroska", 2),
    ],
)
def test_every_picture_in_order_with_its_time(tmp_path: Path, codec: str, container: str, b_frames: int) -> None:
    path = tmp_path / "clip.bin"
    path.write_bytes(make_clip(codec=codec, container=container, b_frames=b_frames, frames=60))  # type: ignore[arg-type]
    pictures = read(path)
    assert [number for _, number in pictures] == list(range(60))
    assert [info.frame_no for info, _ in pictures] == list(range(60))
    assert [info.media_time_s for info, _ in pictures] == pytest.approx([n / 25 for n in range(60)], abs=0.0011)
    assert all(info.t_s == info.media_time_s for info, _ in pictures)
    assert (pictures[0][0].width, pictures[0][0].height) == (320, 240)


def test_a_backtest_is_the_same_on_every_run(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(b_frames=2))
    first, second = read(path, fps=7), read(path, fps=7)
    assert first == second
    assert first[0][0].epoch.startswith("file-")
    assert read(path, wall_start_s=1000.0)[10][0].wall_s == pytest.approx(1000.4)


def test_sampling_takes_the_rate_asked_for_and_counts_all_pictures(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(frames=100))
    pictures = read(path, fps=10)
    assert len(pictures) == 40
    assert all(info.frame_no == number for info, number in pictures)


def test_a_gif_is_converted(tmp_path: Path) -> None:
    path = tmp_path / "clip.gif"
    with av.open(str(path), "w", format="gif") as output:
        stream = output.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb8"
        for number in range(10):
            image = np.full((48, 64, 3), 255 if number % 2 else 0, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image).reformat(format="rgb8")))
        output.mux(stream.encode(None))
    source = PyAvSource(address(path), camera="cam", realtime=False)
    means = [round(float(pixels.y.mean())) for _, pixels in source]
    assert means == pytest.approx([16, 235] * 5, abs=3), "limited range, as Pixels promises"


def test_a_file_in_real_time_keeps_its_pace_and_can_be_closed(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(frames=10))
    source = PyAvSource(address(path), camera="cam")
    start_s = time.monotonic()
    infos = [info for info, _ in source]
    assert 0.33 < time.monotonic() - start_s < 1.0
    assert abs(infos[-1].t_s - time.monotonic()) < 0.3
    assert abs(infos[-1].wall_s - time.time()) < 0.3
    looping = PyAvSource(address(path), camera="cam", loop=True)
    epochs: set[str] = set()
    for info, _ in looping:
        epochs.add(info.epoch)
        if len(epochs) == 2:
            looping.close()
    assert len(epochs) == 2
    slow = tmp_path / "slow.mp4"
    slow.write_bytes(make_clip(frames=3, fps=1))
    waiting = PyAvSource(address(slow), camera="cam")
    threading.Timer(0.2, waiting.close).start()
    start_s = time.monotonic()
    assert len(list(waiting)) >= 1
    assert time.monotonic() - start_s < 1.5


def test_pictures_nobody_needs_cost_key_pictures_only(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(frames=100, gop=25))
    numbers = [number for _, number in read(path, fps=0.0)]
    assert numbers == [0, 25, 50, 75]


def test_a_file_in_real_time_stands_until_its_pictures_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(frames=20, gop=20))
    source = PyAvSource(address(path), camera="cam", fps=0.0)
    pictures = ((info, read_counter(pixels.y)) for info, pixels in source)
    stood = [next(pictures), next(pictures)]
    assert [number for _, number in stood] == [0, 0], "the second one tells that the file can still be read"
    source.set_fps(math.inf)
    wanted_s = time.monotonic()
    played = list(pictures)
    assert [number for _, number in played] == list(range(1, 20)), "the next key picture is not waited for"
    infos = [info for info, _ in stood + played]
    assert [info.frame_no for info in infos] == list(range(21))
    assert all(before.t_s < after.t_s for before, after in itertools.pairwise(infos))
    assert infos[2].t_s >= wanted_s + 0.039, "its time stood too"
    assert [info.media_time_s for info in infos[2:]] == pytest.approx([number / 25 for number in range(1, 20)])
    unwanted = PyAvSource(address(path), camera="cam", fps=0.0)
    threading.Timer(0.1, unwanted.close).start()
    assert len(list(unwanted)) == 1


def test_a_file_in_real_time_that_nobody_needs_comes_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vedette.adapters.capture.pyav.STAND_S", 0.0)
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(frames=30, gop=10))
    shown = [read_counter(pixels.y) for _, pixels in PyAvSource(address(path), camera="cam", fps=0.0)]
    assert shown[0] == 0


@pytest.mark.parametrize("name", ["missing.mp4", ".", "empty.mp4", "text.mp4"])
def test_what_is_no_video_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("this is no video\n" * 50)
    with pytest.raises(CameraError, match="V204"):
        PyAvSource(address(tmp_path / name), camera="cam")


def corrupted(clip: bytes, share: float, seed: int) -> bytes:
    """The clip with flipped bits in some packets (never in the container's own data)."""
    import io

    rng = random.Random(seed)
    data = bytearray(clip)
    with av.open(io.BytesIO(clip), "r") as container:
        for packet in container.demux(video=0):
            if packet.size and packet.pos is not None and rng.random() < share:
                for _ in range(8):
                    data[packet.pos + rng.randrange(6, packet.size)] ^= 1 << rng.randrange(8)
    return bytes(data)


@pytest.mark.parametrize(("share", "limit"), [(0.02, 0.0), (0.3, 0.3), (1.0, 1.0)])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_damaged_pictures_are_kept_out_and_the_stream_goes_on(
    tmp_path: Path, share: float, limit: float, b_frames: int
) -> None:
    """Bit errors in a slice may decode without a sign, so the share kept out is what is checked when all is noise."""
    clip = make_clip(frames=500, gop=10, b_frames=b_frames)
    good_path, bad_path = tmp_path / "good.mp4", tmp_path / "bad.mp4"
    good_path.write_bytes(clip)
    source = PyAvSource(address(good_path), camera="cam", realtime=False)
    expected = {info.frame_no: pixels.y[::4, ::4].copy() for info, pixels in source}
    for seed in range(2):
        bad_path.write_bytes(corrupted(clip, share, seed))
        source = PyAvSource(address(bad_path), camera="cam", realtime=False)
        passed = damaged = 0
        for _, pixels in source:
            picture = expected.get(read_counter(pixels.y), np.zeros(1, np.uint8))
            wrong = np.abs(pixels.y[::4, ::4].astype(int) - picture.astype(int)) > 40
            passed += 1
            damaged += bool(wrong.mean() > 0.02)
        assert damaged <= limit * passed
        assert source.progress.corrupt > 0
        assert share > 0.1 or passed > 350, "most pictures are good"


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_camera_over_rtsp(tmp_path: Path, codec: str, transport: Transport) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(codec=codec, frames=50, gop=10))  # type: ignore[arg-type]
    with CameraSimulator([CameraSource(path, name="cam")], "127.0.0.1", port=0) as simulator:
        start_s = time.monotonic()
        source = PyAvSource(address(simulator.url("cam")), camera="cam", transport=transport, gap_reason="why")
        pictures = []
        first_s = math.inf
        for info, pixels in source:
            first_s = min(first_s, time.monotonic() - start_s)
            pictures.append((info, read_counter(pixels.y)))
            if len(pictures) == 40:
                break
        source.close()
    assert first_s < 0.8
    assert [info.gap_reason for info, _ in pictures] == ["why"] + [""] * 39
    numbers = [number for _, number in pictures]
    assert all((b - a) % 50 == 1 for a, b in itertools.pairwise(numbers)), "none missing, none doubled"
    infos = [info for info, _ in pictures]
    assert all(b.t_s > a.t_s and b.media_time_s > a.media_time_s for a, b in itertools.pairwise(infos))
    assert abs(infos[-1].t_s - time.monotonic()) < 1.0
    assert source.progress.codec == {"h264": "h264", "h265": "hevc"}[codec]


def test_whoever_takes_long_with_a_picture_does_not_make_the_camera_silent(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(frames=25))
    with CameraSimulator([CameraSource(path, name="cam")], "127.0.0.1", port=0) as simulator:
        source = PyAvSource(address(simulator.url("cam")), camera="cam", read_limit_s=1.0)
        for number, _ in enumerate(source):
            if number == 5:
                time.sleep(1.2)  # as a decoder that is given no processor
            if number == 20:
                break
        source.close()
    assert number == 20


def test_credentials_with_odd_characters_work_and_stay_secret(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(frames=25))
    from dataclasses import replace

    from vedette.testing.camera import Credentials

    password = "p@ss/w#rd%40:x&usr=y"
    with CameraSimulator(
        [CameraSource(path, name="cam")], "127.0.0.1", port=0, credentials=Credentials("admin", password)
    ) as simulator:
        bare = address(simulator.url("cam"))
        good = replace(bare, username="admin", password=password)
        source = PyAvSource(good, camera="cam")
        assert next(iter(source))
        source.close()
        for wrong in (bare, replace(bare, username="admin", password="nope-nope")):
            with pytest.raises(CameraError, match="V202") as caught:
                PyAvSource(wrong, camera="cam")
            assert "nope" not in str(caught.value)
            assert caught.value.__cause__ is None
