"""What the header of an encoded picture says: whether other pictures refer to it, and its temporal layer.

H.264: ``nal_ref_idc`` is 0 in slices of pictures that no other refers to (ITU-T H.264, 7.4.1). H.265: so say the types
of sub-layer non-reference pictures, the even ones below 16 (ITU-T H.265, table 7-1), in streams of one sub-layer; the
layer is in the second byte (7.3.1.2).
"""

from __future__ import annotations

from typing import Final, NamedTuple

_START: Final = b"\x00\x00\x01"
#: Where the first slice is looked for; what may stand before it are small sets of parameters.
_LOOK_BYTES: Final = 512
_H264_SLICES: Final = frozenset({1, 2, 3, 4, 5})


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
    head = bytes(packet[:_LOOK_BYTES])
    position = length_bytes if length_bytes else _after_start(head, 0)
    while 0 <= position < len(head) - 1:
        kind = head[position] & 0x1F if codec == "h264" else head[position] >> 1 & 0x3F
        if codec == "h264" and kind in _H264_SLICES:
            return Slice(bool(head[position] >> 5 & 0x3), 0)
        if codec == "hevc" and kind < 32:
            return Slice(kind > 15 or bool(kind & 1), max(0, (head[position + 1] & 0x7) - 1))
        if length_bytes:
            size = int.from_bytes(head[position - length_bytes : position], "big")
            position += size + length_bytes
        else:
            position = _after_start(head, position)
    return _UNKNOWN


def length_size(extradata: bytes, codec: str) -> int:
    """Bytes of the length before each unit, as a stream's parameters say; 0 where units begin with a start code.

    ISO/IEC 14496-15, 5.3.3.1 (``avcC``) and 8.3.3.1 (``hvcC``).
    """
    where = {"h264": 4, "hevc": 21}.get(codec)
    if where is None or len(extradata) <= where or not extradata[0]:
        return 0
    return (extradata[where] & 0x3) + 1


def _after_start(head: bytes, position: int) -> int:
    found = head.find(_START, position)
    return -1 if found < 0 else found + len(_START)
