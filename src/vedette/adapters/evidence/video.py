"""From a camera's packets to pictures, and to an MP4 file with the very same packets in it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import av
import av.error
import numpy as np

from vedette.contracts.errors import EvidenceError
from vedette.contracts.packets import EncodedPacket, VideoStream
from vedette.core.nal import length_size, stated_sets, units
from vedette.ports.evidence import ClipCut, Picture, WrittenClip

#: FFmpeg's name of the bare form of a coding, in which the parameters of a stream can be looked up.
_BARE: Final = {"h264": "h264", "hevc": "hevc", "mjpeg": "mjpeg"}
_START: Final = b"\x00\x00\x00\x01"


def pictures_of(packets: Sequence[EncodedPacket]) -> Iterator[tuple[int, Picture]]:
    """Decode packets that begin with a key packet.

    Args:
        packets: of one stream, in decoding order, all with ``pts``.

    Yields:
        ``pts`` and the picture, in the order they are shown.

    Raises:
        EvidenceError: V901, they cannot be decoded.
    """
    stream = packets[0].stream
    try:
        context: Any = av.CodecContext.create(stream.codec, "r")
        if stream.extradata:
            context.extradata = stream.extradata
        context.thread_count = 1
        for packet in (*(_av_packet(one) for one in packets), None):
            try:
                frames = context.decode(packet)
            except av.error.FFmpegError:  # a damaged packet takes its own picture with it, not the others
                continue
            for frame in frames:
                if frame.pts is not None:
                    yield int(frame.pts), np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    except (av.error.FFmpegError, ValueError) as error:
        raise EvidenceError(f"the camera's video ({stream.codec}) cannot be decoded: {error}.") from error


def picture_at(packets: Sequence[EncodedPacket], index: int) -> Picture:
    """The picture of one packet.

    Args:
        packets: as ``pictures_of`` takes them.
        index: of the packet.

    Raises:
        EvidenceError: V901, it does not come out.
    """
    first = max(number for number in range(index + 1) if packets[number].key)
    # Some packets more: pictures come out late where they are shown in another order than sent.
    wanted = packets[index].pts
    for pts, picture in pictures_of(packets[first : index + 17]):
        if pts == wanted:
            return picture
    raise EvidenceError("the alert's picture does not come out of the camera's video.")


def write_clip(cut: ClipCut, path: Path) -> WrittenClip:
    """Put packets into an MP4 file as they are.

    Args:
        cut: what goes into it.
        path: where to.

    Raises:
        EvidenceError: V901, their coding does not go into MP4, or the file cannot be written.
    """
    stream = cut.packets[0].stream
    if stream.codec not in _BARE:
        raise EvidenceError(f"video of the coding {stream.codec} is not kept as a clip; H.264 and H.265 are.")
    first = min(packet.pts for packet in cut.packets if packet.pts is not None)
    try:
        with (
            av.open(io.BytesIO(_bare(cut.packets[: _group(cut.packets)])), format=_BARE[stream.codec]) as bare,
            av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as file,
        ):
            track = file.add_stream_from_template(bare.streams.video[0])
            track.time_base = stream.time_base
            for number, packet in enumerate(cut.packets):
                out = _av_packet(packet, bare=True)
                out.stream = track
                out.pts = (packet.pts or first) - first
                out.dts = _dts(cut.packets, number) - first
                out.time_base = stream.time_base
                file.mux(out)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise EvidenceError(f"the clip cannot be written: {error}.") from error
    times = sorted(cut.media_times_s)
    step_s = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
    return WrittenClip(
        reencoded=False,
        duration_s=times[-1] - times[0] + step_s,
        pictures=len(times),
        first_media_time_s=times[0],
    )


def annexb(data: bytes, stream: VideoStream) -> bytes:
    """A packet with start codes before its units, as streams from cameras have; files have lengths instead."""
    size = length_size(stream.extradata, stream.codec)
    return data if not size else b"".join(_START + unit for unit in units(data, size))


def _bare(packets: Sequence[EncodedPacket]) -> bytes:
    """A first group of pictures as a file of its own, with the parameter sets before it."""
    stream = packets[0].stream
    head = b"" if stream.codec == "mjpeg" else _parameter_sets(stream)
    return head + b"".join(annexb(packet.data, stream) for packet in packets)


def _group(packets: Sequence[EncodedPacket]) -> int:
    """Packets up to the second key packet, but no more than are needed to look the parameters up."""
    following = (number for number in range(1, len(packets)) if packets[number].key)
    return min(next(following, len(packets)), 50)


def _parameter_sets(stream: VideoStream) -> bytes:
    if not length_size(stream.extradata, stream.codec):
        return stream.extradata
    return b"".join(_START + unit for unit in stated_sets(stream.extradata, stream.codec))


def _dts(packets: Sequence[EncodedPacket], number: int) -> int:
    """When a packet is decoded; where the stream does not say, as late as its order allows."""
    own = packets[number].dts
    if own is not None:
        return own
    stamps = sorted(packet.pts for packet in packets if packet.pts is not None)
    return min(stamps[number], packets[number].pts or stamps[number])


def _av_packet(packet: EncodedPacket, *, bare: bool = False) -> Any:
    out = av.Packet(annexb(packet.data, packet.stream) if bare else packet.data)
    out.pts, out.dts, out.time_base = packet.pts, packet.dts, packet.stream.time_base
    out.is_keyframe = packet.key
    return out
