"""Real capture processes against the camera simulator's faults."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.capture.rig import Rig
from vedette.testing.camera import CameraSimulator, CameraSource, Credentials
from vedette.testing.synthetic import make_clip

pytestmark = pytest.mark.processes

MakeRig = Callable[..., Rig]
#: Generous against the targets (2 s, 1 s): this machine may be busy. The measured figures are in the bench.
SLACK_S = 0.7


@pytest.fixture
def simulator(clip: Path) -> Iterator[CameraSimulator]:
    with CameraSimulator([CameraSource(clip, name="cam")], "127.0.0.1", port=0) as simulator:
        yield simulator


def streaming(make_rig: MakeRig, simulator: CameraSimulator, **options: object) -> Rig:
    rig = make_rig(simulator.url("cam"), **options)
    rig.until_state("STREAMING")
    rig.until(lambda: len(rig.frames) > 10)
    return rig


def test_pictures_come_within_a_second_of_the_start_and_at_the_rate_asked_for(
    make_rig: MakeRig, simulator: CameraSimulator
) -> None:
    start_s = time.monotonic()
    rig = make_rig(simulator.url("cam"), fps=5)
    first_s, info = rig.until_frame_after(start_s)
    assert first_s - start_s < 1.5 + SLACK_S
    assert info.gap_reason == ""
    rig.until(lambda: rig.frames[-1][1].t_s - rig.frames[0][1].t_s >= 3)
    count, span_s = len(rig.frames) - 1, rig.frames[-1][1].t_s - rig.frames[0][1].t_s
    assert count / span_s == pytest.approx(5, rel=0.1)
    pid = rig.pid
    rig.send({"fps": 25})
    before = len(rig.frames)
    rig.until(lambda: len(rig.frames) >= before + 40, 4)
    assert rig.pid == pid
    assert len({info.epoch for _, info in rig.frames}) == 1, "no reconnection"
    status = rig.status
    assert (status.codec, status.width, status.height) == ("h264", 320, 240)
    assert status.stream_fps == pytest.approx(25, rel=0.05)


@pytest.mark.parametrize("kind", ["silent", pytest.param("deaf", marks=pytest.mark.faults)])
def test_a_camera_that_falls_silent_is_noticed_in_two_seconds_and_back_at_once(
    make_rig: MakeRig, simulator: CameraSimulator, kind: str
) -> None:
    rig = streaming(make_rig, simulator)
    simulator.camera("cam").fault(kind)
    start_s = time.monotonic()
    assert rig.until_state("STALLED") - start_s < 2.0 + SLACK_S
    assert "no packet" in rig.status.reason
    time.sleep(2.5)
    assert rig.status.state == "STALLED" if kind == "silent" else rig.status.state in ("STALLED", "UNREACHABLE")
    end_s = time.monotonic()
    simulator.camera("cam").clear()
    first_s, info = rig.until_frame_after(end_s)
    assert first_s - end_s < 1.0 + SLACK_S
    assert info.gap_reason.startswith("STALLED: ")
    rig.until_state("STREAMING")


@pytest.mark.parametrize("how", ["rst", pytest.param("fin", marks=pytest.mark.faults)])
def test_a_cut_connection(make_rig: MakeRig, simulator: CameraSimulator, how: str) -> None:
    rig = streaming(make_rig, simulator)
    simulator.camera("cam").fault("cut", how=how)
    start_s = time.monotonic()
    assert rig.until_state("UNREACHABLE") - start_s < 0.2 + SLACK_S
    rig.until(lambda: "refused" in rig.status.reason)
    time.sleep(1.5)
    pid = rig.pid
    end_s = time.monotonic()
    simulator.camera("cam").clear()
    first_s, info = rig.until_frame_after(end_s)
    assert first_s - end_s < 1.0 + SLACK_S
    assert info.gap_reason.startswith("UNREACHABLE: ")
    assert rig.pid == pid, "an end of the connection costs no process"
    assert rig.frames[-1][1].epoch != rig.frames[0][1].epoch


def test_a_hung_process_is_replaced_and_the_reason_reaches_the_next_picture(
    make_rig: MakeRig, simulator: CameraSimulator
) -> None:
    rig = streaming(make_rig, simulator)
    os.kill(rig.pid, signal.SIGSTOP)
    rig.until(lambda: rig.exits)
    assert rig.exits == ["no sign of life for 2 s"]
    first_s, info = rig.until_frame_after(time.monotonic())
    assert info.gap_reason == "no sign of life for 2 s"
    os.kill(rig.pid, signal.SIGKILL)
    rig.until(lambda: len(rig.exits) == 2)
    killed_s = time.monotonic()
    first_s, info = rig.until_frame_after(killed_s)
    assert first_s - killed_s < 1.5 + SLACK_S
    assert info.gap_reason == "it was ended by SIGKILL"


def test_a_wrong_password_is_told_apart_and_tried_once(
    make_rig: MakeRig, clip: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    credentials = Credentials("admin", "c0rrect/horse@#")
    with CameraSimulator([CameraSource(clip, name="cam")], "127.0.0.1", port=0, credentials=credentials) as simulator:
        rig = make_rig(simulator.url("cam"), username="admin", password="wr0ng-canary@/#")
        rig.until_state("UNAUTHORIZED")
        assert rig.status.error == "V202"
        epochs = len(rig.statuses)
        rig.until(lambda: len(rig.statuses) > epochs + 4)
        assert rig.status.state == "UNAUTHORIZED"
        cmdline = Path(f"/proc/{rig.pid}/cmdline").read_bytes() + Path(f"/proc/{rig.pid}/environ").read_bytes()
        rig.configure(password="c0rrect/horse@#")
        rig.until_state("STREAMING")
        told = "".join(status.model_dump_json() for _, status in rig.statuses)
        rig.close()
    output = capfd.readouterr()
    for text in (told, output.out, output.err, cmdline.decode(errors="replace")):
        assert "canary" not in text
        assert "c0rrect" not in text


def test_a_change_of_size_mid_stream_reaches_the_reader(
    make_rig: MakeRig, simulator: CameraSimulator, tmp_path: Path
) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(make_clip(width=480, height=272, frames=50, gop=12))
    rig = streaming(make_rig, simulator)
    simulator.camera("cam").fault("switch", path=str(other))
    rig.until(lambda: rig.frames[-1][1].width == 480)
    assert rig.frames[-1][1].height == 272
    rig.until(lambda: rig.status.width == 480)


def test_garbage_instead_of_rtsp_is_given_up_and_forgotten(make_rig: MakeRig, simulator: CameraSimulator) -> None:
    rig = streaming(make_rig, simulator)
    simulator.camera("cam").fault("garbage", form="sdp")
    rig.until(lambda: rig.status.state not in ("STREAMING", "CONNECTING"))
    time.sleep(3)
    pages = int(Path(f"/proc/{rig.pid}/statm").read_text().split()[1])
    assert pages * 4096 < 150e6
    end_s = time.monotonic()
    simulator.camera("cam").clear()
    first_s, _ = rig.until_frame_after(end_s)
    assert first_s - end_s < 3.0 + SLACK_S


def test_a_redirect_to_another_host_is_refused(make_rig: MakeRig, simulator: CameraSimulator) -> None:
    rig = streaming(make_rig, simulator)
    simulator.camera("cam").fault("redirect", url="rtsp://169.254.169.254/latest")
    rig.until_state("UNSUPPORTED")
    assert rig.status.error == "V105"


def test_no_key_picture_has_a_state_of_its_own(make_rig: MakeRig, simulator: CameraSimulator) -> None:
    simulator.camera("cam").fault("no_keyframes")
    rig = make_rig(simulator.url("cam"))  # it is given the pictures since the last key picture, then none follows
    rig.until_state("NO_KEYFRAME", 12)
    before = len(rig.frames)
    time.sleep(1.0)
    assert len(rig.frames) == before <= 16
    simulator.camera("cam").clear()
    rig.until_state("STREAMING")


def test_udp_that_does_not_get_through_becomes_tcp(make_rig: MakeRig, simulator: CameraSimulator) -> None:
    simulator.camera("cam").fault("udp_blackhole")
    start_s = time.monotonic()
    rig = make_rig(simulator.url("cam"), camera={"transport": "udp"})
    first_s, _ = rig.until_frame_after(start_s)
    assert first_s - start_s < 4.0 + SLACK_S


def test_a_file_that_ends_says_so_and_a_missing_one_too(make_rig: MakeRig, clip: Path, tmp_path: Path) -> None:
    rig = make_rig(str(clip))
    rig.until_state("ENDED")
    missing = make_rig(str(tmp_path / "missing.mp4"))
    missing.until_state("UNSUPPORTED")
    assert "does not exist" in missing.status.reason


def test_reconnections_leave_nothing_behind(make_rig: MakeRig, simulator: CameraSimulator) -> None:
    rig = streaming(make_rig, simulator)
    descriptors: list[int] = []
    for _ in range(6):
        simulator.camera("cam").fault("cut", seconds=0.2)
        rig.until(lambda: rig.status.state != "STREAMING")
        rig.until_state("STREAMING")
        descriptors.append(len(os.listdir(f"/proc/{rig.pid}/fd")))
    assert max(descriptors[1:]) <= descriptors[0] + 1
    assert rig.exits == []
