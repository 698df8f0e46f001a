"""Whether an H.264 stream's pictures are complete and follow one another, as their own numbers say.

A camera that cannot keep up leaves whole pictures out before they are packed, so that the numbers of its RTP packets
are complete; a decoder then invents what is missing and says nothing (FFmpeg fills a gap of ``frame_num`` with copies).
Every picture that others refer to counts up ``frame_num`` by one, from a picture that refers to none (ITU-T H.264,
7.4.3); its slices come in order, the first with macroblock 0 (7.4.3, without arbitrary slice order, which cameras do
not use). Streams that may be interlaced, whose pairs of fields share a number, are taken as they come.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from vedette.core.nal import length_size, stated_sets, units

_SLICE: Final = 1
_KEY: Final = 5
_SEQUENCE: Final = 7
_PICTURE: Final = 8
#: Profiles whose sequence parameters tell the kind of colour (7.3.2.1.1).
_HIGH: Final = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
_COLOUR_4_4_4: Final = 3
#: Of a slice's header; the fields that are read take no more than 14 bytes.
_HEADER_BYTES: Final = 24
#: Longest sets of parameters that are read; 256 bytes would do for those of a camera.
_SET_BYTES: Final = 1024
#: Sets that are remembered: the numbers that there are (7.4.2.1.1, 7.4.2.2).
_SEQUENCES: Final = 32
_PICTURES: Final = 256
#: An encoder that numbers this share of so many pictures in a way of its own is not judged by its numbers.
_JUDGED: Final = 32
_STRANGE: Final = 29


class PictureNumbers:
    """Follows the packets of one stream.

    Args:
        codec: FFmpeg's name; with others than ``h264`` everything is in order.
        extradata: what was told of the stream beforehand.
    """

    def __init__(self, codec: str, extradata: bytes = b"") -> None:
        self._read = codec == "h264"
        self._length_bytes = length_size(extradata, codec)
        self._sequences: dict[int, _Sequence] = {}
        self._of_picture: dict[int, int] = {}
        self._before: tuple[int, int | None] | None = None  # numbers of the picture that was referred to last
        self._recent: deque[bool] = deque(maxlen=_JUDGED)
        if self._read:
            for unit in stated_sets(extradata, codec):
                self._learn(unit)

    @property
    def believed(self) -> bool:
        """Whether numbers tell anything; False where an encoder's nearly never fit."""
        return len(self._recent) < _JUDGED or sum(self._recent) < _STRANGE

    def forget(self) -> None:
        """Packets are passed over: the next number may be any."""
        self._before = None

    def in_order(self, packet: bytes | memoryview) -> bool:
        """Whether a packet's picture is whole and the one that follows what came before, as far as can be told."""
        if not self._read:
            return True
        fits, position = True, -1
        for unit in units(bytes(packet), self._length_bytes):
            kind = unit[0] & 0x1F
            if kind in (_SEQUENCE, _PICTURE):
                self._learn(unit)
            elif kind in (_SLICE, _KEY):
                seen = self._slice(unit)
                if seen is None:
                    return True
                if position < 0:
                    fits = seen.position == 0 and self._follows(seen)
                fits = fits and seen.position > position
                position = seen.position
        if position >= 0:
            self._recent.append(not fits)
        return fits or not self.believed

    def _follows(self, seen: _Slice) -> bool:
        before, number, key = self._before, seen.number, seen.key
        if seen.reference:
            self._before = (number, key)
        if before is None or seen.sequence.gaps:
            return True
        if key is not None:
            return key != before[1]  # of two in a row one has another number (7.4.3)
        following = (before[0] + 1) % (1 << seen.sequence.number_bits)
        return number == following or (number == before[0] and not seen.reference)

    def _slice(self, unit: bytes) -> _Slice | None:
        """None where it cannot be read, or tells nothing."""
        bits = _Bits(unit[1:_HEADER_BYTES])
        try:
            position = bits.golomb()
            bits.golomb()  # kind of slice
            sequence = self._sequences[self._of_picture[bits.golomb()]]
            if not sequence.frames_only:
                return None
            if sequence.planes_apart:
                bits.take(2)
            number = bits.take(sequence.number_bits)
            key = bits.golomb() if unit[0] & 0x1F == _KEY else None
        except (KeyError, EOFError):
            return None
        return _Slice(position, number, key, bool(unit[0] & 0x60), sequence)

    def _learn(self, unit: bytes) -> None:
        kind, bits = unit[0] & 0x1F, _Bits(unit[1:_SET_BYTES])
        try:
            if kind == _SEQUENCE:
                number, sequence = _sequence(bits)
                if number < _SEQUENCES:
                    self._sequences[number] = sequence
            elif kind == _PICTURE:
                number, of = bits.golomb(), bits.golomb()
                if number < _PICTURES:
                    self._of_picture[number] = of
        except EOFError:
            return


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Of a set of sequence parameters: how ``frame_num`` is written, and whether it may jump."""

    number_bits: int
    frames_only: bool
    gaps: bool
    planes_apart: bool


@dataclass(frozen=True, slots=True)
class _Slice:
    """Of a slice's header.

    Attributes:
        position: its first macroblock.
        number: ``frame_num``.
        key: ``idr_pic_id``; None where it is not of a picture that begins anew.
        reference: other pictures may refer to it.
        sequence: what it is part of.
    """

    position: int
    number: int
    key: int | None
    reference: bool
    sequence: _Sequence


def _sequence(bits: _Bits) -> tuple[int, _Sequence]:
    """Number and content of a set of sequence parameters (7.3.2.1.1)."""
    profile = bits.take(24) >> 16
    number, planes_apart = bits.golomb(), False
    if profile in _HIGH:
        colour = bits.golomb()
        if colour == _COLOUR_4_4_4:
            planes_apart = bool(bits.take(1))
        bits.golomb()  # depth of brightness and of colour
        bits.golomb()
        bits.take(1)
        if bits.take(1):
            _pass_scaling(bits, 12 if colour == _COLOUR_4_4_4 else 8)
    number_bits = bits.golomb() + 4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        for _ in range(min(256, bits.golomb())):
            bits.golomb()
    bits.golomb()  # pictures that are referred to
    gaps = bool(bits.take(1))
    bits.golomb()  # width and height
    bits.golomb()
    if number_bits > 16:
        raise EOFError("no such number of bits")
    return number, _Sequence(number_bits, bool(bits.take(1)), gaps, planes_apart)


def _pass_scaling(bits: _Bits, lists: int) -> None:
    """Scaling lists (7.3.2.1.1.1), of which nothing is needed but where they end."""
    for which in range(lists):
        if not bits.take(1):
            continue
        last = following = 8
        for _ in range(16 if which < 6 else 64):
            if following:
                code = bits.golomb()
                following = (last + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
            last = following or last


class _Bits:
    """Bits of a unit, without the bytes that keep start codes out of it (7.4.1)."""

    def __init__(self, data: bytes) -> None:
        plain = data.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value, self._left = int.from_bytes(plain), 8 * len(plain)

    def take(self, count: int) -> int:
        """An unsigned number of so many bits.

        Raises:
            EOFError: there are not so many.
        """
        self._left -= count
        if self._left < 0:
            raise EOFError
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """An unsigned number as Exp-Golomb code (9.1).

        Raises:
            EOFError: it does not end.
        """
        rest = self._value & ((1 << self._left) - 1)
        zeros = self._left - rest.bit_length()
        if not rest or zeros > 31:
            raise EOFError
        self.take(zeros)
        return self.take(zeros + 1) - 1
