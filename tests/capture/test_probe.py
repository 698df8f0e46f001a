from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame

from vedette.adapters.capture.advice import advise
from vedette.adapters.capture.probe import Probe, complete_stamps, probe_stream
from vedette.contracts.camera import Transport
from vedette.contracts.errors import VedetteError
from vedette.core.url_policy import CheckedUrl, camera_policy, check_url
from vedette.testing.camera import CameraSimulator, CameraSource, Credentials
from vedette.testing.synthetic import make_clip

SECRET = "pa ss/w@rd#1"


def address(url: str | Path) -> CheckedUrl:
    return check_url(str(url), camera_policy(), lambda _: ())


def clip(folder: Path, **options: Any) -> Path:
    path = folder / "clip.mp4"
    path.write_bytes(make_clip(**{"frames": 100, "gop": 10, **options}))
    return path


@contextmanager
def camera(source: Path, **options: Any) -> Iterator[CameraSimulator]:
    with CameraSimulator([CameraSource(source, name="cam")], **options) as simulator:
        yield simulator


def topics(probe: Probe) -> list[str]:
    return [entry.topic for entry in advise(probe)]


@pytest.mark.parametrize(
    ("codec", "container", "name", "b_frames"),
    [
        ("h264", "mp4", "H.264", 0),
        ("h264", "matroska", "H.264", 2),
        ("h265", "mp4", "H.265", 0),
        ("mjpeg", "avi", "MJPEG", 0),
    ],
)
def test_a_file_is_what_it_was_made_as(tmp_path: Path, codec: str, container: str, name: str, b_frames: int) -> None:
    path = clip(tmp_path, codec=codec, container=container, b_frames=b_frames, fps=20, frames=90)
    probe = probe_stream(address(path), seconds=60)
    assert (probe.codec, probe.width, probe.height, probe.transport) == (name, 320, 240, "file")
    assert probe.fps == pytest.approx(20, abs=0.1)
    assert probe.fps_declared == pytest.approx(20, abs=0.1)
    assert probe.pictures == 90
    assert probe.b_frames == b_frames
    interval_s = 0.05 if codec == "mjpeg" else 0.5
    assert (probe.key_interval_min_s, probe.key_interval_max_s) == pytest.approx((interval_s, interval_s), abs=0.002)
    assert probe.key_wait_s is None
    assert not probe.live
    assert not probe.damaged
    assert probe.sound == ""


def test_a_file_is_looked_at_only_as_long_as_asked_for(tmp_path: Path) -> None:
    progress: list[float] = []
    probe = probe_stream(address(clip(tmp_path)), seconds=1.0, on_progress=progress.append)
    assert probe.measured_s == pytest.approx(1.0, abs=0.05)
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_camera_is_measured(tmp_path: Path, codec: str, transport: Transport) -> None:
    with camera(clip(tmp_path, codec=codec, fps=25, gop=10)) as simulator:
        probe = probe_stream(address(simulator.url()), transport, seconds=1.5)
    assert probe.live
    assert probe.transport == transport.value
    assert probe.fps == pytest.approx(25, abs=0.3)
    assert probe.key_interval_max_s == pytest.approx(0.4, abs=0.05)
    assert probe.first_picture_s < 1.0
    assert not probe.damaged
    assert ("codec" in topics(probe)) == (codec == "h265")


def test_b_frames_are_seen_and_cost_nothing_of_the_rate(tmp_path: Path) -> None:
    with camera(clip(tmp_path, b_frames=3, gop=20)) as simulator:
        probe = probe_stream(address(simulator.url()), seconds=1.5)
    assert probe.b_frames == 3
    assert probe.fps == pytest.approx(25, abs=0.3)
    assert probe.longest_pause_s == pytest.approx(0.04, abs=0.005)
    assert "b-frames" in topics(probe)
    assert "pauses" not in topics(probe)


