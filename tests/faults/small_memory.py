"""Makes a ring of pictures, and says what came of it: ``python -m … KIND WIDTH HEIGHT MIB`` (MIB left to map; 0: any)."""

from __future__ import annotations

import mmap
import os
import resource
import sys
import time
from pathlib import Path

from tests.engines.pictures import picture
from vedette.adapters.frames import FrameStoreClient, FrameStoreWriter
from vedette.contracts.errors import VedetteError
from vedette.contracts.frames import FrameInfo


def ring(folder: Path, width: int, height: int, left_mib: int) -> str:
    """A picture goes in; where the memory is not limited, it comes out again."""
    path = folder / f"{os.getpid()}.sock"
    store = FrameStoreWriter(path, "cam")
    shown = picture(width, height, (0, 0, 8, 8))
    info = FrameInfo("cam", "e", 0, 0.0, 0.0, time.time(), width, height)
    if left_mib:
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + (left_mib << 20), resource.RLIM_INFINITY))
        return "done" if store.publish(info, shown) else "nothing"
    with FrameStoreClient(path) as reader:
        store.publish(info, shown)
        lease = reader.latest()
        return "done" if lease is not None and bool((lease.pixels.y == shown.y).all()) else "nothing"


def named(width: int, height: int) -> str:
    """The usual way: a file in /dev/shm, made as large as it has to be, and written to."""
    descriptor = os.open(f"/dev/shm/vedette-{os.getpid()}", os.O_RDWR | os.O_CREAT)
    size = width * height * 6
    os.ftruncate(descriptor, size)
    with mmap.mmap(descriptor, size) as memory:
        memory[:] = bytes(size)
    return "done"


def main(kind: str, folder: str, width: str, height: str, left_mib: str) -> None:
    """One try."""
    try:
        size = int(width), int(height)
        print(ring(Path(folder), *size, int(left_mib)) if kind == "ring" else named(*size))
    except VedetteError as error:
        print(f"{error.code} {error.message}")


if __name__ == "__main__":
    main(*sys.argv[1:])
