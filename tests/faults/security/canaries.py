"""Secrets in forty shapes, each with a mark that can be found again, and a search for the marks in anything."""

from __future__ import annotations

import base64
import gzip
import io
import random
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

#: ``@`` stands for the mark. What people, generators and attackers choose as passwords.
SHAPES: Final = (
    "@", "@!", "p@ss/@", "@#frag", "@?query=1", "@&x=1", "a:@", "@:b", "user:@@host", "/@/", "//@", "@%41", "%40@",
    "100%@", "@ with spaces", " @", "@ ", "tab\t@", '"@"', "'@'", "`@`", "$(@)", "${@}", "{configuration:/@}", "<@>",
    "\\@\\", "@;--", "' OR '@'='@", "--password=@", "-@", "Bearer @", "Basic @", '{"password":"@"}', "token=@", "*@*",
    "pässwörd@", "пароль@", "@🔑", "x" * 200 + "@", "[@]",
)  # fmt: skip
MARK_LENGTH: Final = 14
_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


@dataclass(frozen=True)
class Canary:
    """A secret and the mark within it, which no other holds."""

    secret: str
    mark: str


def canaries(rng: random.Random, count: int = len(SHAPES)) -> list[Canary]:
    """One of each of the first shapes."""
    made = []
    for shape in SHAPES[:count]:
        mark = "".join(rng.choices(_ALPHABET, k=MARK_LENGTH))
        made.append(Canary(_filled(shape, mark), mark))
    return made


def _filled(shape: str, mark: str) -> str:
    """The mark for the last ``@``, or for both where the shape compares them; others stay: they belong to the shape."""
    if shape == "' OR '@'='@":
        return shape.replace("@", mark)
    at = shape.index("@") if shape in ("user:@@host", "@") else shape.rindex("@")
    return shape[:at] + mark + shape[at + 1 :]


def forms(mark: str) -> set[bytes]:
    """How a mark may stand in a text: as it is, in Base64 at any offset, as hexadecimal, backwards.

    Percent encoding, JSON, SQL, XML and shells leave letters and digits as they are.
    """
    raw = mark.encode()
    found = {raw, raw.lower(), raw.upper(), raw.hex().encode(), raw.hex().upper().encode(), raw[::-1]}
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + raw)
        # What depends on the neighbours is left out at both ends.
        found.add(coded[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6])
    return found


def hits(content: bytes, wanted: Iterable[Canary]) -> set[str]:
    """The marks that some content holds, packed or not."""
    found = set()
    for part in unpacked(content):
        found |= {one.mark for one in wanted if any(form in part for form in forms(one.mark))}
    return found


def unpacked(content: bytes) -> Iterator[bytes]:
    """The content, and what it holds where it is an archive."""
    yield content
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return
        yield content
    if content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                file = archive.extractfile(member)
                if file is not None:
                    yield file.read()
