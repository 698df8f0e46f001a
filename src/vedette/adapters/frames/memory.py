"""Anonymous shared memory that cannot be resized under its users: a sealed ``memfd``.

Nothing has a name, so nothing is left behind by ``kill -9``; the memory goes with its last descriptor and mapping.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Final

from vedette.contracts.errors import CameraError

# linux/fcntl.h; Python 3.11 names only some of them.
F_ADD_SEALS: Final = 1033
F_GET_SEALS: Final = 1034
F_SEAL_SEAL: Final = 0x0001
F_SEAL_SHRINK: Final = 0x0002
F_SEAL_GROW: Final = 0x0004
#: Mappings made after this one are read-only, whoever makes them (Linux 5.1).
F_SEAL_FUTURE_WRITE: Final = 0x0010
#: Without these a peer could truncate the memory, and the next access would end the process with SIGBUS.
NEEDED_SEALS: Final = F_SEAL_SHRINK | F_SEAL_GROW


def create(name: str, size: int, what: str, *, shared_writing: bool = False) -> tuple[int, mmap.mmap]:
    """Allocate ``size`` bytes; the descriptor to hand out and a writable mapping.

    Every page is allocated now: later there is nothing that could fail.

    Args:
        name: shown in ``/proc``, for people only.
        size: bytes.
        what: what it is for, with the numbers the size came from; used in the error message.
        shared_writing: whether who gets the descriptor may write, too.

    Raises:
        CameraError: V205, there is not enough memory.
    """
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.posix_fallocate(descriptor, 0, size)
        mapping = mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    except (OSError, ValueError) as error:
        os.close(descriptor)
        raise CameraError(
            f"no room for {what}: {size / 2**20:.1f} MiB of shared memory cannot be had ({error}).",
            hint="Use the camera's smaller stream, run fewer cameras on this device, or raise the memory limit.",
            code="V205",
        ) from error
    seals = NEEDED_SEALS | F_SEAL_SEAL
    if shared_writing:
        fcntl.fcntl(descriptor, F_ADD_SEALS, seals)
        return descriptor, mapping
    try:
        fcntl.fcntl(descriptor, F_ADD_SEALS, seals | F_SEAL_FUTURE_WRITE)
    except OSError:  # a kernel before 5.1: readers are trusted to map it read-only, as our client does
        fcntl.fcntl(descriptor, F_ADD_SEALS, seals)
    return descriptor, mapping


def attach(descriptor: int, size: int) -> mmap.mmap:
    """Map memory received from a store, read-only.

    Raises:
        CameraError: V205, the memory is not sealed or smaller than promised.
    """
    try:
        seals = fcntl.fcntl(descriptor, F_GET_SEALS)
        found = os.fstat(descriptor).st_size
        if seals & NEEDED_SEALS != NEEDED_SEALS or found < size:
            raise ValueError(f"{found} bytes with seals {seals:#x}; expected {size} bytes sealed against resizing")
        return mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ)
    except (OSError, ValueError) as error:
        raise CameraError(
            f"the memory offered on a frame socket cannot be used: {error}.",
            hint="Both processes must come from the same release; restart the components.",
            code="V205",
        ) from error
