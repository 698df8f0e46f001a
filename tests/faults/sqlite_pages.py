"""Which page of an undamaged SQLite file holds what (https://www.sqlite.org/fileformat2.html, section 1.6)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = 4096
_INTERIOR: Final = (0x02, 0x05)
_TABLE_LEAF: Final = 0x0D


@dataclass(frozen=True)
class Tree:
    """The pages of one table or index, numbered from 0.

    Attributes:
        leaves: page → row ids (of a table with row ids; else none).
    """

    root: int
    interior: tuple[int, ...]
    leaves: dict[int, tuple[int, ...]]


def trees(path: Path) -> dict[str, Tree]:
    """Every table and index by name; the file has no log beside it."""
    content = path.read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        roots = connection.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0").fetchall()
    found = {}
    for name, root in roots:
        interior: list[int] = []
        leaves: dict[int, tuple[int, ...]] = {}
        _walk(content, root - 1, interior, leaves)
        found[str(name)] = Tree(root - 1, tuple(interior), leaves)
    return found


def _walk(content: bytes, page: int, interior: list[int], leaves: dict[int, tuple[int, ...]]) -> None:
    begin = page * PAGE
    head = begin + (100 if page == 0 else 0)
    kind = content[head]
    if kind not in _INTERIOR:
        leaves[page] = tuple(_row_ids(content, begin, head)) if kind == _TABLE_LEAF else ()
        return
    interior.append(page)
    for cell in _cells(content, begin, head, 12):
        _walk(content, int.from_bytes(content[cell : cell + 4], "big") - 1, interior, leaves)
    _walk(content, int.from_bytes(content[head + 8 : head + 12], "big") - 1, interior, leaves)


def _row_ids(content: bytes, begin: int, head: int) -> Iterator[int]:
    for cell in _cells(content, begin, head, 8):
        _size, at = _varint(content, cell)
        yield _varint(content, at)[0]


def _cells(content: bytes, begin: int, head: int, header: int) -> Iterator[int]:
    count = int.from_bytes(content[head + 3 : head + 5], "big")
    for number in range(count):
        at = head + header + 2 * number
        yield begin + int.from_bytes(content[at : at + 2], "big")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for number in range(8):
        byte = content[at + number]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + number + 1
    return value << 8 | content[at + 8], at + 9
