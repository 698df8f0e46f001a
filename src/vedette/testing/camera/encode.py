"""Encoding, done once: files that RTP does not carry as they are, still pictures, black pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import IO, Final

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vedette.contracts.errors import CameraError
from vedette.testing.camera.bitstream import Codec
from vedette.testing.camera.media import CLOCK_HZ, AccessUnit, Media, RawPicture, build_media

_ENCODERS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    # One thread, so that the same input gives the same bytes on every machine.
    "h264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "crf": "18"}),
    "h265": ("libx265", {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=none:pools=none"}),
    "jpeg": ("mjpeg", {"huffman": "default"}),
}


def encode_file(source: Path | str | IO[bytes], name: str, max_bytes: int) -> Media:
    """Decode a file and encode it once to H.264 (one key picture a second), keeping its time stamps.

    Raises:
        CameraError: V203 where nothing can be decoded, V204 where the result passes ``max_bytes``.
    """
    with av.open(str(source) if isinstance(source, Path) else source, "r") as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 25)
        timed = _timed_frames(container.decode(stream), rate)
        first = next(timed, None)
        if first is None:
            raise CameraError(f"{name}: no picture could be decoded.", code="V203")
        return _encode(name, "h264", chain([first], timed), rate=rate, max_bytes=max_bytes)


def encode_still(name: str, codec: Codec, image: VideoFrame, *, rate: float, max_bytes: int) -> Media:
    """Encode one picture as a one-second clip: what a camera with a stuck sensor sends."""
    count = max(1, round(rate))
    frames = ((image, round(i * CLOCK_HZ / rate), round(CLOCK_HZ / rate)) for i in range(count))
    return _encode(name, codec, frames, rate=rate, max_bytes=max_bytes)


def black_picture(width: int, height: int) -> VideoFrame:
    """Return a black picture (limited range luma 16, neutral chroma) of ``width`` × ``height`` pixels."""
    frame = VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, (16, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


def decode_key(media: Media, unit: AccessUnit) -> VideoFrame:
    """Decode one key picture on its own.

    Raises:
        CameraError: V203 where the decoder gives no picture.
    """
    decoder = av.CodecContext.create({"h265": "hevc", "jpeg": "mjpeg"}.get(media.codec, media.codec), "r")
    if not isinstance(decoder, VideoCodecContext):
        raise TypeError(f"{media.codec} is not a video codec")
    if media.codec == "jpeg":
        data = unit.nals[0]
    else:
        data = b"".join(b"\x00\x00\x00\x01" + nal for nal in (*unit.parameter_sets, *unit.nals))
    for frame in [*decoder.decode(av.Packet(data)), *decoder.decode(None)]:
        return frame
    raise CameraError(f"{media.name}: the latest key picture cannot be decoded.", code="V203")


def _timed_frames(frames: Iterator[VideoFrame], rate: float) -> Iterator[tuple[VideoFrame, int, int]]:
    """Yield (picture, presentation ticks, duration ticks), strictly increasing in time."""
    previous = -1
    for number, frame in enumerate(frames):
        if frame.pts is None or frame.time_base is None:
            ticks, duration = round(number * CLOCK_HZ / rate), 0
        else:
            scale = frame.time_base * CLOCK_HZ
            ticks, duration = round(frame.pts * scale), round((frame.duration or 0) * scale)
        ticks = max(ticks, previous + 1)
        previous = ticks
        yield frame, ticks, duration


def _encode(
    name: str,
    codec: Codec,
    frames: Iterator[tuple[VideoFrame, int, int]],
    *,
    rate: float,
    max_bytes: int,
) -> Media:
    first = next(frames)
    # 4:2:0 needs even sides; an odd source loses its last column or row of pixels to the scaler.
    size = first[0].width & ~1, first[0].height & ~1
    encoder = _encoder(codec, size, rate)
    return build_media(
        name,
        codec,
        size,
        _encoded(encoder, chain([first], frames)),
        extradata=None,
        frame_rate=rate,
        max_bytes=max_bytes,
        passed_through=False,
    )


def _encoded(encoder: VideoCodecContext, frames: Iterable[tuple[VideoFrame, int, int]]) -> Iterator[RawPicture]:
    durations: dict[int, int] = {}
    for frame, ticks, duration in frames:
        ready = VideoFrame.from_ndarray(
            frame.reformat(width=encoder.width, height=encoder.height, format="rgb24").to_ndarray(), format="rgb24"
        ).reformat(format=encoder.pix_fmt)
        ready.pts, ready.time_base = ticks, Fraction(1, CLOCK_HZ)
        durations[ticks] = duration
        for packet in encoder.encode(ready):
            yield _raw_picture(packet, durations)
    for packet in encoder.encode(None):
        yield _raw_picture(packet, durations)


def _raw_picture(packet: Packet[VideoStream], durations: dict[int, int]) -> RawPicture:
    pts = packet.pts or 0
    dts = pts if packet.dts is None else packet.dts
    return RawPicture(bytes(packet), pts, dts, durations.pop(pts, 0), packet.is_keyframe)


def _encoder(codec: Codec, size: tuple[int, int], rate: float) -> VideoCodecContext:
    encoder_name, options = _ENCODERS[codec]
    encoder = av.CodecContext.create(encoder_name, "w")
    if not isinstance(encoder, VideoCodecContext):
        raise TypeError(f"{encoder_name} is not a video encoder")
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuvj420p" if codec == "jpeg" else "yuv420p"
    encoder.time_base = Fraction(1, CLOCK_HZ)
    encoder.framerate = Fraction(rate).limit_denominator(1001)
    encoder.gop_size = max(1, round(rate))
    encoder.max_b_frames = 0
    encoder.thread_count = 1
    encoder.options = options
    return encoder
