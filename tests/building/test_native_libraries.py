"""Native code in what is built: data does not run, tables of addresses are closed at the start, any address will do."""

from __future__ import annotations

import struct
from typing import Final

import pytest

from tests.building.test_artefacts import wheels
from vedette.local.component_tree import Built

ELF: Final = b"\x7fELF"
#: Kinds of files and of segments, and a flag of segments, as in elf.h.
EXECUTABLE, SHARED = 2, 3
LOAD, STACK, RELRO = 1, 0x6474E551, 0x6474E552
RUNS, WRITABLE = 1, 2


def weaknesses(content: bytes) -> list[str]:
    """What a file of 64 bits, little endian, allows that it need not."""
    (kind,) = struct.unpack_from("<H", content, 16)
    (start,) = struct.unpack_from("<Q", content, 32)
    size, number = struct.unpack_from("<HH", content, 54)
    segments = [struct.unpack_from("<II", content, start + index * size) for index in range(number)]
    found = [] if kind == SHARED else ["runs at one address only"]
    if [flags & RUNS for kind_, flags in segments if kind_ == STACK] != [0]:
        found.append("its stack can be executed")
    if any(kind_ == LOAD and flags & RUNS and flags & WRITABLE for kind_, flags in segments):
        found.append("memory that can be written can be executed")
    if not any(kind_ == RELRO for kind_, _ in segments):
        found.append("its tables of addresses stay open")
    return found


def made(kind: int, *segments: tuple[int, int]) -> bytes:
    """The head of such a file."""
    head = ELF + b"\x02\x01" + bytes(10) + struct.pack("<HHIQQQIHHH", kind, 62, 1, 0, 64, 0, 0, 64, 56, len(segments))
    return head.ljust(64, b"\0") + b"".join(struct.pack("<II", *one).ljust(56, b"\0") for one in segments)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (made(SHARED, (LOAD, 5), (LOAD, 6), (STACK, 6), (RELRO, 4)), []),
        (made(SHARED, (LOAD, 5), (STACK, 7), (RELRO, 4)), ["its stack can be executed"]),
        (made(SHARED, (LOAD, 5), (RELRO, 4)), ["its stack can be executed"]),
        (made(SHARED, (LOAD, 7), (STACK, 6), (RELRO, 4)), ["memory that can be written can be executed"]),
        (made(SHARED, (LOAD, 5), (STACK, 6)), ["its tables of addresses stay open"]),
        (made(EXECUTABLE, (LOAD, 5), (STACK, 6), (RELRO, 4)), ["runs at one address only"]),
    ],
)
def test_what_is_weak_is_found(content: bytes, said: list[str]) -> None:
    assert weaknesses(content) == said


def test_native_libraries_are_hardened(built_components: tuple[Built, ...]) -> None:
    packed = {name: wheel for one in built_components for name, wheel in wheels(one.artifacts[0].path).items()}
    found: dict[str, list[str]] = {}
    for name, wheel in packed.items():
        for file in wheel.namelist():
            with wheel.open(file) as opened:
                if opened.read(4) == ELF:
                    found[f"{name}: {file}"] = weaknesses(ELF + opened.read())
    assert len(found) > 50
    assert {file: said for file, said in found.items() if said} == {}
