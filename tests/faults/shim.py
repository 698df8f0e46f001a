"""The library that is preloaded to bend the clock, to slow the disk and to record what is written: ``shim.c``."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).with_name("shim.c")


def build(folder: Path) -> Path:
    """Compile it; the test is skipped where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler, for the library that bends the clock")
    library = folder / "shim.so"
    subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"], check=True
    )
    return library


class Knob:
    """A number that a program under test sees at once.

    Args:
        path: of the file behind it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(8))

    def set(self, value: int) -> None:
        """Turn it: nanoseconds of the clock, or microseconds of a flush."""
        with self.path.open("r+b") as file:
            file.write(struct.pack("q", value))


def environment(
    library: Path, *, clock: Knob | None = None, sync: Knob | None = None, record: tuple[Path, Path] | None = None
) -> dict[str, str]:
    """The environment of a program under test.

    Args:
        record: folder to watch, and the file of what was written.
    """
    found = {**os.environ, "LD_PRELOAD": str(library)}
    if clock is not None:
        found["VEDETTE_SHIM_CLOCK"] = str(clock.path)
    if sync is not None:
        found["VEDETTE_SHIM_SYNC"] = str(sync.path)
    if record is not None:
        found["VEDETTE_SHIM_FOLDER"], found["VEDETTE_SHIM_RECORD"] = map(str, record)
    return found
