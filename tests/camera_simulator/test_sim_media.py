"""Files into memory: what is kept, what is encoded, which times come out."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.camera_simulator.clients import rgb
from vedette.contracts.errors import CameraError
from vedette.testing.camera.bitstream import (
    is_parameter_set,
    nal_type,
    parse_configuration,
    split_lengths,
    split_start_codes,
)
from vedette.testing.camera.jpeg import jpeg_fits_rtp
from vedette.testing.camera.load import load_media
from vedette.testing.camera.media import Media
from vedette.testing.synthetic import draw_picture, make_clip, read_counter, rectangle

NALS = st.lists(
    st.binary(min_size=1, max_size=60).filter(
        lambda b: b"\x00\x00\x01" not in b and b"\x00\x00\x00" not in b and b[-1] and b[:1] != b"\x00"
    ),
    min_size=1,
    max_size=6,
)


@given(NALS, st.sampled_from([1, 2, 4]))
def test_length_prefixes_and_start_codes_give_the_same_units(nals: list[bytes], size: int) -> None:
    assert split_lengths(b"".join(len(n).to_bytes(size) + n for n in nals), size) == nals
    assert split_start_codes(b"".join(b"\x00" * (i % 2) + b"\x00\x00\x01" + n for i, n in enumerate(nals))) == nals


def test_a_length_past_the_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="a NAL unit of 9 bytes in a sample with 2 bytes left"):
        split_lengths(b"\x00\x00\x00\x09ab", 4)


@given(st.binary(max_size=80))
def test_any_configuration_record_is_read_or_refused(data: bytes) -> None:
    for codec in ("h264", "h265"):
        try:
            found = parse_configuration(codec, b"\x01" + data)
        except ValueError:
            continue
        assert all(is_parameter_set(codec, nal) for nal in found.parameter_sets)


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("h265", 2)])
def test_pass_through_keeps_pictures_and_times(media: Callable[..., Media], codec: str, b_frames: int) -> None:
    loaded = media(codec, b_frames=b_frames)
    assert (loaded.codec, loaded.width, loaded.height) == (codec, 320, 240)
    assert loaded.passed_through
    assert loaded.duration == 40 * 3600
    assert loaded.frame_rate == pytest.approx(25)
    assert sorted(unit.pts for unit in loaded.units) == [n * 3600 for n in range(40)]
    assert all(unit.dts <= unit.pts for unit in loaded.units)
    decoding_times = [unit.dts for unit in loaded.units]
    assert decoding_times == sorted(decoding_times)
    reordered = [unit.pts for unit in loaded.units] != sorted(unit.pts for unit in loaded.units)
    assert reordered is bool(b_frames)
    wanted = [7, 8] if codec == "h264" else [32, 33, 34]
    assert [nal_type(loaded.codec, nal) for nal in loaded.parameter_sets] == wanted
    assert [i for i, unit in enumerate(loaded.units) if unit.key] == [0, 25]
    assert not any(is_parameter_set(loaded.codec, nal) for unit in loaded.units for nal in unit.nals)


def test_start_code_files_give_the_same_units(clip: Callable[..., bytes], media: Callable[..., Media]) -> None:
    from_mp4 = media("h264")
    stream = io.BytesIO()
    with av.open(io.BytesIO(clip("h264")), "r") as source, av.open(stream, "w", format="mpegts") as output:
        track = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = track
                output.mux(packet)
    stream.seek(0)
    from_ts = load_media(stream)
    assert from_ts.parameter_sets == from_mp4.parameter_sets
    assert [unit.nals for unit in from_ts.units] == [unit.nals for unit in from_mp4.units]
    assert [unit.pts for unit in from_ts.units] == [unit.pts for unit in from_mp4.units]


def test_mjpeg_that_rtp_can_carry_is_passed_through(media: Callable[..., Media]) -> None:
    loaded = media("mjpeg")
    assert (loaded.codec, loaded.passed_through, len(loaded.units)) == ("jpeg", True, 40)
    assert all(unit.key for unit in loaded.units)


def test_mjpeg_that_rtp_cannot_carry_is_encoded() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="avi") as output:
        stream = output.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj444p"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(draw_picture(number, 64, 48), format="rgb24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    buffer.seek(0)
    loaded = load_media(buffer)
    assert (loaded.codec, loaded.passed_through, len(loaded.units)) == ("h264", False, 3)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_jpeg_reader(data: bytes) -> None:
    assert jpeg_fits_rtp(b"\xff\xd8" + data) in (True, False)


def test_other_codings_are_encoded_once_with_their_own_times(media: Callable[..., Media]) -> None:
    loaded = media("mpeg4")
    assert (loaded.codec, loaded.passed_through) == ("h264", False)
    assert [unit.pts for unit in loaded.units] == [n * 3600 for n in range(40)]
    assert loaded.duration == 40 * 3600
    assert [i for i, unit in enumerate(loaded.units) if unit.key] == [0, 25]


def test_a_file_that_starts_without_a_key_picture_starts_at_the_first_one(clip: Callable[..., bytes]) -> None:
    stream = io.BytesIO()
    with av.open(io.BytesIO(clip("h264")), "r") as source, av.open(stream, "w", format="mpegts") as output:
        track = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            if number >= 10:
                packet.stream = track
                output.mux(packet)
    stream.seek(0)
    loaded = load_media(stream)
    assert (len(loaded.units), loaded.units[0].pts, loaded.units[0].key) == (15, 0, True)


def test_what_is_no_video_is_refused_with_the_file_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    with pytest.raises(CameraError, match=r"^V204 notes\.mp4: cannot be read as video"):
        load_media(text)
    with pytest.raises(CameraError, match=r"^V204 missing\.mp4: .*No such file"):
        load_media(tmp_path / "missing.mp4")


def test_a_file_beyond_the_limit_is_refused(clip: Callable[..., bytes]) -> None:
    with pytest.raises(CameraError, match="more than 0 MiB of coded video"):
        load_media(io.BytesIO(clip("h264")), max_bytes=2000)


def test_synthetic_pictures_carry_their_number() -> None:
    for number in (0, 1, 39, 1023, 65535):
        assert read_counter(draw_picture(number, 320, 240)) == number
    left, top, right, bottom = rectangle(10, 320, 240)
    assert (draw_picture(10, 320, 240)[top:bottom, left:right] == (230, 220, 90)).all()


@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg", "mpeg4"])
def test_synthetic_clips_are_deterministic_and_readable(codec: str) -> None:
    first = make_clip(codec=codec, frames=12)  # type: ignore[arg-type]
    assert first == make_clip(codec=codec, frames=12)  # type: ignore[arg-type]
    with av.open(io.BytesIO(first), "r") as container:
        images: list[np.ndarray] = [rgb(frame) for frame in container.decode(video=0)]
    assert [read_counter(image) for image in images] == list(range(12))


@pytest.mark.footage
def test_real_footage_is_passed_through(shared_data: Path) -> None:
    expected = {"car-detection.mp4": 30.16, "one-by-one-person-detection.mp4": 139.4, "Retail02_short.mp4": 20.1}
    for name, duration_s in expected.items():
        loaded = load_media(shared_data / "videos" / name)
        assert loaded.passed_through, name
        assert loaded.duration_s == pytest.approx(duration_s, abs=0.001), name
