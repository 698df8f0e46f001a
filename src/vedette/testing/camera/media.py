"""A video file as a list of coded pictures in memory, ready to be sent again and again.

All times are ticks of the 90 kHz clock that RTP uses for video, counted from the first picture of the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vedette.contracts.errors import CameraError
from vedette.testing.camera.bitstream import (
    H265_CRA,
    H265_END_OF_SEQUENCE,
    Codec,
    is_dropped,
    is_parameter_set,
    nal_type,
    ordered_parameter_sets,
    parse_configuration,
    split_sample,
)

CLOCK_HZ: Final = 90_000
MAX_MEDIA_BYTES: Final = 256 * 1024 * 1024
"""Largest coded video kept in memory for one file; a camera clip for tests is a hundredth of it."""


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture.

    Attributes:
        nals: its NAL units without parameter sets, or one whole JPEG image.
        parameter_sets: what a receiver needs before a key picture; empty for other pictures and for JPEG.
        pts: presentation time in ticks, 0 for the first picture shown.
        dts: decoding time in ticks; at or before ``pts``, negative for the first pictures of a stream with B-frames.
        key: whether decoding can start here.
    """

    nals: tuple[bytes, ...]
    parameter_sets: tuple[bytes, ...]
    pts: int
    dts: int
    key: bool


@dataclass(frozen=True, slots=True)
class Media:
    """A clip that plays in a loop.

    Attributes:
        name: the file's name without folder, for logs and loop records.
        codec: what goes over the wire.
        width: picture width, pixels.
        height: picture height, pixels.
        units: pictures in decoding order, the first one a key picture.
        duration: ticks from the first picture to the first picture of the next loop.
        frame_rate: pictures per second, on average.
        passed_through: False where the pictures were encoded by this module.
    """

    name: str
    codec: Codec
    width: int
    height: int
    units: tuple[AccessUnit, ...]
    duration: int
    frame_rate: float
    passed_through: bool

    @property
    def duration_s(self) -> float:
        """Length of one loop, seconds."""
        return self.duration / CLOCK_HZ

    @property
    def parameter_sets(self) -> tuple[bytes, ...]:
        """Parameter sets of the first picture, for the session description."""
        return self.units[0].parameter_sets

    @property
    def size_bytes(self) -> int:
        """Bytes of coded video kept in memory."""
        return sum(len(nal) for unit in self.units for nal in unit.nals)


@dataclass(frozen=True, slots=True)
class RawPicture:
    """One packet as a container or an encoder hands it over, times in ticks, not yet shifted to zero."""

    data: bytes
    pts: int
    dts: int
    duration: int
    key: bool


def build_media(
    name: str,
    codec: Codec,
    size: tuple[int, int],
    pictures: Iterable[RawPicture],
    *,
    extradata: bytes | None,
    frame_rate: float,
    max_bytes: int,
    passed_through: bool,
) -> Media:
    """Turn packets in decoding order into a loop that starts with a key picture at time 0.

    Pictures before the first key picture, and pictures shown before it, cannot be decoded and are left out.

    Raises:
        CameraError: V203 without a key picture, V204 where ``max_bytes`` is passed.
    """
    configuration = parse_configuration(codec, extradata) if codec != "jpeg" else None
    kept: list[tuple[RawPicture, tuple[bytes, ...]]] = []
    total = 0
    for picture in pictures:
        if not kept and not picture.key:
            continue
        if kept and picture.pts < kept[0][0].pts:
            continue
        total += len(picture.data)
        if total > max_bytes:
            raise CameraError(
                f"{name}: more than {max_bytes // 1024**2} MiB of coded video; the simulator keeps files in memory.",
                hint="Cut the file to a shorter clip.",
                code="V204",
            )
        nals = split_sample(picture.data, configuration.length_size) if configuration else [picture.data]
        kept.append((picture, tuple(nals)))
    if not kept:
        raise CameraError(f"{name}: no key picture in the video stream.", code="V203")
    default_sets = configuration.parameter_sets if configuration else ()
    units = _finish_units(codec, kept, default_sets)
    last = max((picture for picture, _ in kept), key=lambda picture: picture.pts)
    frame_ticks = last.duration or round(CLOCK_HZ / (frame_rate or 25.0))
    duration = last.pts - kept[0][0].pts + frame_ticks
    return Media(
        name=name,
        codec=codec,
        width=size[0],
        height=size[1],
        units=units,
        duration=duration,
        frame_rate=len(units) * CLOCK_HZ / duration,
        passed_through=passed_through,
    )


def _finish_units(
    codec: Codec, kept: list[tuple[RawPicture, tuple[bytes, ...]]], default_sets: tuple[bytes, ...]
) -> tuple[AccessUnit, ...]:
    origin = kept[0][0].pts
    units: list[AccessUnit] = []
    sets, previous_dts = default_sets, kept[0][0].dts - origin
    for picture, nals in kept:
        if codec != "jpeg":
            in_band = [nal for nal in nals if is_parameter_set(codec, nal)]
            if in_band:
                sets = _merge_sets(codec, sets, in_band)
            nals = tuple(n for n in nals if not is_parameter_set(codec, n) and not is_dropped(codec, n))
        previous_dts = max(previous_dts, min(picture.dts, picture.pts) - origin)
        units.append(
            AccessUnit(
                nals=nals,
                parameter_sets=sets if picture.key else (),
                pts=picture.pts - origin,
                dts=previous_dts,
                key=picture.key,
            )
        )
    if codec == "h265" and any(nal_type(codec, nal) == H265_CRA for nal in units[0].nals):
        # Without an end of sequence the decoder would tie the first CRA picture of a loop to the loop before.
        last = units[-1]
        nals = (*last.nals, H265_END_OF_SEQUENCE)
        units[-1] = AccessUnit(nals, last.parameter_sets, last.pts, last.dts, last.key)
    return tuple(units)


def _merge_sets(codec: Codec, sets: tuple[bytes, ...], in_band: list[bytes]) -> tuple[bytes, ...]:
    replaced = {nal_type(codec, nal) for nal in in_band}
    return ordered_parameter_sets(codec, [s for s in sets if nal_type(codec, s) not in replaced] + in_band)
