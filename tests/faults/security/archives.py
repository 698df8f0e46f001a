"""Archives that mean harm."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Final

NAMES: Final = (
    *("../escaped", "../../escaped", "a/../../escaped", "/tmp/vedette-escaped", "..\\escaped", "C:\\escaped"),
    *("./../escaped", "a/b/../../../escaped", "..", ".", "\\\\host\\share\\x", "//escaped", "a\x00/../escaped"),
)
LINKS: Final = ("../../../escaped", "/etc/passwd", "..", "/")
#: Above any limit of memory, tiny where it is packed.
MUCH: Final = 64 << 20


def corpus() -> Iterator[tuple[str, str, bytes]]:
    """(what reads it, name with its suffix, content)."""
    for number, name in enumerate(NAMES):
        yield "component", f"name{number}.zip", _zip({name: b"x"})
        yield "neo", f"name{number}.tar.gz", _tar([(_info(name), b"x")])
    for number, link in enumerate(LINKS):
        yield "component", f"link{number}.zip", _zip_link(link)
        for linked in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            yield "neo", f"link{number}{linked.decode()}.tar.gz", _tar(_link(link, linked))
    for name, special in (("pipe", tarfile.FIFOTYPE), ("device", tarfile.CHRTYPE), ("disk", tarfile.BLKTYPE)):
        yield "neo", f"{name}.tar.gz", _tar([(_info("compiled.so", special), b"")])
    for name, mode in (("pipe", stat.S_IFIFO), ("device", stat.S_IFCHR), ("socket", stat.S_IFSOCK)):
        yield "component", f"{name}.zip", _zip_mode(mode)
    yield from _bombs()
    yield from _lies()
    for name, kind in (("nested", "component"), ("cut", "component")):
        inside = _zip({"a.zip": _zip({"b": bytes(1 << 20)})})
        yield kind, f"{name}.zip", inside if name == "nested" else inside[: len(inside) // 2]


def _bombs() -> Iterator[tuple[str, str, bytes]]:
    zeros = bytes(MUCH)
    yield "component", "bomb.zip", _zip({"zeros": zeros})
    yield "component", "overlaps.zip", _overlaps(zeros[: 16 << 20], 200)
    many = _zip({f"{n}": b"" for n in range(66_000)})
    yield "component", "many.zip", many
    yield "neo", "many.tar.gz", _tar([(_info(f"{n}.so"), b"") for n in range(65_000)])
    yield "neo", "zeros.tar.gz", gzip.compress(zeros, 1)
    yield "neo", "card.tar.gz", _tar([(_info("model.yaml"), zeros)])
    for name, header in (("extended", b"x"), ("global", b"g"), ("long-name", b"L"), ("long-link", b"K")):
        for reader in ("neo", "project"):
            yield reader, f"{name}.tar.gz", _tar([(_info("x", header), zeros)])
    sparse = _sparse(60_000)
    for reader in ("neo", "project"):
        yield reader, "sparse.tar.gz", sparse
    yield "project", "many.zip", many
    yield "project", "bomb.tar.gz", _tar([(_info("saved_model.pb"), zeros)])


def _lies() -> Iterator[tuple[str, str, bytes]]:
    plain = _zip({"a": b"x" * 100})
    end = plain.rfind(b"PK\x05\x06")
    huge = bytearray(plain)
    struct.pack_into("<I", huge, end + 12, 0x7FFFFFFF)
    yield "component", "directory-size.zip", bytes(huge)
    hidden = bytearray(plain)
    hidden[end + 12 : end + 16] = b"PK\x05\x06"
    yield "component", "end-in-end.zip", bytes(hidden)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1 << 40, 1 << 40, 1 << 50, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    lying = plain[:end] + record + locator + plain[end:]
    yield "component", "zip64.zip", lying
    sized = bytearray(plain)
    struct.pack_into("<I", sized, plain.find(b"PK\x01\x02") + 24, 5)
    yield "component", "member-size.zip", bytes(sized)
    big = bytearray(_info("compiled.so").tobuf(tarfile.USTAR_FORMAT))
    big[124:136] = b"77777777777\0"
    big[148:156] = b"%06o\0 " % (sum(big[:148]) + 256 + sum(big[156:]))
    yield "neo", "size.tar.gz", gzip.compress(bytes(big))
    yield "neo", "twice.tar.gz", _tar([(_info("compiled.so"), b"a"), (_info("x/compiled.so"), b"b")])
    yield "component", "twice.zip", _zip_twice()
    yield "neo", "cut.tar.gz", _tar([(_info("compiled.so"), bytes(99_999))])[:60]
    yield "neo", "no-gzip.tar.gz", b"\x1f\x8b" + bytes(100)


def _info(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    return info


def _tar(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as zipped:
        for info, content in members:
            info.size = len(content)
            zipped.write(info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512))
        zipped.write(bytes(1024))
    return packed.getvalue()


def _link(target: str, kind: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    link = _info("compiled.so", kind)
    link.linkname = target
    return [(link, b""), (_info("compiled.so/escaped"), b"x"), (_info("compiled.so"), b"x")]


def _sparse(blocks: int) -> bytes:
    """A map of a sparse file that goes on and on (GNU tar, old format)."""
    head = bytearray(_info("compiled.so", b"S").tobuf(tarfile.GNU_FORMAT))
    head[482] = 1
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + 256 + sum(head[156:]))
    more = b"00000000001\0" * 42 + b"\x01" + bytes(7)
    return gzip.compress(bytes(head) + more * blocks, 1)


def _zip(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("x")
            info.filename = name  # as it is: the class would cut it at a NUL
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return made.getvalue()


def _zip_mode(kind: int, content: bytes = b"x") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        info = zipfile.ZipInfo("escaped")
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        archive.writestr(info, content)
        archive.writestr("escaped/x", b"x")
    return made.getvalue()


def _zip_link(target: str) -> bytes:
    return _zip_mode(stat.S_IFLNK, target.encode())


def _zip_twice() -> bytes:
    return _zip({"aaaa": b"a", "bbbb": b"b"}).replace(b"bbbb", b"aaaa")


def _overlaps(content: bytes, times: int) -> bytes:
    """Many members that share one content (after D. Fifield, A better zip bomb, WOOT 2019)."""
    plain = _zip({"aaaa": content})
    start, end = plain.find(b"PK\x01\x02"), plain.rfind(b"PK\x05\x06")
    entry = plain[start:end]
    entries = b"".join(entry.replace(b"aaaa", b"%04d" % number) for number in range(times))
    tail = bytearray(plain[end:])
    struct.pack_into("<HHI", tail, 8, times, times, len(entries))
    return plain[:start] + entries + bytes(tail)
