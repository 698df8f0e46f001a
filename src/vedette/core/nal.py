"""What the header of an encoded picture says: whether other pictures refer to it.

H.264: ``nal_ref_idc`` is 0 in slices of pictures that no other refers to (ITU-T H.264, 7.4.1). H.265: so say the types
of sub-layer non-reference pictures, the even ones below 16 (ITU-T H.265, table 7-1), in streams of one sub-layer.
"""

from __future__ import annotations

from typing import Final

_START: Final = b"\x00\x00\x01"
#: Where the first slice is looked for; what may stand before it are small sets of parameters.
_LOOK_BYTES: Final = 512
_H264_SLICES: Final = frozenset({1, 2, 3, 4, 5})


def is_reference(packet: bytes | memoryview, codec: str, length_bytes: int = 0) -> bool:
    """Whether other pictures may refer to the picture in a packet; True where that cannot be told.

    Args:
        packet: the encoded picture, at least its first bytes.
        codec: ``h264`` or ``hevc``; others are taken to be of pictures that are referred to.
        length_bytes: size of the length before each unit (files); 0 where units begin with a start code (streams).
    """
    if codec not in ("h264", "hevc"):
        return True
    head = bytes(packet[:_LOOK_BYTES])
    position = length_bytes if length_bytes else _after_start(head, 0)
    while 0 <= position < len(head):
        kind = head[position] & 0x1F if codec == "h264" else head[position] >> 1 & 0x3F
        if codec == "h264" and kind in _H264_SLICES:
            return bool(head[position] >> 5 & 0x3)
        if codec == "hevc" and kind < 32:
            return kind > 15 or bool(kind & 1)
        if length_bytes:
            size = int.from_bytes(head[position - length_bytes : position], "big")
            position += size + length_bytes
        else:
            position = _after_start(head, position)
    return True


def _after_start(head: bytes, position: int) -> int:
    found = head.find(_START, position)
    return -1 if found < 0 else found + len(_START)
