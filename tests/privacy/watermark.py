"""A mark in footage that survives coding, and a search for it in anything that was sent.

The mark is a square of 8 by 8 blocks, light and dark by chance, repeated over the whole picture; any part of a picture
that holds one square is found by comparing it with the square at a few scales. What is searched is taken apart first:
pictures, videos and compressed data at any offset, text that is base64 or hexadecimal, planes of pixels as they are.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import zlib
from collections.abc import Iterator
from typing import Any, Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]

BLOCKS: Final = 8
BLOCK_PX: Final = 8
TILE_PX: Final = BLOCKS * BLOCK_PX
#: Widths of pictures that planes of pixels are tried with; multiples of the tile, so that a wrong start only shifts it.
WIDTH, HEIGHT = 320, 256
_KEY: Final = np.random.default_rng(20_26).permutation(np.repeat([-1.0, 1.0], BLOCKS * BLOCKS // 2)).reshape(8, 8)
#: Correlation of 64 blocks that nothing else reaches by chance: ten standard deviations.
_HIT: Final = 0.6
_SCALES: Final = (1.0, 0.5, 2.0, 0.75, 1.5)
_DEEPEST: Final = 4
_MOST_STARTS: Final = 200
_START: Final = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP|BM....\x00\x00\x00\x00|GIF8", re.DOTALL)
_PACKED: Final = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_ANNEX_B: Final = re.compile(rb"\x00\x00\x01[\x67\x27\x47\x40\x42\x65\x26\x41\x61]")
_BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/_-]|%2[BF]|\\[nr/]|[\r\n]){400,}={0,2}")
_HEX: Final = re.compile(rb"(?:[0-9a-fA-F]{2}){400,}")


def mark(ground: float = 74.0, strength: float = 30.0) -> Luma:
    """A marked picture: uint8 (HEIGHT, WIDTH), darker than what a model takes for bright."""
    tile = np.kron(_KEY, np.ones((BLOCK_PX, BLOCK_PX)))
    whole = np.tile(tile, (HEIGHT // TILE_PX, WIDTH // TILE_PX))
    return np.clip(ground + strength * whole, 0, 255).astype(np.uint8)


def shows_mark(luma: Luma) -> bool:
    """Whether some part of a picture holds the mark."""
    for scale in _SCALES:
        side = round(TILE_PX * scale)
        if min(luma.shape) < side:
            continue
        tile = cv2.resize(np.kron(_KEY, np.ones((BLOCK_PX, BLOCK_PX))).astype(np.float32), (side, side))
        # Any whole shift of the tile is in a picture somewhere, so one comparison with all places is enough.
        found = cv2.matchTemplate(luma.astype(np.float32), tile, cv2.TM_CCOEFF_NORMED)
        if np.isfinite(found).any() and float(np.nanmax(found)) > _HIT:
            return True
    return False


def contains_mark(payload: bytes, depth: int = 0) -> str:
    """In what form the mark is in what was sent; empty where it is not."""
    for name, luma in _pictures(payload):
        if shows_mark(luma):
            return name
    if depth < _DEEPEST:
        for name, inner in _unpacked(payload):
            if found := contains_mark(inner, depth + 1):
                return f"{name}: {found}"
    return ""


def _pictures(payload: bytes) -> Iterator[tuple[str, Luma]]:
    for match in list(_START.finditer(payload))[:_MOST_STARTS]:
        # The end of a JPEG, for one that was cut off.
        content = np.frombuffer(payload[match.start() :] + b"\xff\xd9", np.uint8)
        picture = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
        if picture is not None:
            yield "picture", picture.astype(np.uint8, copy=False)
    for match in list(re.finditer(rb"ftyp", payload))[:_MOST_STARTS]:
        yield from (("MP4", luma) for luma in _decoded(payload[max(0, match.start() - 4) :], None))
    start = _ANNEX_B.search(payload)
    if start is not None:
        for form in ("h264", "hevc"):
            yield from ((form, luma) for luma in _decoded(payload[start.start() :], form))
    for step in (1, 3, 4):
        plane = np.frombuffer(payload, np.uint8)[::step]
        rows = len(plane) // WIDTH
        if rows >= TILE_PX:
            yield "plane of pixels", plane[: rows * WIDTH].reshape(rows, WIDTH)


def _decoded(content: bytes, form: str | None, most: int = 30) -> Iterator[Luma]:
    try:
        with av.open(io.BytesIO(content), "r", format=form) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number >= most:
                    return
                yield frame.to_ndarray(format="gray").astype(np.uint8, copy=False)
    except (av.FFmpegError, IndexError, ValueError):
        return


def _unpacked(payload: bytes) -> Iterator[tuple[str, bytes]]:
    for match in list(_BASE64.finditer(payload))[:_MOST_STARTS]:
        text = re.sub(rb"\\[nr]|[\r\n]", b"", match.group()).replace(b"\\/", b"/")
        text = text.replace(b"%2B", b"+").replace(b"%2F", b"/").replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
        for cut in range(4):  # where the run of letters began before the base64 did
            inner = text[cut:]
            inner = inner[:-1] if len(inner) % 4 == 1 else inner
            try:
                yield "base64", base64.b64decode(inner + b"=" * (-len(inner) % 4))
            except binascii.Error:
                continue
    for match in list(_HEX.finditer(payload))[:_MOST_STARTS]:
        yield "hexadecimal", bytes.fromhex(match.group().decode())
    for match in list(_PACKED.finditer(payload))[:_MOST_STARTS]:
        packed: Any = zlib.decompressobj(wbits=47)
        try:
            inner = packed.decompress(payload[match.start() :], 16 << 20)
        except zlib.error:
            continue
        if len(inner) > 64:
            yield "compressed", inner
