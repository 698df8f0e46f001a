"""JPEG images as RFC 2435 carries them: header fields, quantisation tables and the scan, each apart.

The RFC assumes baseline images with the Huffman tables of ITU-T T.81 annex K and 4:2:0 or 4:2:2 sampling;
``jpeg_fits_rtp`` says whether an image is one. The standard tables are recognised by their digests.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

_STANDARD_HUFFMAN: Final[dict[int, str]] = {
    0x00: "2f66814c875b53173f057d784a16a34d0d1f9aa91cdfa7143c41be02c9c7b005",
    0x01: "602f734c8c12c1d9d049a18fd91d9ef3d3d8c402665f90db3d97721fc49e4804",
    0x10: "a6283a08f5d97906b66adcc812e32396ea83059e55dd4cc91934cf447559aeb6",
    0x11: "13f90e3c9dc476c66f24347f6ad29cea93262e99faed279970c2f74e0557f445",
}
"""SHA-256 of (16 counts, values) by class and identifier, annex K tables K.3 to K.6."""

_MAX_SIDE_PX: Final = 2040
_SAMPLING_TO_KIND: Final = {0x21: 0, 0x22: 1}


@dataclass(frozen=True, slots=True)
class JpegImage:
    """The parts of one image.

    Attributes:
        kind: RFC 2435 type, 0 for 4:2:2 and 1 for 4:2:0, plus 64 with restart markers.
        width: pixels, a multiple of 8.
        height: pixels, a multiple of 8.
        tables: luminance and chrominance quantisation tables, 64 bytes each, zigzag order.
        restart_interval: units between restart markers, 0 for none.
        scan: entropy-coded data.
    """

    kind: int
    width: int
    height: int
    tables: bytes
    restart_interval: int
    scan: bytes


@dataclass(slots=True)
class _Headers:
    tables: dict[int, bytes] = field(default_factory=dict)
    frame: bytes = b""
    restart_interval: int = 0
    standard_huffman: bool = True
    scan_header: bytes = b""


def jpeg_fits_rtp(data: bytes) -> bool:
    """Say whether RFC 2435 can carry this image without loss."""
    try:
        parse_jpeg(data)
    except (ValueError, IndexError):
        return False
    return True


def parse_jpeg(data: bytes) -> JpegImage:
    """Take a baseline JPEG image apart.

    Raises:
        ValueError: where RFC 2435 has no way to carry it; the text says which property.
        IndexError: where the image is cut short.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("no start of image")
    headers, scan_begin = _parse_headers(data)
    frame = headers.frame
    if not headers.standard_huffman:
        raise ValueError("Huffman tables of its own")
    if len(frame) != 15 or frame[0] != 8 or frame[5] != 3:
        raise ValueError("not an 8-bit baseline image with three components")
    height, width = frame[1] << 8 | frame[2], frame[3] << 8 | frame[4]
    if width % 8 or height % 8 or max(width, height) > _MAX_SIDE_PX:
        raise ValueError(f"{width}x{height} is not a multiple of 8 up to {_MAX_SIDE_PX} pixels")
    luma, blue, red = frame[6:9], frame[9:12], frame[12:15]
    kind = _SAMPLING_TO_KIND.get(luma[1])
    if kind is None or blue[1] != 0x11 or red[1] != 0x11 or blue[2] != red[2]:
        raise ValueError("sampling other than 4:2:2 or 4:2:0")
    if headers.scan_header[2::2][:3] != b"\x00\x11\x11":
        raise ValueError("components with unusual Huffman tables")
    end = data.rfind(b"\xff\xd9")
    return JpegImage(
        kind=kind + (64 if headers.restart_interval else 0),
        width=width,
        height=height,
        tables=headers.tables[luma[2]] + headers.tables[blue[2]],
        restart_interval=headers.restart_interval,
        scan=data[scan_begin : end if end > scan_begin else len(data)],
    )


def _parse_headers(data: bytes) -> tuple[_Headers, int]:
    headers, position = _Headers(), 2
    while True:
        if data[position] != 0xFF:
            raise ValueError("no marker where one is due")
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        size = data[position + 2] << 8 | data[position + 3]
        body = data[position + 4 : position + 2 + size]
        position += 2 + size
        if marker == 0xDB:
            _read_quantisation(headers, body)
        elif marker == 0xC4:
            headers.standard_huffman &= _is_standard_huffman(body)
        elif marker == 0xC0:
            headers.frame = body
        elif 0xC1 <= marker <= 0xCF and marker != 0xC8:
            raise ValueError("not a baseline image")
        elif marker == 0xDD:
            headers.restart_interval = body[0] << 8 | body[1]
        elif marker == 0xDA:
            headers.scan_header = body
            return headers, position


def _read_quantisation(headers: _Headers, body: bytes) -> None:
    for position in range(0, len(body), 65):
        if body[position] >> 4 or len(body) < position + 65:
            raise ValueError("quantisation tables of 16 bits")
        headers.tables[body[position] & 15] = body[position + 1 : position + 65]


def _is_standard_huffman(body: bytes) -> bool:
    position = 0
    while position < len(body):
        size = 16 + sum(body[position + 1 : position + 17])
        table = body[position + 1 : position + 1 + size]
        if hashlib.sha256(table).hexdigest() != _STANDARD_HUFFMAN.get(body[position]):
            return False
        position += 1 + size
    return True
