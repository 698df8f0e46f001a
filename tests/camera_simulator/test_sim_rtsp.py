"""The RTSP dialogue by hand, and what hostile or careless clients get."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.camera_simulator.clients import RtspSocket, rtp_sequence, rtp_time
from vedette.contracts.errors import CameraError, UsageError
from vedette.testing.camera import CameraSimulator, CameraSource
from vedette.testing.camera.messages import MAX_HEADER_BYTES, ProtocolError, RequestReader


@pytest.fixture
def simulator(clip: Callable[..., bytes]) -> Iterator[CameraSimulator]:
    sources = [CameraSource(io.BytesIO(clip()), "hall"), CameraSource(io.BytesIO(clip("h265")), "loading dock")]
    with CameraSimulator(sources) as running:
        yield running


def test_the_dialogue_of_a_session(simulator: CameraSimulator) -> None:
    with RtspSocket(simulator.url("hall")) as client:
        status, headers, _ = client.request("OPTIONS")
        assert status == 200
        assert "DESCRIBE" in headers["public"]
        status, headers, body = client.request("DESCRIBE", Accept="application/sdp")
        assert (status, headers["content-type"]) == (200, "application/sdp")
        assert b"m=video 0 RTP/AVP 96" in body
        status, headers, _ = client.request(
            "SETUP", client.url + "/trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=4-5"
        )
        assert status == 200
        assert headers["transport"].startswith("RTP/AVP/TCP;unicast;interleaved=4-5;ssrc=")
        status, headers, _ = client.request("PLAY", Range="npt=0-")
        info = dict(part.split("=", 1) for part in headers["rtp-info"].split(";"))
        channels = set()
        first: bytes | None = None
        for _ in range(30):
            channel, packet = client.read_frame()
            channels.add(channel)
            if channel == 4 and first is None:
                first = packet
        assert channels == {4, 5}
        assert first is not None
        assert (rtp_sequence(first), rtp_time(first)) == (int(info["seq"]), int(info["rtptime"]))
        assert client.request("GET_PARAMETER")[0] == 200
        assert client.request("PAUSE")[0] == 200
        assert client.request("PLAY")[0] == 200
        assert client.request("TEARDOWN")[0] == 200
        assert client.request("OPTIONS")[0] == 200
        simulator.camera("hall").wait_for_clients(0)


def test_names_aliases_and_unknown_cameras(simulator: CameraSimulator) -> None:
    base = simulator.url("hall").removesuffix("hall")
    assert simulator.url("loading dock") == base + "loading%20dock"
    with RtspSocket(simulator.url("hall")) as client:
        for name in ("hall", "hall/", "cam1", "cam2", "loading%20dock"):
            assert client.request("DESCRIBE", base + name)[0] == 200, name
        assert client.request("DESCRIBE", base + "attic")[0] == 404
    with pytest.raises(UsageError, match="no camera 'attic' here; there are hall, loading dock"):
        simulator.camera("attic")


def test_requests_out_of_place(simulator: CameraSimulator) -> None:
    with RtspSocket(simulator.url("hall")) as client:
        assert client.request("PLAY")[0] == 454
        assert client.request("SETUP", Transport="RTP/AVP;multicast")[0] == 461
        assert client.request("SETUP", Transport="RTP/AVP;unicast;client_port=0-1")[0] == 461
        assert client.request("SETUP", Transport="RTP/AVP/TCP;interleaved=999-1000")[0] == 461
        assert client.request("SETUP")[0] == 461
        assert client.request("RECORD")[0] == 501
        client.play()
        assert client.request("SETUP", Transport="RTP/AVP/TCP;interleaved=0-1")[0] == 455
        client.session = "another"
        assert client.request("PLAY")[0] == 454


def test_bytes_that_are_no_rtsp_end_the_connection_only(simulator: CameraSimulator) -> None:
    with RtspSocket(simulator.url("hall")) as other:
        other.play()
        for noise in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x00" * 20_000,
            b"DESCRIBE x RTSP/1.0\r\nContent-Length: -1\r\n\r\n",
        ):
            with RtspSocket(simulator.url("hall")) as client:
                client.socket.sendall(noise)
                assert client.read_response()[0] == 400
                with pytest.raises(ConnectionResetError):
                    client.read_response()
        assert other.read_rtp()


@given(st.lists(st.binary(max_size=40), max_size=30))
@settings(max_examples=200)
def test_no_bytes_break_the_reader(chunks: list[bytes]) -> None:
    reader = RequestReader()
    for chunk in chunks:
        reader.feed(chunk)
        try:
            while reader.next() is not None:
                pass
        except ProtocolError:
            break


@given(st.data())
def test_requests_are_read_whole_however_they_are_cut(data: st.DataObject) -> None:
    stream = b"$\x01\x00\x03abcOPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 4\r\n\r\nbody\r\n"
    stream += b"PLAY rtsp://h/b%20c/ RTSP/1.0\r\nCSeq: 2\r\n\r\n"
    reader, found = RequestReader(), []
    position = 0
    while position < len(stream):
        size = data.draw(st.integers(1, 20))
        reader.feed(stream[position : position + size])
        position += size
        while (request := reader.next()) is not None:
            found.append(request)
    assert [(r.method, r.path, r.headers["cseq"], r.body) for r in found] == [
        ("OPTIONS", "a", "1", b"body"),
        ("PLAY", "b c", "2", b""),
    ]


def test_headers_without_end_are_refused() -> None:
    reader = RequestReader()
    reader.feed(b"OPTIONS * RTSP/1.0\r\nX: " + b"y" * MAX_HEADER_BYTES)
    with pytest.raises(ProtocolError):
        reader.next()


def test_a_new_client_starts_at_the_latest_key_picture(simulator: CameraSimulator) -> None:
    with RtspSocket(simulator.url("hall")) as early, RtspSocket(simulator.url("hall")) as late:
        early.play()
        start = simulator.camera("hall").wait_for_loop(1)
        deadline = time.monotonic() + 5
        while rtp_time(early.read_rtp()) - start.rtp_time < 20 * 3600:
            assert time.monotonic() < deadline
        late.play()
        begin_s = time.monotonic()
        first = late.read_rtp()
        assert rtp_time(first) == start.rtp_time
        assert first[12] & 31 == 24, "parameter sets come first"
        packet = first
        while rtp_time(packet) - start.rtp_time < 20 * 3600:
            packet = late.read_rtp()
        assert time.monotonic() - begin_s < 0.5, "20 pictures (0.8 s of media) at once"


def test_all_clients_get_the_same_packets(simulator: CameraSimulator) -> None:
    with RtspSocket(simulator.url("hall")) as one, RtspSocket(simulator.url("hall")) as two:
        one.play()
        two.play()
        simulator.camera("hall").wait_for_clients(2)
        seen = {rtp_sequence(p): p for p in (one.read_rtp() for _ in range(80))}
        same = [p for p in (two.read_rtp() for _ in range(80)) if rtp_sequence(p) in seen]
        assert len(same) > 40
        assert all(seen[rtp_sequence(p)] == p for p in same)
        agents = {c.transport for c in simulator.camera("hall").clients()}
        assert agents == {"tcp"}


def test_thirty_clients_that_do_not_read_are_disconnected(clip: Callable[..., bytes]) -> None:
    limit = 64 * 1024
    source = CameraSource(io.BytesIO(clip("mjpeg", width=640)), "hall")
    with CameraSimulator([source], client_limit_bytes=limit) as simulator:
        camera = simulator.camera("hall")
        slow = []
        for _ in range(30):
            client = RtspSocket(simulator.url())
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.play()
            slow.append(client)
        with RtspSocket(simulator.url()) as reader:
            reader.play()
            deadline = time.monotonic() + 30
            gaps, last = [], time.monotonic()
            while len(camera.clients()) > 1:
                reader.read_rtp()
                gaps.append(time.monotonic() - last)
                last = time.monotonic()
                assert time.monotonic() < deadline, "slow clients are still there"
            reader.read_rtp()
            assert [c.peer for c in camera.clients()] == [f"127.0.0.1:{reader.socket.getsockname()[1]}"]
            assert max(gaps) < 0.5, "the client that reads is not disturbed"
        for client in slow:
            client.socket.close()


def test_a_taken_port_and_no_file_are_said_clearly(clip: Callable[..., bytes]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
            CameraSimulator([CameraSource(io.BytesIO(clip()), "hall")], port=port)
    with pytest.raises(CameraError, match="needs at least one file"):
        CameraSimulator([])


def test_equal_names_get_a_number(clip: Callable[..., bytes]) -> None:
    sources = [CameraSource(io.BytesIO(clip()), "hall") for _ in range(2)]
    with CameraSimulator(sources) as simulator:
        assert simulator.names == ["hall", "hall-2"]
