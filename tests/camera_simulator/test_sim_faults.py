"""Each way to misbehave: what a client sees, when it starts, that it ends cleanly."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import av.error
import pytest

from tests.camera_simulator.clients import RtspSocket, open_stream, read_pictures, rgb, rtp_sequence, rtp_time
from vedette.contracts.errors import CameraError, UsageError
from vedette.testing.camera import FAULT_KINDS, CameraHandle, CameraSimulator, CameraSource, Media
from vedette.testing.camera.rtp import NTP_EPOCH_OFFSET_S
from vedette.testing.synthetic import read_counter


@pytest.fixture
def simulator(media: Callable[..., Media]) -> Iterator[CameraSimulator]:
    sources = [CameraSource(media("h264"), "hall"), CameraSource(media("h265"), "dock")]
    with CameraSimulator(sources, separate_ports=True) as running:
        yield running


@pytest.fixture
def hall(simulator: CameraSimulator) -> CameraHandle:
    return simulator.camera("hall")


@pytest.fixture
def player(hall: CameraHandle) -> Iterator[RtspSocket]:
    """A client that plays."""
    with RtspSocket(hall.url) as client:
        client.play()
        client.read_rtp()
        yield client


def drain(client: RtspSocket, seconds: float) -> list[bytes]:
    """RTP packets that arrive within ``seconds``."""
    end = time.monotonic() + seconds
    packets: list[bytes] = []
    try:
        while (left := end - time.monotonic()) > 0:
            client.socket.settimeout(left)
            packets.append(client.read_rtp())
    except TimeoutError:
        pass
    finally:
        client.socket.settimeout(5)
    return packets


def assert_other_camera_plays(simulator: CameraSimulator) -> None:
    assert len(read_pictures(simulator.url("dock"), 3)) == 3


def test_every_kind_is_refused_with_an_unknown_parameter(hall: CameraHandle) -> None:
    for kind in FAULT_KINDS:
        with pytest.raises(UsageError, match=f"fault {kind}: colour: Extra inputs"):
            hall.fault(kind, colour="red", **{"switch": {"path": "x"}, "redirect": {"url": "x"}}.get(kind, {}))
    with pytest.raises(UsageError, match="fault 'sulk' does not exist; known are black, clock_skew, corrupt"):
        hall.fault("sulk")
    with pytest.raises(UsageError, match="fault corrupt: probability: Input should be less than or equal to 1"):
        hall.fault("corrupt", probability=2)
    assert hall.faults() == []


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_cut_ends_connections_and_refuses_new_ones(
    simulator: CameraSimulator, hall: CameraHandle, player: RtspSocket, how: str
) -> None:
    record = hall.fault("cut", how=how, seconds=0.5)
    with pytest.raises(ConnectionResetError) as caught:
        player.read_until_closed()
    assert ("closed the connection" in str(caught.value)) is (how == "fin")
    assert time.monotonic() - record.t0_s < 0.2
    with pytest.raises(ConnectionRefusedError):
        RtspSocket(hall.url)
    assert_other_camera_plays(simulator)
    deadline = time.monotonic() + 5
    while hall.faults()[-1].t1_s is None:
        assert time.monotonic() < deadline
    ended = hall.faults()[-1]
    assert ended.t1_s is not None
    assert 0.45 < ended.t1_s - ended.t0_s < 0.8
    assert len(read_pictures(hall.url, 3)) == 3


def test_cut_on_a_shared_port_resets_at_the_first_request(media: Callable[..., Media]) -> None:
    with CameraSimulator([CameraSource(media("h264"), "hall"), CameraSource(media("h265"), "dock")]) as simulator:
        simulator.camera("hall").fault("cut")
        with RtspSocket(simulator.url("hall")) as client, pytest.raises(ConnectionResetError):
            client.request("DESCRIBE")
        assert_other_camera_plays(simulator)
        simulator.camera("hall").clear()
        assert len(read_pictures(simulator.url("hall"), 3)) == 3


def test_restart_comes_back_with_new_numbers(hall: CameraHandle, player: RtspSocket) -> None:
    before = player.read_rtp()
    hall.fault("restart", seconds=0.3)
    with pytest.raises(ConnectionResetError):
        player.read_until_closed()
    deadline = time.monotonic() + 5
    while hall.faults()[-1].t1_s is None:
        assert time.monotonic() < deadline
    with RtspSocket(hall.url) as client:
        client.play()
        after = client.read_rtp()
    assert after[8:12] != before[8:12], "another source identifier"
    starts = hall.loops()
    assert starts[-1].reason == "rebase" or starts[-2].reason == "rebase"


def test_silent_keeps_answering_and_catches_up(hall: CameraHandle, player: RtspSocket) -> None:
    last = drain(player, 0.2)[-1]
    hall.fault("silent")
    last = (drain(player, 0.1) or [last])[-1]
    assert drain(player, 0.3) == []
    assert player.request("GET_PARAMETER")[0] == 200
    with RtspSocket(hall.url) as new:
        new.play()
        assert drain(new, 0.2) == []
    (ended,) = hall.clear("silent")
    assert ended.t1_s is not None
    packets = drain(player, 0.4)
    steps = [(rtp_time(b) - rtp_time(a)) % 2**32 for a, b in zip([last, *packets], packets, strict=False)]
    assert max(steps) <= 90_000, "at most a group of pictures is left out"
    assert all(step < 2**31 for step in steps), "time does not run back"


def test_deaf_answers_nothing_and_then_everything(
    simulator: CameraSimulator, hall: CameraHandle, player: RtspSocket
) -> None:
    hall.fault("deaf")
    drain(player, 0.1)
    player.send("GET_PARAMETER")
    player.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        player.read_response()
    with RtspSocket(hall.url, timeout_s=0.3) as new:
        new.send("OPTIONS")
        with pytest.raises(TimeoutError):
            new.read_response()
        assert_other_camera_plays(simulator)
        hall.clear()
        new.socket.settimeout(5)
        assert new.read_response()[0] == 200
    player.socket.settimeout(5)
    assert player.read_response()[0] == 200
    assert drain(player, 0.2)


def test_corrupt_pictures_are_listed_and_stop(hall: CameraHandle, player: RtspSocket) -> None:
    hall.fault("corrupt", probability=0.5, bits=20, seed=3)
    during = drain(player, 0.8)
    hall.clear()
    spoiled = set(hall.spoiled())
    assert len(spoiled) > 3
    times = {rtp_time(packet) for packet in during}
    assert len(times & spoiled) >= 3
    assert times - spoiled, "not every picture is hit"
    drain(player, 0.2)
    assert set(hall.spoiled()) == spoiled
    pictures = read_pictures(hall.url, 30)
    assert len({read_counter(p.image) for p in pictures[-3:]}) == 3


def test_loss_leaves_gaps(hall: CameraHandle, player: RtspSocket) -> None:
    drain(player, 0.1)
    hall.fault("loss", probability=0.4, seed=1)
    sequences = [rtp_sequence(packet) for packet in drain(player, 1.0)]
    assert any((b - a) % 65536 > 1 for a, b in itertools.pairwise(sequences))
    hall.clear()
    drain(player, 0.1)
    sequences = [rtp_sequence(packet) for packet in drain(player, 0.4)]
    assert {(b - a) % 65536 for a, b in itertools.pairwise(sequences)} == {1}


def test_no_keyframes_until_cleared(hall: CameraHandle, player: RtspSocket) -> None:
    def has_key(packets: list[bytes]) -> bool:
        return any(p[12] & 31 in (5, 24) or (p[12] & 31 == 28 and p[13] & 31 == 5) for p in packets)

    drain(player, 0.1)
    hall.fault("no_keyframes")
    with RtspSocket(hall.url) as new:
        new.play()
        assert not has_key(drain(new, 0.2)), "one that was sent before"
    assert not has_key(drain(player, 1.8))
    with RtspSocket(hall.url) as new:
        new.play()
        assert not has_key(drain(new, 0.2))
    hall.clear()
    assert has_key(drain(player, 1.8))


@pytest.mark.parametrize("only", ["sdp", "band"])
def test_parameter_sets_in_one_place_only(hall: CameraHandle, only: str) -> None:
    hall.fault("parameter_sets", only=only)
    hall_pictures = read_pictures(hall.url, 60)
    assert len(hall_pictures) == 60, "FFmpeg copes with both"
    with RtspSocket(hall.url) as client:
        body = client.request("DESCRIBE")[2]
        assert (b"sprop" in body) is (only == "sdp")


def test_time_stamps_jump_and_jump_back(hall: CameraHandle, player: RtspSocket) -> None:
    def largest_step(packets: list[bytes]) -> int:
        times = [rtp_time(packet) for packet in packets]
        return max((b - a + 2**31) % 2**32 - 2**31 for a, b in itertools.pairwise(times))

    before = drain(player, 0.2)
    hall.fault("timestamp_jump", jump_s=1000)
    assert largest_step(before[-1:] + drain(player, 0.4)) == pytest.approx(90_000_000, abs=8000)
    hall.clear()
    drain(player, 0.2)
    assert largest_step(drain(player, 0.4)) == 3600
    hall.fault("timestamp_jump", mode="zero")
    drain(player, 0.1)
    assert {rtp_time(packet) for packet in drain(player, 0.3)} == {0}


def test_sender_reports_from_1970(hall: CameraHandle) -> None:
    def wall_time_s(client: RtspSocket) -> float:
        while True:
            channel, packet = client.read_frame()
            if channel == 1:
                return int.from_bytes(packet[8:12]) - NTP_EPOCH_OFFSET_S

    with RtspSocket(hall.url) as client:
        client.play()
        assert wall_time_s(client) == pytest.approx(time.time(), abs=2)
    hall.fault("clock_skew")
    with RtspSocket(hall.url) as client:
        client.play()
        assert wall_time_s(client) == 0


def test_udp_blackhole(hall: CameraHandle) -> None:
    hall.fault("udp_blackhole")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media, RtspSocket(hall.url) as client:
        media.bind(("127.0.0.1", 0))
        media.settimeout(0.3)
        port = media.getsockname()[1]
        status, _, _ = client.request("SETUP", Transport=f"RTP/AVP;unicast;client_port={port}-{port}")
        assert (status, client.request("PLAY")[0]) == (200, 200)
        hall.wait_for_clients(1)
        with pytest.raises(TimeoutError):
            media.recv(2000)
        assert len(read_pictures(hall.url, 3, "tcp")) == 3, "TCP still works"
        hall.clear()
        media.settimeout(5)
        while media.recv(2000)[1] & 0x7F != 96:
            pass


def test_switch_changes_the_size_without_a_break(
    hall: CameraHandle, clip: Callable[..., bytes], tmp_path: Path
) -> None:
    other = tmp_path / "smaller.mp4"
    other.write_bytes(clip("h264", width=160))
    with open_stream(hall.url) as container:
        sizes, times = [], []
        for number, frame in enumerate(container.decode(video=0)):
            sizes.append(frame.width)
            times.append(frame.pts)
            if number == 10:
                hall.fault("switch", path=str(other))
            if number == 60:
                hall.clear()
            if number == 120:
                break
    assert sorted(set(sizes)) == [160, 320]
    assert sizes[0] == sizes[-1] == 320
    known = [t for t in times if t is not None]
    assert all(b > a for a, b in itertools.pairwise(known)), "time never runs back"
    assert max(b - a for a, b in itertools.pairwise(known)) <= 5 * 3600


def test_switch_to_another_codec_ends_sessions(
    hall: CameraHandle, player: RtspSocket, clip: Callable[..., bytes], tmp_path: Path
) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(clip("h265"))
    hall.fault("switch", path=str(other))
    with pytest.raises(ConnectionResetError):
        player.read_until_closed()
    with open_stream(hall.url) as container:
        assert container.streams.video[0].codec_context.name == "hevc"
        assert next(iter(container.decode(video=0))).width == 320
        hall.clear()
    with open_stream(hall.url) as container:
        assert container.streams.video[0].codec_context.name == "h264"


def test_switch_to_a_file_that_is_not_there_changes_nothing(hall: CameraHandle) -> None:
    with pytest.raises(CameraError, match=r"V204 missing\.mp4"):
        hall.fault("switch", path="missing.mp4")
    assert hall.faults() == []
    assert len(read_pictures(hall.url, 3)) == 3


@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
def test_frozen_and_black_pictures(media: Callable[..., Media], codec: str) -> None:
    with CameraSimulator([CameraSource(media(codec), "hall")]) as simulator:
        camera = simulator.camera()
        with open_stream(camera.url) as container:
            frames = container.decode(video=0)
            for kind in ("frozen", "black"):
                camera.fault(kind)
                latest = camera.faults()[-1]
                images = []
                while time.monotonic() < latest.t0_s + 0.8:
                    images.append(rgb(next(frames)))
                images = images[-5:]
                if kind == "frozen":
                    assert len({read_counter(image) for image in images}) == 1
                    assert images[-1].max() > 150, "a picture of the scene"
                else:
                    assert images[-1].max() < 20
                assert images[-1].shape == (240, 320, 3)
            camera.clear()
            moving = [read_counter(rgb(next(frames))) for _ in range(45)]
            assert len(set(moving[-20:])) == 20


def test_unauthorized_drops_and_refuses(hall: CameraHandle, player: RtspSocket) -> None:
    hall.fault("unauthorized")
    with pytest.raises(ConnectionResetError):
        player.read_until_closed()
    with pytest.raises(av.error.HTTPUnauthorizedError):
        read_pictures(hall.url, 1, credentials="viewer:any")
    hall.clear()
    assert len(read_pictures(hall.url, 1)) == 1


def test_redirect_names_another_address(hall: CameraHandle) -> None:
    hall.fault("redirect", url="rtsp://169.254.169.254/latest")
    with RtspSocket(hall.url) as client:
        status, headers, _ = client.request("DESCRIBE")
        assert (status, headers["location"]) == (302, "rtsp://169.254.169.254/latest")
        hall.clear()
        assert client.request("DESCRIBE")[0] == 200


def test_garbage_of_three_forms(hall: CameraHandle) -> None:
    hall.fault("garbage", form="random", limit_bytes=100_000)
    with RtspSocket(hall.url) as client:
        received = 0
        while data := client.socket.recv(65536):
            received += len(data)
        assert received == 100_000, "at once, before any request, and no more than the limit"
    hall.fault("garbage", form="header", limit_bytes=1 << 30)
    with RtspSocket(hall.url) as client:
        client.send("OPTIONS")
        client._need(300_000)
        assert client.buffer.startswith(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nX-Long: xxxx")
        hall.clear()
        with pytest.raises(ConnectionResetError):
            client._need(1 << 30)
    hall.fault("garbage", form="sdp")
    with RtspSocket(hall.url) as client:
        assert client.request("OPTIONS")[0] == 200
        client.send("DESCRIBE")
        client._need(300_000)
        assert b"Content-Length: 1073741824\r\n\r\nv=0\r\n" in client.buffer[:300]


def test_drip_one_byte_at_a_time(hall: CameraHandle) -> None:
    hall.fault("drip", bytes_per_s=20)
    with RtspSocket(hall.url) as client:
        client.send("OPTIONS")
        first = client.socket.recv(100)
        begin_s = time.monotonic()
        rest = b""
        while len(rest) < 5:
            rest += client.socket.recv(1)
        assert len(first) == 1
        assert time.monotonic() - begin_s > 0.15
        hall.clear()
        client.buffer = first + rest
        assert client.read_response()[0] == 200, "the rest comes at once"


def test_session_limit(hall: CameraHandle, player: RtspSocket) -> None:
    hall.fault("session_limit", sessions=1)
    with RtspSocket(hall.url) as second:
        assert second.request("SETUP", Transport="RTP/AVP/TCP;interleaved=0-1")[0] == 453
        assert player.request("TEARDOWN")[0] == 200
        assert second.request("SETUP", Transport="RTP/AVP/TCP;interleaved=0-1")[0] == 200
    assert hall.faults()[-1].t1_s is None
    hall.clear()
    assert hall.faults()[-1].t1_s is not None


def test_jitter_and_two_hundred_reconnects_leave_nothing_behind(hall: CameraHandle) -> None:
    hall.fault("jitter", up_to_ms=20)
    for number in range(200):
        with RtspSocket(hall.url) as client:
            client.play()
            if number % 2:
                client.request("TEARDOWN")
    hall.wait_for_clients(0)
    assert hall.clients() == []
