"""Cameras that GStreamer decodes: real capture processes, with decoders on the processor."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import pytest

from tests.capture.rig import Rig
from vedette.adapters.capture import gstreamer
from vedette.adapters.capture.gst_library import Gst
from vedette.compose.capture import CameraOpener, CaptureSpec
from vedette.contracts.camera import CameraConfig, Decoder, Transport
from vedette.contracts.errors import CameraError
from vedette.testing.camera import CameraSimulator, CameraSource, Credentials
from vedette.testing.synthetic import make_clip, read_counter

MakeRig = Callable[..., Rig]
PASSWORD = "p@ss/word#7"


@pytest.fixture
def simulator(clip: Path, gst: Gst) -> Iterator[CameraSimulator]:
    credentials = Credentials("admin", PASSWORD)
    with CameraSimulator([CameraSource(clip, name="cam")], "127.0.0.1", port=0, credentials=credentials) as simulator:
        yield simulator


def streaming(make_rig: MakeRig, simulator: CameraSimulator, decoder: str) -> Rig:
    rig = make_rig(simulator.url("cam"), camera={"decoder": decoder}, username="admin", password=PASSWORD)
    rig.until_state("STREAMING")
    rig.until(lambda: len(rig.frames) > 30)
    rig.until(lambda: rig.status.decoder and rig.status.width)
    return rig


@pytest.mark.processes
def test_a_camera_streams_is_lost_and_is_back(make_rig: MakeRig, simulator: CameraSimulator) -> None:
    rig = streaming(make_rig, simulator, "gstreamer")
    assert rig.status.decoder == "avdec_h264"
    assert (rig.status.codec, rig.status.width, rig.status.height) == ("h264", 320, 240)
    numbers = [info.frame_no for _, info in rig.frames[5:30]]
    assert numbers == list(range(numbers[0], numbers[0] + 25)), "every picture, each once"
    assert rig.status.frames_corrupt == 0
    simulator.camera("cam").fault("silent")
    rig.until_state("STALLED")
    assert "no packet" in rig.status.reason
    end_s = time.monotonic()
    simulator.camera("cam").clear()
    _, info = rig.until_frame_after(end_s)
    assert info.gap_reason.startswith("STALLED: ")
    rig.until_state("STREAMING")
    rig.send({"fps": 0})
    rig.until(lambda: rig.frames[-1][1].t_s - rig.frames[-2][1].t_s > 0.8)
    rig.send({"fps": 100, "rest": {"floor_s": 2}})
    before = len(rig.frames)
    rig.until(lambda: len(rig.frames) > before + 40)
    assert not any(PASSWORD in status.model_dump_json() for _, status in rig.statuses)
    assert rig.exits == []


@pytest.mark.processes
def test_without_the_hardware_s_decoder_auto_is_ffmpeg(make_rig: MakeRig, simulator: CameraSimulator, gst: Gst) -> None:
    if gst.has("nvv4l2decoder"):
        pytest.skip("this machine has the hardware's decoder")
    assert streaming(make_rig, simulator, "auto").status.decoder == "ffmpeg"


@pytest.mark.processes
def test_gstreamer_without_its_decoders_is_told_with_what_to_install(
    make_rig: MakeRig, simulator: CameraSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GST_PLUGIN_SYSTEM_PATH", "GST_PLUGIN_SYSTEM_PATH_1_0", "GST_PLUGIN_PATH", "GST_PLUGIN_PATH_1_0"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("GST_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("GST_REGISTRY_1_0", str(tmp_path / "registry"))
    rig = make_rig(simulator.url("cam"), camera={"decoder": "gstreamer"}, username="admin", password=PASSWORD)
    rig.until_state("UNSUPPORTED")
    assert rig.status.error == "V203"
    assert "looked for h264parse with one of nvv4l2decoder, avdec_h264" in rig.status.reason
    assert "decoder: ffmpeg" in rig.status.reason
    assert rig.exits == []


def opener(url: str, decoder: Decoder) -> CameraOpener:
    camera = CameraConfig(name="cam", url=url, decoder=decoder)
    spec = CaptureSpec(camera=camera, socket="unused", username="admin", password=PASSWORD)
    return CameraOpener(spec, Transport.AUTO)


def numbers_of(one: CameraOpener, count: int) -> tuple[list[int], str]:
    """Numbers burned into the first pictures, and what decoded them."""
    assert one.wait(threading.Event(), lambda why: None)
    source = one.open(math.inf, "")
    try:
        return [read_counter(pixels.y) for _, pixels in islice(source, count)], source.progress.decoder
    finally:
        source.close()


def test_hardware_that_fails_is_given_up_where_it_was_not_required(
    simulator: CameraSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gstreamer, "_HARDWARE", (("avdec_h265", ("h264",), "videoconvert"),))
    auto = opener(simulator.url("cam"), Decoder.AUTO)
    with pytest.raises(CameraError, match="avdec_h265") as caught:
        numbers_of(auto, 5)
    assert caught.value.code == "V203"
    assert PASSWORD not in str(caught.value)
    numbers, decoder = numbers_of(auto, 5)
    assert decoder == "ffmpeg"
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    required = opener(simulator.url("cam"), Decoder.GSTREAMER)
    for _ in range(2):
        with pytest.raises(CameraError, match="avdec_h265"):
            numbers_of(required, 5)


def test_hardware_that_is_there_is_taken(simulator: CameraSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gstreamer, "_HARDWARE", (("openh264dec", ("h264",), "videoconvert"),))
    numbers, decoder = numbers_of(opener(simulator.url("cam"), Decoder.AUTO), 30)
    assert decoder == "openh264dec"
    assert all((later - earlier) % 100 == 1 for earlier, later in pairwise(numbers))


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_live_pictures_that_are_put_in_order(gst: Gst, tmp_path: Path, codec: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip(codec=codec, frames=100, gop=20, b_frames=2))  # type: ignore[arg-type]
    with CameraSimulator([CameraSource(path, name="cam")], "127.0.0.1", port=0) as simulator:
        numbers, decoder = numbers_of(opener(simulator.url("cam"), Decoder.GSTREAMER), 50)
    assert decoder == {"h264": "avdec_h264", "h265": "avdec_h265"}[codec]
    assert all((later - earlier) % 100 == 1 for earlier, later in pairwise(numbers))


def test_streams_that_it_does_not_know_are_ffmpeg_s(gst: Gst, tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    path.write_bytes(make_clip(codec="mjpeg", frames=10))
    numbers, decoder = numbers_of(opener(str(path), Decoder.GSTREAMER), 10)
    assert (numbers, decoder) == (list(range(10)), "ffmpeg")
