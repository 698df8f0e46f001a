"""Files into memory: H.264 and H.265 as they are, JPEG where RFC 2435 can carry it, everything else encoded once."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import IO, Final

import av
import av.error
from av.packet import Packet
from av.video.stream import VideoStream

from vedette.contracts.errors import CameraError
from vedette.testing.camera.bitstream import Codec
from vedette.testing.camera.encode import encode_file
from vedette.testing.camera.jpeg import jpeg_fits_rtp
from vedette.testing.camera.media import CLOCK_HZ, MAX_MEDIA_BYTES, Media, RawPicture, build_media

_CODECS: Final[dict[str, Codec]] = {"h264": "h264", "hevc": "h265", "mjpeg": "jpeg"}
_log = logging.getLogger(__name__)


def load_media(source: Path | str | IO[bytes], *, name: str = "", max_bytes: int = MAX_MEDIA_BYTES) -> Media:
    """Read a video file (or an open binary file) into memory.

    Raises:
        CameraError: V204 where it cannot be opened or is too big, V203 where it holds no usable video.
    """
    label = name or (Path(source).name if isinstance(source, str | Path) else "clip")
    try:
        with av.open(str(source) if isinstance(source, Path) else source, "r") as container:
            if not container.streams.video:
                raise CameraError(f"{label}: no video stream in this file.", code="V203")
            stream = container.streams.video[0]
            media = _pass_through(label, stream, container.demux(stream), max_bytes)
        if media is not None:
            return media
        if not isinstance(source, str | Path):
            source.seek(0)
        return encode_file(source, label, max_bytes)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CameraError(
            f"{label}: cannot be read as video ({reason}).",
            hint="Give a file that ffprobe can read.",
            code="V204",
        ) from None


def _pass_through(
    name: str, stream: VideoStream, packets: Iterable[Packet[VideoStream]], max_bytes: int
) -> Media | None:
    """Keep the packets as they are; None where they have to be encoded instead."""
    context = stream.codec_context
    codec = _CODECS.get(context.name)
    if codec is None or stream.time_base is None:
        return None
    pictures = iter(_pictures(stream.time_base, packets, reordered=context.has_b_frames))
    try:
        first = next(pictures, None)
    except _NoTimeError:
        return None
    if first is None:
        return None
    if codec == "jpeg" and not jpeg_fits_rtp(first.data):
        _log.info("%s: these JPEG images do not fit RFC 2435, encoding once to H.264", name)
        return None
    try:
        return build_media(
            name,
            codec,
            (context.width, context.height),
            chain([first], pictures),
            extradata=context.extradata,
            frame_rate=float(stream.average_rate or 25),
            max_bytes=max_bytes,
            passed_through=True,
        )
    except _NoTimeError:
        _log.info("%s: pictures without time stamps, encoding once to H.264", name)
        return None


class _NoTimeError(Exception):
    """A packet of a reordered stream has no presentation time."""


def _pictures(time_base: Fraction, packets: Iterable[Packet[VideoStream]], *, reordered: bool) -> Iterable[RawPicture]:
    scale = time_base * CLOCK_HZ
    for packet in packets:
        if packet.size == 0:
            continue
        pts = packet.pts if packet.pts is not None or reordered else packet.dts
        if pts is None:
            raise _NoTimeError
        dts = packet.dts if packet.dts is not None else pts
        yield RawPicture(
            data=bytes(packet),
            pts=round(pts * scale),
            dts=round(dts * scale),
            duration=round((packet.duration or 0) * scale),
            key=packet.is_keyframe,
        )
