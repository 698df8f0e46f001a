"""From packets to the alert's picture and to a clip: the right picture, the very same packets."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evidence.packets import FPS, alert_of, brightness, recorded
from vedette.adapters.evidence.video import annexb, picture_at, pictures_of, write_clip
from vedette.contracts.alert import Severity
from vedette.contracts.errors import EvidenceError
from vedette.contracts.manifest import Manifest
from vedette.contracts.packets import EncodedPacket, PictureNote
from vedette.core.evidence import MARGIN_S, Kept, cut, find_picture, give_way, pre_roll_s
from vedette.core.preroll import PreRoll

CODINGS = [("h264", 0), ("h264", 2), ("h265", 0), ("h265", 2)]


def grey(picture: np.ndarray) -> float:
    return float(picture.mean())


@pytest.mark.parametrize(("codec", "b_frames"), [*CODINGS, ("mjpeg", 0)])
@pytest.mark.parametrize("number", [1, 17, 30, 58])
def test_the_picture_is_the_alerts_own(tmp_path: Path, codec: str, b_frames: int, number: int) -> None:
    items, infos = recorded(tmp_path / "clip", codec=codec, b_frames=b_frames)
    found = find_picture(items, alert_of(infos[number]))
    assert found is not None
    assert found.note.frame_no == number
    assert grey(picture_at(found.packets, found.index)) == pytest.approx(brightness(number), abs=1.4)


@pytest.mark.parametrize(("codec", "b_frames"), CODINGS)
@pytest.mark.parametrize("number", [5, 33, 57])
def test_a_clip_holds_the_cameras_own_packets(tmp_path: Path, codec: str, b_frames: int, number: int) -> None:
    items, infos = recorded(tmp_path / "clip", codec=codec, b_frames=b_frames)
    found = find_picture(items, alert_of(infos[number]))
    assert found is not None
    piece = cut(found, 1.5, 1.0)
    written = write_clip(piece, tmp_path / "out.mp4")
    assert piece.packets[0].key
    moment_s = infos[number].media_time_s
    assert min(piece.media_times_s) <= max(moment_s - 1.5, 0.0) + 1e-6
    assert max(piece.media_times_s) >= min(moment_s + 1.0, infos[-1].media_time_s) - 1e-6
    assert moment_s - min(piece.media_times_s) <= 1.5 + 1.0 + 0.2, "no more than a group of pictures too many"
    with av.open(str(tmp_path / "out.mp4")) as made:
        packets = [bytes(packet) for packet in made.demux(video=0) if packet.size]
    # A file has lengths where a stream has start codes; what is between them is the camera's.
    with av.open(str(tmp_path / "clip")) as source:
        original = {bytes(packet) for packet in source.demux(video=0) if packet.size}
    assert all(payload in original for payload in packets[1:])
    assert len(packets) == written.pictures == len(piece.packets)
    alert_s = moment_s - written.first_media_time_s
    with av.open(str(tmp_path / "out.mp4")) as made:
        times = {round(float(frame.time), 3): grey(frame.to_ndarray(format="bgr24")) for frame in made.decode(video=0)}
    assert times[round(alert_s, 3)] == pytest.approx(brightness(number), abs=1.4)
    assert min(times) == 0.0
    assert written.duration_s == pytest.approx(max(times) + 1 / FPS, abs=0.02)


def test_moov_comes_first_so_that_a_clip_plays_while_it_is_fetched(tmp_path: Path) -> None:
    items, infos = recorded(tmp_path / "clip")
    found = find_picture(items, alert_of(infos[20]))
    assert found is not None
    write_clip(cut(found, 1, 1), tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_what_is_no_mp4_is_refused_with_its_name(tmp_path: Path) -> None:
    items, infos = recorded(tmp_path / "clip", codec="mpeg4", container="avi")
    found = find_picture(items, alert_of(infos[20]))
    assert found is not None
    with pytest.raises(EvidenceError, match="mpeg4"):
        write_clip(cut(found, 1, 1), tmp_path / "out.mp4")


def test_damaged_packets_are_an_error_not_a_crash(tmp_path: Path) -> None:
    items, infos = recorded(tmp_path / "clip")
    found = find_picture(items, alert_of(infos[20]))
    assert found is not None
    noise = np.random.default_rng(1)
    broken = [
        EncodedPacket(p.stream, noise.bytes(len(p.data)), p.key, p.pts, p.dts, p.arrival_s) for p in found.packets
    ]
    with pytest.raises(EvidenceError):
        picture_at(broken, found.index)
    assert list(pictures_of(broken)) == []


def test_alerts_without_a_picture_take_the_one_nearest_in_time(tmp_path: Path) -> None:
    items, infos = recorded(tmp_path / "clip")
    timer = alert_of(infos[30], epoch="", frame_no=0)
    found = find_picture(items, timer)
    assert found is not None
    assert found.note.frame_no == 30
    late = timer.model_copy(update={"time": alert_of(infos[-1]).time.replace(year=2031)})
    assert find_picture(items, late) is None


def test_a_picture_of_another_connection_is_another_picture(tmp_path: Path) -> None:
    items, infos = recorded(tmp_path / "clip")
    assert find_picture(items, alert_of(infos[30], epoch="another")) is None
    assert find_picture([], alert_of(infos[30])) is None
    # The key packet of its group has gone: nothing of it can be decoded.
    rest = items[next(n for n, one in enumerate(items) if isinstance(one, PictureNote) and one.frame_no == 25) :]
    assert find_picture(rest, alert_of(infos[29])) is None


def test_a_stream_that_ended_is_told_apart_from_one_that_goes_on(tmp_path: Path) -> None:
    items, infos = recorded(tmp_path / "clip")
    more, _ = recorded(tmp_path / "other", seconds=2)
    for stream, interrupted in ((items, False), ([*items, *more], True)):
        found = find_picture(stream, alert_of(infos[55]))
        assert found is not None
        assert found.interrupted is interrupted


def test_packets_with_lengths_become_packets_with_start_codes(tmp_path: Path) -> None:
    items, _ = recorded(tmp_path / "clip")
    packet = next(item for item in items if isinstance(item, EncodedPacket))
    bare = annexb(packet.data, packet.stream)
    assert bare.startswith(b"\0\0\0\1")
    assert annexb(bare, EncodedPacket(packet.stream, b"", True, 0, 0, 0.0).stream) != b""
    with av.open(io.BytesIO(bare), format="h264") as opened:
        assert opened.streams.video[0].codec_context.name == "h264"


@given(
    st.lists(st.tuples(st.integers(1, 100), st.sampled_from(list(Severity)), st.booleans()), max_size=30, unique_by=id),
    st.integers(0, 1500),
)
def test_the_least_severe_and_oldest_give_way(entries: list[tuple[int, Severity, bool]], limit: int) -> None:
    kept = [Kept(f"{number:03d}", size, severity, pending) for number, (size, severity, pending) in enumerate(entries)]
    gone = give_way(kept, limit)
    rest = [one for one in kept if one not in gone]
    assert not any(one.pending for one in gone)
    assert sum(one.size_bytes for one in rest) <= limit or all(one.pending for one in rest)
    order = list(Severity)
    for one in gone:
        assert all(
            (order.index(one.severity), one.name) <= (order.index(other.severity), other.name)
            for other in rest
            if not other.pending
        )
    if gone:  # nothing went that could have stayed
        assert sum(one.size_bytes for one in rest) + gone[-1].size_bytes > limit


def test_how_much_a_camera_keeps_follows_from_what_is_asked_for() -> None:
    base = {
        "api": "vedette/v1",
        "name": "shop",
        "cameras": {"door": {}},
        "models": {"m": {"family": "yolox", "file": "m.onnx"}},
        "pipelines": {"p": {"model": "m", "cameras": ["door"]}},
        "rules": {"enters": {"type": "zone_entered", "zone": [[0, 0], [1, 0], [1, 1]], "hold_s": 4}},
    }
    assert pre_roll_s(Manifest.model_validate(base)) == 0
    assert pre_roll_s(Manifest.model_validate({**base, "evidence": {}})) == MARGIN_S + 4
    clip = {"evidence": {"snapshot": False, "clip": {"before_s": 12}}}
    assert pre_roll_s(Manifest.model_validate({**base, **clip})) == MARGIN_S + 4 + 12


packet_sizes = st.lists(st.tuples(st.booleans(), st.integers(1, 400), st.floats(0.01, 2.0)), max_size=60)


@given(packet_sizes, st.floats(0, 10), st.integers(100, 3000))
def test_what_is_held_begins_with_a_key_and_stays_within_its_limits(
    arrivals: list[tuple[bool, int, float]], seconds: float, limit: int
) -> None:
    from fractions import Fraction

    from vedette.contracts.packets import VideoStream

    stream = VideoStream("e", "h264", Fraction(1, 90000), b"")
    held, now_s, sent = PreRoll(seconds, limit), 0.0, []
    for key, size, step_s in arrivals:
        now_s += step_s
        packet = EncodedPacket(stream, bytes(size), key, None, None, now_s)
        sent.append(packet)
        held.add(packet)
        items = held.items()
        assert held.size_bytes == sum(len(item.data) for item in items if isinstance(item, EncodedPacket)) <= limit
        assert items == sent[len(sent) - len(items) :]
        first = next(iter(items), None)
        assert first is None or (isinstance(first, EncodedPacket) and first.key)
    if seconds == 0:
        assert held.items() == []
