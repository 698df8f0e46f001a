"""How packets and notes travel: a length, a line of JSON, and the packet's bytes as they are."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

from vedette.contracts.errors import CoreError
from vedette.contracts.packets import EncodedPacket, PictureNote, VideoStream
from vedette.core.preroll import Item

_HEAD: Final = struct.Struct(">II")
#: Longest line of JSON, and largest packet.
MAX_JSON_BYTES: Final = 64 << 10
MAX_DATA_BYTES: Final = 32 << 20


def encode_stream(stream: VideoStream) -> bytes:
    """What a stream is; sent before the first packet of it."""
    return _message(
        {
            "stream": stream.epoch,
            "codec": stream.codec,
            "time_base": [stream.time_base.numerator, stream.time_base.denominator],
        },
        stream.extradata,
    )


def encode_item(item: Item) -> bytes:
    """A packet of the stream that was sent last, or a note."""
    if isinstance(item, EncodedPacket):
        fields = {"key": item.key, "pts": item.pts, "dts": item.dts, "arrival_s": item.arrival_s}
        return _message({"packet": item.stream.epoch, **fields}, item.data)
    fields = {"pts": item.pts, "frame_no": item.frame_no, "media_time_s": item.media_time_s, "wall_s": item.wall_s}
    return _message({"picture": item.epoch, **fields}, b"")


class ItemReader:
    """Puts what arrives in pieces together again; what makes no sense is an error, not a guess."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._stream: VideoStream | None = None

    def feed(self, data: bytes) -> Iterator[Item]:
        """Take some bytes; the items that are complete now.

        Raises:
            CoreError: V605, what came does not follow the protocol.
        """
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            size, extra = _HEAD.unpack_from(self._buffer)
            if size > MAX_JSON_BYTES or extra > MAX_DATA_BYTES:
                raise CoreError(f"a packet message announces {size} and {extra} bytes.", code="V605")
            end = _HEAD.size + size + extra
            if len(self._buffer) < end:
                return
            line = bytes(self._buffer[_HEAD.size : _HEAD.size + size])
            payload = bytes(self._buffer[_HEAD.size + size : end])
            del self._buffer[:end]
            try:
                item = self._item(json.loads(line), payload)
            except (ValueError, KeyError, TypeError, IndexError, ZeroDivisionError) as error:
                raise CoreError(f"a packet message cannot be read: {error!r}.", code="V605") from error
            if item is not None:
                yield item

    def _item(self, message: dict[str, Any], payload: bytes) -> Item | None:
        if "stream" in message:
            numerator, denominator = message["time_base"]
            self._stream = VideoStream(
                epoch=str(message["stream"]),
                codec=str(message["codec"]),
                time_base=Fraction(int(numerator), int(denominator)),
                extradata=payload,
            )
            return None
        if "picture" in message:
            return PictureNote(
                epoch=str(message["picture"]),
                pts=int(message["pts"]),
                frame_no=int(message["frame_no"]),
                media_time_s=float(message["media_time_s"]),
                wall_s=float(message["wall_s"]),
            )
        if self._stream is None or message["packet"] != self._stream.epoch:
            raise ValueError("a packet of a stream that was not announced")
        return EncodedPacket(
            stream=self._stream,
            data=payload,
            key=bool(message["key"]),
            pts=None if message["pts"] is None else int(message["pts"]),
            dts=None if message["dts"] is None else int(message["dts"]),
            arrival_s=float(message["arrival_s"]),
        )


def _message(fields: dict[str, Any], payload: bytes) -> bytes:
    line = json.dumps(fields, separators=(",", ":")).encode()
    return _HEAD.pack(len(line), len(payload)) + line + payload
