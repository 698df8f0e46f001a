"""What a disk may hold after a crash, out of a record of what was written to it.

Whatever was written to a file before its last flush is there. Of what was written after it, any set of sectors may be
there and any other not, in whatever order; a new size may have come without its content. A file whose name was never
flushed with its directory may be missing (after ALICE: Pillai et al., "All File Systems Are Not Created Equal", 2014;
its abstract model without atomicity and without order between flushes).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SECTOR: Final = 512
_HEAD: Final = struct.Struct("<cHqI")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done to a file: W(rite), T(runcate), S(ync), U(nlink)."""

    kind: str
    name: str
    offset: int
    data: bytes


def read(record: Path, folder: Path) -> list[Step]:
    """The record of ``shim.c``; names are relative to the folder, ``.`` is the folder itself."""
    content = record.read_bytes()
    steps, at = [], 0
    while at < len(content):
        kind, chars, offset, length = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        path = Path(content[at : at + chars].decode())
        at += chars
        size = length if kind == b"W" else 0
        steps.append(Step(kind.decode(), str(path.relative_to(folder)), offset, content[at : at + size]))
        at += size
    return steps


@dataclass(slots=True)
class _File:
    """One file: what is surely on the disk, and what may be."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Step] = field(default_factory=list)
    named: bool = False


class Disk:
    """Follows the record, and says what may be found at any moment."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def take(self, step: Step) -> None:
        """One more thing was done."""
        if step.name == ".":
            for file in self._files.values():
                file.named = True
            return
        file = self._files.setdefault(step.name, _File())
        if step.kind == "S":
            for pending in file.pending:
                _apply(file.durable, pending)
            file.pending.clear()
        elif step.kind == "U":
            del self._files[step.name]
        else:
            file.pending.append(step)

    def state(self, chance: random.Random) -> dict[str, bytes]:
        """A state that a crash now may leave."""
        found = {}
        how = chance.choice(("none", "all", "prefix", "sectors", "sectors", "last"))
        for name, file in self._files.items():
            if not file.named and how != "all" and chance.random() < 0.5:
                continue
            content = bytearray(file.durable)
            for step in _chosen(file.pending, how, chance):
                _apply(content, step)
            found[name] = bytes(content)
        return found


def _chosen(pending: list[Step], how: str, chance: random.Random) -> Iterator[Step]:
    if how == "all":
        yield from pending
    elif how == "prefix":
        whole = chance.randint(0, len(pending))
        yield from pending[:whole]
        if whole < len(pending):  # the next one is torn
            sectors = list(_sectors(pending[whole]))
            yield from sectors[: chance.randint(0, len(sectors))]
    elif how == "last":
        yield from pending[-1:]
    elif how == "sectors":
        share = chance.random()
        kept = [one for step in pending for one in _sectors(step) if chance.random() < share]
        if chance.random() < 0.5:  # writes to one sector may also have been overtaken by earlier ones
            chance.shuffle(kept)
        yield from kept


def _sectors(step: Step) -> Iterator[Step]:
    """A write in the pieces that a disk writes whole."""
    if step.kind != "W":
        yield step
        return
    at = 0
    while at < len(step.data):
        size = SECTOR - (step.offset + at) % SECTOR
        yield Step("W", step.name, step.offset + at, step.data[at : at + size])
        at += size


def _apply(content: bytearray, step: Step) -> None:
    if step.kind == "T":
        del content[step.offset :]
        content.extend(bytes(step.offset - len(content)))
        return
    end = step.offset + len(step.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[step.offset : end] = step.data
