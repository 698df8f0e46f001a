"""Reads a tar archive as a stream, in bounded memory, whatever its author meant.

Python's own reader keeps what headers state: an extended header of a gigabyte, or a map of a sparse file without end,
costs that much memory, and packed it is a file of a megabyte. Here only plain files and folders are read, names up to
a limit, and everything else is refused. The layout is that of POSIX.1-2001 (pax) and GNU tar's manual.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

_BLOCK: Final = 512
_CHUNK: Final = 1 << 20
#: Largest extended header or long name.
MAX_EXTRA_BYTES: Final = 64 << 10
#: How many of them an archive may hold; bounds the time this takes.
MAX_EXTRAS: Final = 1_000
_PLAIN: Final = (b"0", b"\0", b"7")
_FOLDER: Final = b"5"
_OTHERS: Final = (b"1", b"2", b"3", b"4", b"6")


class Readable(Protocol):
    """What gives bytes, fewer than asked for only at its end."""

    def read(self, size: int = -1, /) -> bytes:
        """The next ones."""
        ...


class TarError(ValueError):
    """The archive is damaged, or holds what is not read here."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """One file or folder.

    Attributes:
        name: as written; it may point anywhere.
        size: bytes of content.
        folder: whether it is a folder.
    """

    name: str
    size: int
    folder: bool


class TarReader:
    """Members one after the other; the content of each has to be read, or is skipped, before the next.

    Args:
        stream: the archive, unpacked.
        names_only: links and devices are members without content, for who looks at names only.
    """

    def __init__(self, stream: Readable, *, names_only: bool = False) -> None:
        self._stream = stream
        self._kept = (*_PLAIN, *_OTHERS) if names_only else _PLAIN
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[TarMember]:
        """All of them.

        Raises:
            TarError: see there.
        """
        name, extras = "", 0
        while True:
            for _ in self.content():
                pass
            self._exactly(self._padding)
            self._padding = 0
            header = self._stream.read(_BLOCK)
            if not header or header.count(0) == _BLOCK:
                return
            kind, size = header[156:157], self._header(header)
            extras += kind in (b"x", b"L", b"g", b"K")
            if extras > MAX_EXTRAS:
                raise TarError(f"more than {MAX_EXTRAS} extended headers")
            if kind in (b"x", b"L"):
                name = self._extra(kind, size) or name
            elif kind in (b"g", b"K"):  # what holds for all, the target of a link: not looked at
                self._extra(kind, size)
            elif kind in self._kept or kind == _FOLDER:
                self._left, self._padding = (size, -size % _BLOCK) if kind in _PLAIN else (0, 0)
                yield TarMember(name or self._name(header), self._left, kind == _FOLDER)
                name = ""
            else:
                raise TarError(f"{(name or self._name(header))[:200]!r} is no plain file")

    def content(self) -> Iterator[bytes]:
        """What is left of the member's content, in pieces of at most 1 MB.

        Raises:
            TarError: it is cut off.
        """
        while self._left:
            piece = self._exactly(min(_CHUNK, self._left))
            self._left -= len(piece)
            yield piece

    def _header(self, header: bytes) -> int:
        """The size that a header states, if its checksum is right."""
        try:
            said = int(header[148:156].strip(b" \0") or b"0", 8)
            size = int(header[124:136].strip(b" \0") or b"0", 8)
        except ValueError:
            raise TarError("a header holds no number where one has to be") from None
        if len(header) != _BLOCK or said != sum(header[:148]) + 8 * 0x20 + sum(header[156:]) or size < 0:
            raise TarError("a header is damaged")
        return size

    def _extra(self, kind: bytes, size: int) -> str:
        """A long name; of an extended header the path, where it gives one."""
        if size > MAX_EXTRA_BYTES:
            raise TarError(f"a header of {size} bytes; at most {MAX_EXTRA_BYTES} are read")
        text = self._exactly(size)
        self._exactly(-size % _BLOCK)
        if kind == b"L":
            return text.rstrip(b"\0").decode(errors="replace")
        path = ""
        while text:
            length, _, _ = text.partition(b" ")
            if not (length.isdigit() and len(length) < 7 and len(length) + 1 < int(length) <= len(text)):
                raise TarError("an extended header is damaged")
            key, _, value = text[len(length) + 1 : int(length) - 1].partition(b"=")
            if key == b"size" or key.startswith(b"GNU.sparse"):
                raise TarError("a file that is sparse, or larger than its header can say")
            if key == b"path":
                path = value.decode(errors="replace")
            text = text[int(length) :]
        return path

    @staticmethod
    def _name(header: bytes) -> str:
        prefix = header[345:500].split(b"\0")[0] if header[257:263] == b"ustar\0" else b""
        name = header[:100].split(b"\0")[0]
        return (prefix + b"/" + name if prefix else name).decode(errors="replace")

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size) if size else b""
        if len(data) != size:
            raise TarError("it is cut off")
        return data
