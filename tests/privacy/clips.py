"""Packets of a file as a capture process would have kept them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.privacy.footage import EPOCH
from vedette.contracts.packets import EncodedPacket, VideoStream
from vedette.ports.evidence import ClipCut, Picture


def cut_of(path: Path, start_s: float = 0.0, end_s: float = 1e9) -> ClipCut:
    """The packets of a file from the key packet before ``start_s`` on, times counted from the file's first picture."""
    packets: list[EncodedPacket] = []
    times: list[float] = []
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        described = VideoStream(
            EPOCH,
            stream.codec_context.name,
            stream.time_base,
            bytes(stream.codec_context.extradata or b""),
        )
        first = None
        for packet in container.demux(stream):
            if packet.pts is None:
                continue
            first = packet.pts if first is None else first
            t = float((packet.pts - first) * stream.time_base)
            if packet.is_keyframe and t <= start_s:
                packets, times = [], []
            if t > end_s:
                break
            packets.append(
                EncodedPacket(described, bytes(packet), packet.is_keyframe, packet.pts, packet.dts, t, media_time_s=t)
            )
            times.append(t)
    return ClipCut(tuple(packets), tuple(times), 0)


def frames(path: Path) -> Iterator[tuple[float, Picture]]:
    """(seconds, picture) of every picture of a file."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield float(frame.time or 0), frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