def test_a_long_key_interval_is_said(tmp_path: Path) -> None:
    with camera(clip(tmp_path, gop=75, frames=75)) as simulator:
        probe = probe_stream(address(simulator.url()), seconds=4.0)
    assert probe.key_interval_max_s == pytest.approx(3.0, abs=0.05)
    assert advise(probe)[0].topic == "key-interval"
    assert "3.0 s" in advise(probe)[0].text


def test_one_key_picture_only_is_a_lower_bound(tmp_path: Path) -> None:
    with camera(clip(tmp_path, gop=250, frames=250)) as simulator:
        probe = probe_stream(address(simulator.url()), seconds=2.5)
    assert probe.key_interval_max_s is None
    assert probe.key_wait_s is not None
    assert probe.key_wait_s >= 2.4
    assert "more than" in advise(probe)[0].text


def test_stamps_at_the_ends_do_not_count_as_pauses() -> None:
    assert complete_stamps([]) == []
    assert complete_stamps([1.0]) == [1.0]
    assert complete_stamps([1.0, 2.0, 3.0]) == [1.0, 2.0, 3.0]
    assert complete_stamps([4.0, 2.0, 3.0, 7.0, 5.0, 6.0, 10.0, 8.0]) == [4.0, 5.0, 6.0, 7.0]


