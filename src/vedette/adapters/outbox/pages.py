"""Rows of a SQLite file read off its pages, where the tree above them cannot be followed any more.

Format: https://www.sqlite.org/fileformat2.html, sections 1.5 to 2.1. Only leaves of tables with row ids are read, and
nothing is believed: whatever does not decode is left out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

PAGE: Final = 4096
#: Pages read between two signs of life.
STEP: Final = 64
_LEAF: Final = 0x0D
_HEADER: Final = 100
_MAX_COLUMNS: Final = 64
_MAX_LOCAL: Final = PAGE - 35
_MIN_LOCAL: Final = (PAGE - 12) * 32 // 255 - 23
#: Bytes of the integers of serial types 1 to 6.
_INTEGERS: Final = (1, 2, 3, 4, 6, 8)


def rows(path: Path, columns: int, alive: Callable[[], None] = lambda: None) -> Iterator[tuple[Any, ...]]:
    """Rows with so many columns of every table, the row id in place of the first column.

    Pages on the list of free ones hold what was deleted and are left out, where that list can be read.

    Args:
        path: a file with pages of 4096 bytes; its log has been carried over into it.
        columns: how many a row must have.
        alive: called for every ``STEP`` pages.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        pages = path.stat().st_size // PAGE
        free = _free_pages(file, pages)
        for number in range(1, pages + 1):
            if number % STEP == 0:
                alive()
            if number in free:
                continue
            page = _page(file, number)
            for cell in _cells(page, _HEADER if number == 1 else 0):
                row = _row(file, pages, page, cell)
                if row is not None and len(row) == columns:
                    yield row


def _page(file: Any, number: int) -> bytes:
    file.seek((number - 1) * PAGE)
    return bytes(file.read(PAGE))


def _free_pages(file: Any, pages: int) -> set[int]:
    """Page numbers of the free list, as far as it makes sense."""
    found: set[int] = set()
    trunk = int.from_bytes(_page(file, 1)[32:36], "big")
    while 1 < trunk <= pages and trunk not in found:
        found.add(trunk)
        page = _page(file, trunk)
        trunk, count = struct.unpack_from(">II", page)
        if count > PAGE // 4 - 2:
            break
        found |= {leaf for leaf in struct.unpack_from(f">{count}I", page, 8) if 1 < leaf <= pages}
    return found


def _cells(page: bytes, head: int) -> Iterator[int]:
    """Where the cells of a leaf begin."""
    if len(page) < PAGE or page[head] != _LEAF:
        return
    count = int.from_bytes(page[head + 3 : head + 5], "big")
    first = head + 8
    if first + 2 * count > PAGE:
        return
    for (cell,) in struct.iter_unpack(">H", page[first : first + 2 * count]):
        if first + 2 * count <= cell < PAGE:
            yield cell


def _row(file: Any, pages: int, page: bytes, cell: int) -> tuple[Any, ...] | None:
    try:
        size, at = _varint(page, cell)
        row_id, at = _varint(page, at)
        local = size
        if size > _MAX_LOCAL:
            local = _MIN_LOCAL + (size - _MIN_LOCAL) % (PAGE - 4)
            local = local if local <= _MAX_LOCAL else _MIN_LOCAL
        payload = page[at : at + local]
        if size > local:
            payload += _overflow(file, pages, int.from_bytes(page[at + local : at + local + 4], "big"), size - local)
        if len(payload) != size:
            return None
        values = _record(payload)
    except (IndexError, ValueError, struct.error):
        return None
    return (row_id, *values[1:]) if values and values[0] is None else None


def _overflow(file: Any, pages: int, number: int, size: int) -> bytes:
    """What did not fit into the leaf; shorter where the chain is broken."""
    found = bytearray()
    while len(found) < size and 1 < number <= pages:
        page = _page(file, number)
        found += page[4 : 4 + size - len(found)]
        number = int.from_bytes(page[:4], "big")
    return bytes(found)


def _record(payload: bytes) -> list[Any]:
    """Values of a record.

    Raises:
        ValueError, IndexError, struct.error: it is none.
    """
    head, at = _varint(payload, 0)
    types = []
    while at < head:
        kind, at = _varint(payload, at)
        types.append(kind)
        if len(types) > _MAX_COLUMNS:
            raise ValueError("too many columns")
    values: list[Any] = []
    at = head
    for kind in types:
        size = _size(kind)
        part = payload[at : at + size]
        if len(part) != size:
            raise ValueError("a record that is cut short")
        values.append(_value(kind, part))
        at += size
    if at != len(payload):
        raise ValueError("a record of another length")
    return values


def _size(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    if 1 <= kind <= 6:
        return _INTEGERS[kind - 1]
    if kind in (10, 11):
        raise ValueError("a type of no record")
    return 8 if kind == 7 else 0


def _value(kind: int, part: bytes) -> Any:
    if kind >= 12:
        return part if kind % 2 == 0 else part.decode()
    if kind == 7:
        return struct.unpack(">d", part)[0]
    if kind in (8, 9):
        return kind - 8
    return int.from_bytes(part, "big", signed=True) if kind else None


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for number in range(8):
        byte = content[at + number]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + number + 1
    return value << 8 | content[at + 8], at + 9
