"""A disk whose power can be cut: ext4 on a file, shut down by ``EXT4_IOC_SHUTDOWN`` without writing its log.

What the file system had sent to the disk with a flush is there afterwards, what it held back is not. This emulates a
disk that honours flushes: no cache that lies, no torn sectors (those are in ``crash_states``).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

#: _IOR('X', 125, __u32) of the kernel's include/uapi/linux/ext4.h, and its flag for "do not write the log first".
EXT4_IOC_SHUTDOWN: Final = 0x8004587D
NOLOGFLUSH: Final = 2
#: Nothing is written for minutes but what somebody waits for: the worst case.
OPTIONS: Final = "commit=300,data=ordered,noatime"
SIZE_BYTES: Final = 96 << 20


class Disk:
    """A loop device with a file system on it.

    Args:
        folder: where image and mount point are made.

    Raises:
        OSError: no loop device, no ext4, or not allowed.
    """

    def __init__(self, folder: Path) -> None:
        self.mount_point = folder / "disk"
        self.mount_point.mkdir()
        image = folder / "disk.image"
        image.write_bytes(b"")
        os.truncate(image, SIZE_BYTES)
        extended = "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
        _run("mkfs.ext4", "-q", "-F", "-E", extended, str(image))
        self._device = _run("losetup", "--find", "--show", str(image)).strip()
        self._mounted = False

    def mount(self) -> Path:
        """Attach it, as at power on."""
        _run("mount", "-o", OPTIONS, self._device, str(self.mount_point))
        self._mounted = True
        return self.mount_point

    def cut(self) -> None:
        """Nothing reaches the disk from now on."""
        descriptor = os.open(self.mount_point, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(descriptor)

    def unmount(self) -> None:
        """Detach it; whoever used it has ended."""
        _run("umount", str(self.mount_point))
        self._mounted = False
        gone = Path("/sys/fs/ext4") / Path(self._device).name
        limit_s = time.monotonic() + 10
        while gone.exists() and time.monotonic() < limit_s:
            time.sleep(0.002)

    def close(self) -> None:
        """Give the loop device back."""
        if self._mounted:
            subprocess.run(["umount", "-l", str(self.mount_point)], capture_output=True)
        subprocess.run(["losetup", "--detach", self._device], capture_output=True)


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """A disk for one test, which is skipped where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("power cuts need root, for a loop-mounted ext4")
    try:
        made = Disk(folder)
    except OSError as error:
        pytest.skip(f"power cuts need a loop-mounted ext4: {error}")
    with contextlib.closing(made):
        yield made


@contextmanager
def small_file_system(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs such as ``size=1m``; the test is skipped where none can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("a small file system needs root")
    folder.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    except OSError as error:
        pytest.skip(f"a small file system cannot be mounted: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def remount(folder: Path, options: str) -> None:
    """Change a mounted file system, such as to ``ro``."""
    _run("mount", "-o", f"remount,{options}", str(folder))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout
