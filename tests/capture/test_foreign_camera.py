"""CameraIngest against a camera that is not ours: GStreamer's RTSP server, run by the system's Python."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.capture.rig import Rig

SYSTEM_PYTHON = Path("/usr/bin/python3")
SERVER = Path(__file__).with_name("gst_server.py")
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-ugly gstreamer1.0-plugins-bad"

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    if not SYSTEM_PYTHON.exists():
        pytest.skip(f"needs {SYSTEM_PYTHON} with {PACKAGES}")
    process = subprocess.Popen(
        [SYSTEM_PYTHON, "-I", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        process.wait()
        process.stdin.close()
        process.stdout.close()
        pytest.skip(f"needs GStreamer's RTSP server ({PACKAGES})")
    yield int(line)
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(("codec", "name"), [("h264", "h264"), ("h265", "hevc")])
def test_pictures_of_a_foreign_camera(
    make_rig: Callable[..., Rig], port: int, codec: str, name: str, transport: str
) -> None:
    start_s = time.monotonic()
    rig = make_rig(f"rtsp://127.0.0.1:{port}/{codec}", camera={"transport": transport})
    rig.until_state("STREAMING", 20)
    rig.until(lambda: len(rig.frames) > 45, 20)
    assert rig.frames[0][0] - start_s < 5, "its encoder starts with the first client"
    infos = [info for _, info in rig.frames]
    assert len({info.epoch for info in infos}) == 1, "one connection, not several"
    assert (infos[0].width, infos[0].height) == (320, 240)
    span_s = infos[-1].t_s - infos[20].t_s
    assert (len(infos) - 21) / span_s == pytest.approx(25, rel=0.15)
    assert all(b.frame_no == a.frame_no + 1 for a, b in itertools.pairwise(infos[20:45]))
    rig.until(lambda: rig.status.codec == name and rig.status.stream_fps == pytest.approx(25, rel=0.1))
    assert rig.status.frames_corrupt <= 25, "only what came before the first key picture"
    assert rig.exits == []
