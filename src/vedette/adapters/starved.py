"""How long a process has waited for a processor: so long it could not have done anything.

Linux counts for each thread how long it was ready to run and did not (``/proc/PID/task/TID/schedstat``, the second of
three figures, nanoseconds; Documentation/scheduler/sched-stats.rst). A thread that hangs in a lock or in a call, or is
stopped, does not wait for a processor; one that an overloaded machine gives none does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: The longest that a limit is put off.
PATIENCE_S: Final = 30.0


def waits_s(pid: int) -> dict[int, float]:
    """Seconds that each thread of a process has waited for a processor; empty where the kernel does not count."""
    found: dict[int, float] = {}
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            words = Path(f"/proc/{pid}/task/{thread}/schedstat").read_bytes().split()
            found[int(thread)] = int(words[1]) / 1e9
        except (OSError, IndexError, ValueError):  # it has ended, or nobody counts here
            continue
    return found


def waited_s(pid: int, before: Mapping[int, float] | None = None) -> float:
    """Seconds for which that thread of a process waited that waited longest, no more than ``PATIENCE_S``.

    Args:
        pid: of the process.
        before: what ``waits_s`` said at some time: what came after it counts.
    """
    known = before or {}
    longest_s = max((seconds - known.get(thread, 0.0) for thread, seconds in waits_s(pid).items()), default=0.0)
    return min(PATIENCE_S, longest_s)


class Since:
    """This process from now on: what share of the time one of its threads waits for a processor."""

    def __init__(self) -> None:
        self._begun_s = time.monotonic()
        self._before = waits_s(os.getpid())

    @property
    def starved(self) -> bool:
        """Whether that was most of the time, for no longer than ``PATIENCE_S`` so far."""
        elapsed_s = time.monotonic() - self._begun_s
        return elapsed_s < PATIENCE_S and waited_s(os.getpid(), self._before) > elapsed_s / 2
