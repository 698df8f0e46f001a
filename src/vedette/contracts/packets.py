"""Encoded video as it came from a camera: what clips are cut from, and what snapshots are decoded from."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class VideoStream:
    """What a decoder or a file needs to know of a stream before its first packet.

    Attributes:
        epoch: ingest epoch, as in ``FrameInfo``; another connection is another epoch.
        codec: FFmpeg's name, such as ``h264``.
        time_base: seconds of one unit of ``pts`` and ``dts``.
        extradata: parameter sets, as the container or the session description gave them; empty where they come
            within the stream.
    """

    epoch: str
    codec: str
    time_base: Fraction
    extradata: bytes


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One encoded picture.

    Attributes:
        stream: what it belongs to.
        data: as received.
        key: whether decoding can begin here.
        pts: when it is shown, in units of the stream's ``time_base``; None where the stream does not say.
        dts: when it is decoded; None where the stream does not say.
        arrival_s: CLOCK_MONOTONIC of this device.
        media_time_s: as in ``FrameInfo``; None where the picture was not decoded, or is damaged.
        frame_no: as in ``FrameInfo``; None likewise.
    """

    stream: VideoStream
    data: bytes
    key: bool
    pts: int | None
    dts: int | None
    arrival_s: float
    media_time_s: float | None = None
    frame_no: int | None = None


@dataclass(frozen=True, slots=True)
class PictureNote:
    """Which picture came out of which packet; comes after the packet, as late as the decoder gave the picture.

    Attributes:
        epoch: ingest epoch.
        pts: of the packet.
        frame_no: as in ``FrameInfo``.
        media_time_s: as in ``FrameInfo``.
        wall_s: as in ``FrameInfo``.
    """

    epoch: str
    pts: int
    frame_no: int
    media_time_s: float
    wall_s: float