def test_sound_is_named_and_ignored(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as output:
        video = output.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = output.add_stream("aac", rate=16000, layout="mono")
        for _ in range(25):
            output.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")))
            frame = AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16000
            output.mux(audio.encode(frame))
        output.mux(video.encode(None))
        output.mux(audio.encode(None))
    probe = probe_stream(address(path), seconds=5)
    assert probe.sound == "aac"
    assert "sound" in topics(probe)


GOOD = Probe(
    source="rtsp://10.0.0.7/1", transport="tcp", codec="H.264", profile="Main", pixel_format="yuv420p", width=640,
    height=360, fps=15.0, fps_declared=15.0, longest_pause_s=0.07, key_interval_min_s=1.0, key_interval_max_s=1.0,
    key_wait_s=None, b_frames=0, first_picture_s=0.1, bitrate_kbps=500.0, sound="", measured_s=10.0, pictures=150,
    damaged=0, live=True,
)  # fmt: skip


def test_a_good_stream_needs_no_advice() -> None:
    assert advise(GOOD) == []


@pytest.mark.parametrize(
    ("change", "topic"),
    [
        ({"key_interval_max_s": 2.1}, "key-interval"),
        ({"key_interval_min_s": None, "key_interval_max_s": None}, "key-interval"),
        ({"codec": "H.265"}, "codec"),
        ({"codec": "MJPEG"}, "codec"),
        ({"codec": "mpeg4"}, "codec"),
        ({"width": 3840, "height": 2160}, "size"),
        ({"width": 1080, "height": 1920}, "size"),
        ({"fps": 60.0}, "fps"),
        ({"fps": 2.0}, "fps"),
        ({"b_frames": 2}, "b-frames"),
        ({"longest_pause_s": 0.9}, "pauses"),
        ({"damaged": 3}, "damage"),
        ({"first_picture_s": 1.5}, "first-picture"),
        ({"pixel_format": "yuv422p10le"}, "pixel-format"),
        ({"sound": "aac"}, "sound"),
    ],
)
def test_each_weakness_has_its_advice(change: dict[str, Any], topic: str) -> None:
    assert topics(dataclasses.replace(GOOD, **change)) == [topic]


def test_a_recording_is_not_told_to_be_a_better_camera() -> None:
    weak = dataclasses.replace(GOOD, live=False, b_frames=3, key_interval_max_s=10.0, longest_pause_s=3.0)
    assert advise(weak) == []


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def failure(url: str | Path, **options: Any) -> VedetteError:
    with pytest.raises(VedetteError) as caught:
        probe_stream(address(url), **options)
    assert caught.value.hint
    return caught.value


def test_what_cannot_be_opened_is_explained(tmp_path: Path) -> None:
    text = tmp_path / "notes.bin"
    text.write_text("no video at all\n" * 100)
    assert failure(tmp_path / "missing.mp4").code == "V204"
    assert failure(text).code == "V204"
    refused = failure(f"rtsp://127.0.0.1:{closed_port()}/cam")
    assert refused.code == "V201"
    assert "connection refused" in refused.message


def test_a_file_without_pictures_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
    error = failure(path)
    assert error.code == "V203"
    assert "no video" in error.message


def test_what_does_not_speak_rtsp_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        error = failure(f"rtsp://127.0.0.1:{server.getsockname()[1]}/cam")
        thread.join()
    assert error.code == "V201"
    assert "does not speak RTSP" in error.message


def test_faults_of_a_camera_are_explained(tmp_path: Path) -> None:
    with camera(clip(tmp_path)) as simulator:
        handle, url = simulator.camera("cam"), simulator.url()
        assert "no stream at this path" in failure(f"{url}-wrong").message
        handle.fault("redirect", url="rtsp://192.0.2.7/cam")
        moved = failure(url)
        assert moved.code == "V105"
        assert "rtsp://192.0.2.7/cam" in moved.message
        handle.clear()
        handle.fault("udp_blackhole")
        assert "TCP" in failure(url, transport=Transport.UDP).hint.upper()
        handle.clear()
        handle.fault("silent")
        assert failure(url).code == "V201"
        handle.clear()


def test_a_camera_without_key_pictures_is_explained(tmp_path: Path) -> None:
    with CameraSimulator([CameraSource(clip(tmp_path), name="cam", instant_start=False)]) as simulator:
        simulator.camera("cam").fault("no_keyframes")
        error = failure(simulator.url(), seconds=1.0)
    assert error.code == "V203"
    assert "no key picture" in error.message


def vedette_probe(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120", **environment}
    return subprocess.run(
        [sys.executable, "-m", "vedette", "camera", "probe", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
        check=False,
    )


def test_the_command_and_its_credentials(tmp_path: Path) -> None:
    password_file = tmp_path / "password"
    password_file.write_text(f"{SECRET}\n")
    outputs: list[str] = []

    def run(code: int, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done = vedette_probe("--seconds", "0.5", *arguments, **environment)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        outputs.append(done.stdout + done.stderr)
        return done

    with camera(clip(tmp_path), credentials=Credentials("viewer", SECRET)) as simulator:
        url = simulator.url()
        by_file = run(0, url, "--user", "viewer", "--password-file", str(password_file), "--json")
        document = json.loads(by_file.stdout)
        assert (document["codec"], document["width"], document["source"]) == ("H.264", 320, url)
        assert isinstance(document["advice"], list)
        assert "H.264" in run(0, url, "--user", "viewer", VEDETTE_CAMERA_PASSWORD=SECRET).stdout
        in_url = url.replace("rtsp://", "rtsp://viewer:pa%20ss%2Fw%40rd%231@")
        assert "--user" in run(0, in_url).stdout
        assert "--user NAME" in run(1, url).stderr
        assert "V202" in run(1, url, "--user", "viewer", VEDETTE_CAMERA_PASSWORD="wrong-secret").stderr
        assert "no terminal" in run(1, url, "--user", "viewer").stderr
    for text in outputs:
        for secret in (SECRET, "pa%20ss", "wrong-secret"):
            assert secret not in text


def test_the_commands_errors_end_with_one_and_a_hint(tmp_path: Path) -> None:
    missing = vedette_probe(str(tmp_path / "missing.mp4"), "--json")
    assert missing.returncode == 1
    error = json.loads(missing.stderr)["error"]
    assert error["code"] == "V204"
    assert error["hint"]
    metadata = vedette_probe("rtsp://169.254.169.254/latest")
    assert metadata.returncode == 1
    assert "V105" in metadata.stderr
    unknown = vedette_probe("rtsp://viewer:hidden-word@no-such-camera.invalid/1")
    assert unknown.returncode == 1
    assert "cannot be resolved" in unknown.stderr
    assert "hidden-word" not in unknown.stderr
