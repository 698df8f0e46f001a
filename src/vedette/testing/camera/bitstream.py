"""NAL units out of H.264 and H.265 streams, whatever box they came in.

Sources: ISO/IEC 14496-15 (``avcC`` and ``hvcC`` records, length-prefixed samples), ITU-T H.264 and H.265 Annex B
(start codes), sections 7.3.1 and 7.3.1.2 for the NAL unit headers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Codec = Literal["h264", "h265", "jpeg"]

H264_IDR: Final = 5
H264_PARAMETER_SETS: Final = frozenset({7, 8})
H265_PARAMETER_SETS: Final = frozenset({32, 33, 34})
H265_CRA: Final = 21
H265_END_OF_SEQUENCE: Final = bytes((36 << 1, 1))
_H264_DROPPED: Final = frozenset({9, 12})  # access unit delimiter, filler: RTP marks the borders itself
_H265_DROPPED: Final = frozenset({35, 38})


@dataclass(frozen=True, slots=True)
class StreamConfiguration:
    """What the container says about the elementary stream.

    Attributes:
        length_size: bytes of the length field before each NAL unit, 0 where the stream uses start codes.
        parameter_sets: SPS and PPS (H.264) or VPS, SPS and PPS (H.265), in that order.
    """

    length_size: int
    parameter_sets: tuple[bytes, ...]


def nal_type(codec: Codec, nal: bytes) -> int:
    """Return the ``nal_unit_type`` of one NAL unit of ``codec`` (``h264`` or ``h265``)."""
    return nal[0] & 0x1F if codec == "h264" else (nal[0] >> 1) & 0x3F


def is_parameter_set(codec: Codec, nal: bytes) -> bool:
    """Say whether ``nal`` is an SPS, a PPS or (H.265) a VPS."""
    wanted = H264_PARAMETER_SETS if codec == "h264" else H265_PARAMETER_SETS
    return nal_type(codec, nal) in wanted


def is_dropped(codec: Codec, nal: bytes) -> bool:
    """Say whether ``nal`` carries nothing a receiver of RTP needs (delimiters, filler)."""
    return nal_type(codec, nal) in (_H264_DROPPED if codec == "h264" else _H265_DROPPED)


def split_start_codes(data: bytes) -> list[bytes]:
    """Split an Annex B byte stream into NAL units, without start codes and trailing zero bytes."""
    nals: list[bytes] = []
    begin = data.find(b"\x00\x00\x01")
    while begin >= 0:
        begin += 3
        following = data.find(b"\x00\x00\x01", begin)
        nal = data[begin:] if following < 0 else data[begin:following]
        nal = nal.rstrip(b"\x00")
        if nal:
            nals.append(nal)
        begin = following
    return nals


def split_lengths(data: bytes, length_size: int) -> list[bytes]:
    """Split a length-prefixed sample into NAL units.

    Raises:
        ValueError: where a length runs past the end of the sample.
    """
    nals: list[bytes] = []
    position, end = 0, len(data)
    while position + length_size <= end:
        size = int.from_bytes(data[position : position + length_size])
        position += length_size
        if size > end - position:
            raise ValueError(f"a NAL unit of {size} bytes in a sample with {end - position} bytes left")
        if size:
            nals.append(data[position : position + size])
        position += size
    return nals


def split_sample(data: bytes, length_size: int) -> list[bytes]:
    """Split one sample as the stream's configuration says (``length_size`` 0: start codes)."""
    return split_lengths(data, length_size) if length_size else split_start_codes(data)


def parse_configuration(codec: Codec, extradata: bytes | None) -> StreamConfiguration:
    """Read the container's codec configuration: ``avcC``, ``hvcC`` or Annex B parameter sets.

    Raises:
        ValueError: where the record ends in the middle of a field.
    """
    data = extradata or b""
    if len(data) < 7 or data[0] != 1:
        found = [nal for nal in split_start_codes(data) if is_parameter_set(codec, nal)]
        return StreamConfiguration(0, ordered_parameter_sets(codec, found))
    try:
        length_size, found = _parse_avcc(data) if codec == "h264" else _parse_hvcc(data)
    except IndexError:
        raise ValueError(f"the {codec} configuration record is cut short at {len(data)} bytes") from None
    wanted = [nal for nal in found if nal and is_parameter_set(codec, nal)]
    return StreamConfiguration(length_size, ordered_parameter_sets(codec, wanted))


def ordered_parameter_sets(codec: Codec, nals: list[bytes]) -> tuple[bytes, ...]:
    """Return parameter sets in activation order (VPS, SPS, PPS), each once."""
    unique = list(dict.fromkeys(nals))
    return tuple(sorted(unique, key=lambda nal: nal_type(codec, nal)))


def _parse_avcc(data: bytes) -> tuple[int, list[bytes]]:
    found: list[bytes] = []
    position = 5
    for mask in (0x1F, 0xFF):
        count = data[position] & mask
        position += 1
        for _ in range(count):
            size = data[position] << 8 | data[position + 1]
            found.append(data[position + 2 : position + 2 + size])
            position += 2 + size
    return (data[4] & 3) + 1, found


def _parse_hvcc(data: bytes) -> tuple[int, list[bytes]]:
    found: list[bytes] = []
    position = 23
    for _ in range(data[22]):
        count = data[position + 1] << 8 | data[position + 2]
        position += 3
        for _ in range(count):
            size = data[position] << 8 | data[position + 1]
            found.append(data[position + 2 : position + 2 + size])
            position += 2 + size
    return (data[21] & 3) + 1, found
