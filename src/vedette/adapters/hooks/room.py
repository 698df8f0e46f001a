"""Whether a hook's process takes more of the disk than it may: in its directory, or where no directory shows it.

A file that was removed but is still open, or mapped, takes room that belongs to no name. Nobody without privileges can
see whose it is. So where the disk has lost much room, the process is ended, and whether the room comes back tells.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Final

from vedette.adapters.hooks.directory import DataDirectory

#: The directory is measured no more often than this, and takes no more than this share of the time.
MEASURE_S: Final = 0.03
_SHARE: Final = 1 / 20
#: How much of what was free may be gone before somebody is suspected; the limit of the directory where that is more.
SUSPECT_SHARE: Final = 0.25
#: Some file systems give room back a little later.
_COMES_BACK_S: Final = 1.0


class Finding(Enum):
    """What a look found."""

    NOTHING = "nothing"
    FULL = "the directory is full"
    SUSPECT = "the disk lost more than the directory shows"


class Room:
    """One process's use of the disk, from its start on.

    Args:
        directory: its own.
        free: bytes that are free on the disk of a path.
        monotonic: clock.
    """

    def __init__(
        self,
        directory: DataDirectory,
        free: Callable[[Path], int] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._free = free or free_bytes
        self._monotonic = monotonic
        self._used_at_start = directory.used_bytes()
        self._free_at_start = self._free(directory.path)
        self._next_s = monotonic()
        self.full_at_start = self._used_at_start > directory.limit_bytes

    def look(self) -> Finding:
        """Measure, where it is time to. A directory that was full from the start cannot be written to."""
        begun_s = self._monotonic()
        if self.full_at_start or begun_s < self._next_s:
            return Finding.NOTHING
        used = self._directory.used_bytes()
        lost = self.lost_bytes() - (used - self._used_at_start)
        ended_s = self._monotonic()
        self._next_s = ended_s + max(MEASURE_S, (ended_s - begun_s) / _SHARE)
        if used > self._directory.limit_bytes:
            return Finding.FULL
        bound = max(self._directory.limit_bytes, SUSPECT_SHARE * self._free_at_start)
        return Finding.SUSPECT if lost > bound else Finding.NOTHING

    def lost_bytes(self) -> int:
        """Room of the disk that was free when the process started, and is not any more."""
        return self._free_at_start - self._free(self._directory.path)

    def came_back(self, lost_before: int) -> int:
        """Bytes that are free again now that the process has ended; waits a moment for them.

        Args:
            lost_before: ``lost_bytes()`` while it ran.
        """
        deadline_s = self._monotonic() + _COMES_BACK_S
        while True:
            back = lost_before - self.lost_bytes()
            if back > self._directory.limit_bytes or self._monotonic() >= deadline_s:
                return max(0, back)
            time.sleep(0.05)


def free_bytes(path: Path) -> int:
    """Bytes that anybody may still use on the disk of a path; more than any disk has where that cannot be told."""
    try:
        found = os.statvfs(path)
    except OSError:
        return 1 << 62
    return found.f_bavail * found.f_frsize
