"""What the header of an encoded picture says: whether other pictures refer to it, and its temporal layer.

H.264: ``nal_ref_idc`` is 0 in slices of pictures that no other refers to (ITU-T H.264, 7.4.1). H.265: so say the types
of sub-layer non-reference pictures, the even ones below 16 (ITU-T H.265, table 7-1), in streams of one sub-layer; the
layer is in the second byte (7.3.1.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

_START: Final = b"\x00\x00\x01"
#: Where the first slice is looked for; what may stand before it are small sets of parameters.
_LOOK_BYTES: Final = 512
_H264_IDR: Final = 5
_H264_SLICES: Final = frozenset({1, 2, 3, 4, _H264_IDR})


class Slice(NamedTuple):
    """What the first slice of a picture says.

    Attributes:
        reference: other pictures may refer to it; True where that cannot be told.
        layer: temporal layer, 0 the lowest; 0 where there are none.
    """

    reference: bool
    layer: int


_UNKNOWN: Final = Slice(True, 0)


def first_slice(packet: bytes | memoryview, codec: str, length_bytes: int = 0) -> Slice:
    """What an encoded picture says of itself.

    Args:
        packet: the encoded picture, at least its first bytes.
        codec: ``h264`` or ``hevc``; others are taken to be of pictures that are referred to.
        length_bytes: size of the length before each unit (files); 0 where units begin with a start code (streams).
    """
    if codec not in ("h264", "hevc"):
        return _UNKNOWN
    for unit in units(bytes(packet[:_LOOK_BYTES]), length_bytes):
        kind = unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F
        if codec == "h264" and kind in _H264_SLICES:
            return Slice(bool(unit[0] >> 5 & 0x3), 0)
        if codec == "hevc" and kind < 32 and len(unit) > 1:
            return Slice(kind > 15 or bool(kind & 1), max(0, (unit[1] & 0x7) - 1))
    return _UNKNOWN


def fresh_start(packet: bytes | memoryview, length_bytes: int = 0) -> bool:
    """Whether an encoded picture of H.264 is an IDR picture: nothing from it on refers to what came before it.

    Other key pictures are not: where groups are open, pictures after them may let go of some from before.

    Args:
        packet: the whole encoded picture.
        length_bytes: see ``first_slice``.
    """
    return any(unit[0] & 0x1F == _H264_IDR for unit in units(bytes(packet), length_bytes))


def units(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """The NAL units of an encoded picture, none of them empty; the last one may be cut short.

    Args:
        data: the encoded picture.
        length_bytes: size of the length before each unit; 0 where units begin with a start code.
    """
    position = length_bytes if length_bytes else _after_start(data, 0)
    while 0 <= position < len(data):
        if length_bytes:
            end = following = position + int.from_bytes(data[position - length_bytes : position])
            following += length_bytes
        else:
            following = _after_start(data, position)
            end = len(data) if following < 0 else following - len(_START)
        if end > position:
            yield data[position:end]
        position = following


def length_size(extradata: bytes, codec: str) -> int:
    """Bytes of the length before each unit, as a stream's parameters say; 0 where units begin with a start code.

    ISO/IEC 14496-15, 5.3.3.1 (``avcC``) and 8.3.3.1 (``hvcC``).
    """
    where = {"h264": 4, "hevc": 21}.get(codec)
    if where is None or len(extradata) <= where or not extradata[0]:
        return 0
    return (extradata[where] & 0x3) + 1


def stated_sets(extradata: bytes, codec: str) -> Iterator[bytes]:
    """Sets of parameters that are told of a stream beforehand.

    ISO/IEC 14496-15, 5.3.3.1 (``avcC``) and 8.3.3.1 (``hvcC``), or Annex B. What is cut short ends with its end.

    Args:
        extradata: of the stream.
        codec: ``h264`` or ``hevc``.
    """
    if not length_size(extradata, codec):
        yield from units(extradata, 0)
        return
    # How many follow, and where: of sequences and of pictures, or of each kind that there is.
    position, kinds = (5, 2) if codec == "h264" else (23, _number(extradata, 22, 23))
    for kind in range(kinds):
        if codec == "h264":
            count = _number(extradata, position, position + 1) & (0xFF if kind else 0x1F)
            position += 1
        else:
            count = _number(extradata, position + 1, position + 3)
            position += 3
        for _ in range(count):
            begin = position + 2
            position = begin + _number(extradata, position, begin)
            if unit := extradata[begin:position]:
                yield unit


def _number(data: bytes, begin: int, end: int) -> int:
    return int.from_bytes(data[begin:end])


def _after_start(head: bytes, position: int) -> int:
    found = head.find(_START, position)
    return -1 if found < 0 else found + len(_START)
