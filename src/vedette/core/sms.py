"""Short messages: cut to parts, and encoded as a modem takes them.

Sources: 3GPP TS 23.038 (alphabets), TS 23.040 (SMS-SUBMIT, concatenation), TS 27.005 (commands of a modem).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: TS 23.038, section 6.2.1: the default alphabet by position; position 27 is the escape to the extension.
_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPE: Final = 27
_EXTENSION: Final = {"\f": 10, "^": 20, "{": 40, "}": 41, "\\": 47, "[": 60, "~": 61, "]": 62, "|": 64, "€": 101}
_SEPTETS: Final = {
    **{mark: (position,) for position, mark in enumerate(_BASIC) if position != _ESCAPE},
    **{mark: (_ESCAPE, position) for mark, position in _EXTENSION.items()},
}
#: What is often in texts and not in the alphabet, in characters that are.
_PLAIN: Final = str.maketrans({"…": "...", "–": "-", "—": "-", "’": "'", "‘": "'", "“": '"', "”": '"', "\u00a0": " "})

#: Room of a message alone, and of each of several: septets, and UTF-16 code units.
_SEPTETS_ALONE, _SEPTETS_EACH = 160, 153
_UNITS_ALONE, _UNITS_EACH = 70, 67


@dataclass(frozen=True, slots=True)
class Part:
    """One message as a modem sends it.

    Attributes:
        pdu: hexadecimal, beginning with the service centre (the one of the SIM).
        length: bytes of it without the service centre: what ``AT+CMGS`` is told.
    """

    pdu: str
    length: int


def simplified(text: str) -> str:
    """The text with typographic marks replaced, so that fewer texts need the alphabet that halves the room."""
    return text.translate(_PLAIN)


def is_basic(text: str) -> bool:
    """Whether every character is in the default alphabet or its extension."""
    return all(mark in _SEPTETS for mark in text)


def cut(text: str, parts: int) -> list[str]:
    """The text in at most so many parts; what does not fit is left out, and the end says so.

    Args:
        text: one line.
        parts: at least 1.
    """
    text = simplified(text)
    pieces = _pieces(text)
    if len(pieces) <= parts:
        return pieces
    mark = "..." if is_basic(text) else "…"
    low, high = 0, len(text)
    while low < high:  # the longest beginning that fits with the mark behind it
        middle = (low + high + 1) // 2
        if len(_pieces(_beginning(text, middle) + mark)) <= parts:
            low = middle
        else:
            high = middle - 1
    return _pieces(_beginning(text, low) + mark)


def submit(number: str, text: str, parts: int, reference: int) -> list[Part]:
    """SMS-SUBMIT messages for a text.

    Args:
        number: E.164 with a plus sign.
        text: one line.
        parts: at most so many messages.
        reference: 0 to 255, another for each text: what phones put the parts together by.
    """
    pieces = cut(text, parts)
    basic = is_basic("".join(pieces))
    found = []
    for index, piece in enumerate(pieces):
        header = bytes((5, 0, 3, reference & 0xFF, len(pieces), index + 1)) if len(pieces) > 1 else b""
        found.append(_part(number, piece, header, basic=basic))
    return found


def ucs2_hex(text: str) -> str:
    """Hexadecimal UTF-16, as a modem with ``AT+CSCS="UCS2"`` takes texts and numbers."""
    return text.encode("utf-16-be", "replace").hex().upper()


def _part(number: str, piece: str, header: bytes, *, basic: bool) -> Part:
    digits = number.lstrip("+")
    first = 0x01 | (0x40 if header else 0)  # SMS-SUBMIT, no validity period; user data header where there is one
    address = bytes((len(digits), 0x91)) + _semi_octets(digits)
    if basic:
        septets = [code for mark in piece for code in _SEPTETS[mark]]
        filling = (len(header) * 8 + 6) // 7 if header else 0
        data, length = _packed(septets, header), filling + len(septets)
    else:
        data = header + piece.encode("utf-16-be", "replace")
        length = len(data)
    message = bytes((first, 0)) + address + bytes((0, 0 if basic else 8, length)) + data
    return Part("00" + message.hex().upper(), len(message))


def _packed(septets: list[int], header: bytes) -> bytes:
    """Septets one after the other from the lowest bit on, beginning at a whole septet behind the header."""
    bits, used = int.from_bytes(header, "little"), (len(header) * 8 + 6) // 7 * 7 if header else 0
    for septet in septets:
        bits |= septet << used
        used += 7
    return bits.to_bytes((used + 7) // 8, "little")


def _semi_octets(digits: str) -> bytes:
    padded = digits + "F" * (len(digits) % 2)
    return bytes.fromhex("".join(padded[at + 1] + padded[at] for at in range(0, len(padded), 2)))


def _beginning(text: str, length: int) -> str:
    return text[:length].rstrip()


def _pieces(text: str) -> list[str]:
    """The text in as many parts as it takes; no character is divided."""
    basic = is_basic(text)
    alone, each = (_SEPTETS_ALONE, _SEPTETS_EACH) if basic else (_UNITS_ALONE, _UNITS_EACH)
    sizes = [len(_SEPTETS[mark]) if basic else len(mark.encode("utf-16-be", "replace")) // 2 for mark in text]
    if sum(sizes) <= alone:
        return [text]
    pieces, begin, used = [], 0, 0
    for at, size in enumerate(sizes):
        if used + size > each:
            pieces.append(text[begin:at])
            begin, used = at, 0
        used += size
    return [*pieces, text[begin:]]
