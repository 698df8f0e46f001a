"""A camera's RTP packets with damaged NAL units in them, made from pictures that were encoded here."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, cast
from unittest import mock

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from vedette.testing.camera import rtp
from vedette.testing.camera.bitstream import Codec
from vedette.testing.camera.media import CLOCK_HZ, AccessUnit, Media, RawPicture, build_media

WIDTH: Final = 128
HEIGHT: Final = 96
FPS: Final = 25
GROUP: Final = 12
#: Pictures that are left whole at first, so that there is something to damage, and to tell the time by.
LEAD: Final = 2 * GROUP
PICTURES: Final = 48
TICKS: Final = CLOCK_HZ // FPS
_SSRC: Final = 77

#: Codec, B pictures, options of the encoder. Several slices a picture, as many cameras send them.
STREAMS: Final[dict[str, tuple[Codec, int, str]]] = {
    "h264": ("h264", 0, "slices=3"),
    "h264-b": ("h264", 2, "slices=1"),
    "h264-cavlc": ("h264", 0, "slices=2:cabac=0"),
    "h265": ("h265", 0, "ctu=16:slices=1"),
}


def draw(number: int) -> NDArray[np.uint8]:
    """Picture ``number``: a bright rectangle that stays in the left half, and a dim ground that is never twice the same."""
    ground = np.random.default_rng(number // GROUP).integers(30, 70, (HEIGHT // 8, WIDTH // 8, 1))
    image = np.repeat(np.repeat(np.repeat(ground, 8, axis=0), 8, axis=1), 3, axis=2).astype(np.uint8)
    image = np.roll(image, 2 * number, axis=1)
    step = abs((number % PICTURES) - PICTURES // 2) / (PICTURES // 2)
    left = round(4 + 20 * step)
    image[40:64, left : left + 28] = (230, 220, 90)
    return image


def encode(name: str) -> Media:
    """The clip of one of ``STREAMS``."""
    codec, b_frames, options = STREAMS[name]
    encoder = cast(VideoCodecContext, av.CodecContext.create({"h264": "libx264", "h265": "libx265"}[codec], "w"))
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    encoder.gop_size, encoder.max_b_frames, encoder.thread_count = GROUP, b_frames, 1
    common = f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:bframes={b_frames}:b-adapt=0:{options}"
    encoder.options = (
        {"preset": "veryfast", "crf": "20", "x264-params": common}
        if codec == "h264"
        else {"preset": "ultrafast", "crf": "20", "x265-params": f"{common}:log-level=none:pools=none:frame-threads=1"}
    )

    def pictures() -> Iterator[RawPicture]:
        packets = []
        for number in range(PICTURES):
            frame = VideoFrame.from_ndarray(draw(number), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            packets += encoder.encode(frame)
        for packet in [*packets, *encoder.encode(None)]:
            assert packet.pts is not None
            yield RawPicture(bytes(packet), packet.pts * TICKS, (packet.dts or 0) * TICKS, TICKS, packet.is_keyframe)

    size = (WIDTH, HEIGHT)
    return build_media(
        name, codec, size, pictures(), extradata=None, frame_rate=FPS, max_bytes=1 << 24, passed_through=False
    )


@dataclass(slots=True)
class Count:
    """What was sent: NAL units, and how many of them arrive otherwise than they were encoded."""

    nals: int = 0
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class Mode:
    """One kind of damage.

    Attributes:
        share: of NAL units (RTP packets where it works on those) that are damaged.
        payload_bytes: of an RTP packet at most; small ones cut NAL units into fragments.
        timed: whether time stamps stay right, so that they tell which picture a picture should be.
    """

    share: float
    payload_bytes: int = rtp.MAX_PAYLOAD_BYTES
    timed: bool = True


MODES: Final = {
    "bits-2": Mode(0.02),
    "bits-30": Mode(0.30),
    "cut short": Mode(0.3),
    "left out": Mode(0.2),
    "swapped": Mode(0.3),
    "twice": Mode(0.3),
    "headers": Mode(0.3),
    "noise": Mode(0.3),
    "parameter sets": Mode(0.3),
    "fragments": Mode(0.3, 60),
    "packets lost": Mode(0.1, 200),
    "packets": Mode(0.1, 200, timed=False),
}


def packets(
    media: Media, mode_name: str, count: Count, draw: random.Random, units: int, share: float = 0.0
) -> Iterator[bytes]:
    """RTP packets of ``units`` pictures, the first ``LEAD`` of which are whole.

    Args:
        share: of what is damaged; that of the mode where 0.
    """
    mode = MODES[mode_name]
    share = share or mode.share
    sequence, number = 0, 0
    kind = rtp.PAYLOAD_TYPES[media.codec]
    while number < units:
        loop, index = divmod(number, len(media.units))
        unit, whole = media.units[index], number < LEAD
        count.nals += len(unit.nals) + len(unit.parameter_sets)
        if not whole:
            unit = _damaged_unit(media.codec, unit, mode_name, share, count, draw)
        with mock.patch.object(rtp, "MAX_PAYLOAD_BYTES", mode.payload_bytes):
            payloads = [p.data for p in rtp.packetise(media.codec, unit)]
        if not whole and mode_name == "fragments":
            payloads = _damaged_fragments(media.codec, payloads, share, count, draw)
        stamp = loop * media.duration + unit.pts
        for position, payload in enumerate(payloads):
            packet = rtp.rtp_packet(
                payload,
                kind=kind,
                marker=position == len(payloads) - 1,
                sequence=sequence,
                timestamp=stamp,
                ssrc=_SSRC,
            )
            sequence += 1
            if not whole and mode_name.startswith("packets") and draw.random() < share:
                count.damaged += 1
                if mode_name == "packets lost":
                    continue
                packet = _damaged_packet(packet, draw)
            yield packet
        number += 1


Change = Callable[[Codec, bytes, random.Random], bytes]


def _flip(_codec: Codec, nal: bytes, draw: random.Random) -> bytes:
    changed = bytearray(nal)
    for _ in range(8):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _flip_behind_header(codec: Codec, nal: bytes, draw: random.Random) -> bytes:
    head = 1 if codec == "h264" else 2
    return nal if len(nal) <= head else nal[:head] + _flip(codec, nal[head:], draw)


def _cut(_codec: Codec, nal: bytes, draw: random.Random) -> bytes:
    return nal[: draw.randrange(1, max(2, len(nal)))]


def _header(_codec: Codec, nal: bytes, draw: random.Random) -> bytes:
    end = min(len(nal), draw.randrange(1, 8))
    return draw.randbytes(end) + nal[end:]


def _noise(codec: Codec, nal: bytes, draw: random.Random) -> bytes:
    head = 1 if codec == "h264" else 2
    return nal[:head] + draw.randbytes(draw.randrange(1, 2 * len(nal)))


_CHANGES: Final[dict[str, Change]] = {
    "bits-2": _flip_behind_header,
    "bits-30": _flip_behind_header,
    "cut short": _cut,
    "headers": _header,
    "noise": _noise,
    "parameter sets": _flip,
}


def _damaged_unit(
    codec: Codec, unit: AccessUnit, mode: str, share: float, count: Count, draw: random.Random
) -> AccessUnit:
    nals = list(unit.nals)
    if mode == "parameter sets":
        return replace(unit, parameter_sets=_changed(codec, unit.parameter_sets, mode, share, count, draw))
    if mode in _CHANGES:
        return replace(unit, nals=_changed(codec, unit.nals, mode, share, count, draw))
    for position in reversed(range(len(nals))):
        if mode not in ("left out", "swapped", "twice") or draw.random() >= share:
            continue
        count.damaged += 1
        if mode == "left out":
            del nals[position]
        elif mode == "twice":
            nals.insert(draw.randrange(len(nals) + 1), nals[position])
        else:
            other = draw.randrange(len(nals))
            nals[position], nals[other] = nals[other], nals[position]
            count.damaged -= other == position
    return replace(unit, nals=tuple(nals))


def _changed(
    codec: Codec, nals: tuple[bytes, ...], mode: str, share: float, count: Count, draw: random.Random
) -> tuple[bytes, ...]:
    out = []
    for nal in nals:
        changed = _CHANGES[mode](codec, nal, draw) if draw.random() < share else nal
        count.damaged += changed != nal
        out.append(changed)
    return tuple(out)


def _damaged_fragments(
    codec: Codec, payloads: list[bytes], share: float, count: Count, draw: random.Random
) -> list[bytes]:
    """Begin and end marks, kind, order and completeness of fragments go wrong; sequence numbers tell nothing of it."""
    head = 1 if codec == "h264" else 2
    out = list(payloads)
    for position in reversed(range(len(out))):
        if len(out[position]) <= head + 1 or draw.random() >= share / 4:
            continue
        count.damaged += 1
        what = draw.randrange(4)
        if what == 0:
            del out[position]
        elif what == 1:
            out.insert(position, out[position])
        elif what == 2 and position:
            out[position - 1], out[position] = out[position], out[position - 1]
        else:
            changed = bytearray(out[position])
            changed[head] ^= draw.choice((0x80, 0x40, 0xC0, draw.randrange(1, 64)))
            out[position] = bytes(changed)
    return out


def _damaged_packet(packet: bytes, draw: random.Random) -> bytes:
    """Header fields, lengths of what is put together in one packet, the end."""
    changed = bytearray(packet)
    what = draw.randrange(3)
    if what == 0:
        changed[draw.randrange(rtp.RTP_HEADER_BYTES)] ^= 1 << draw.randrange(8)
    elif what == 1:
        changed[min(len(changed) - 1, rtp.RTP_HEADER_BYTES + draw.randrange(4))] ^= 1 << draw.randrange(8)
    else:
        del changed[draw.randrange(len(changed)) :]
    return bytes(changed)
