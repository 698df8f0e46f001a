"""CPU time and memory of process trees, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def descendants(roots: Iterable[int]) -> set[int]:
    """The processes and all of their children, grandchildren, …"""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """User and system seconds, those of reaped children included."""
    return sum(sum(int(value) for value in fields[11:15]) * TICK_S for pid in pids if (fields := _stat(pid)))


def own_cpu_s(pid: int) -> float:
    """User and system seconds of one process, without those of reaped children."""
    return sum(int(value) for value in _stat(pid)[11:13]) * TICK_S


def pss_mb(pids: Iterable[int]) -> float:
    """Proportional set size in MB: shared pages are counted once, split among who shares them."""
    return sum(_rollup(pid, "Pss:") for pid in pids) / 1024


def written_mb(pids: Iterable[int]) -> float:
    """What each process has written to, in MB: pages that copies of one process share count in each that has them."""
    return sum(_rollup(pid, "Anonymous:") for pid in pids) / 1024


def started_s(pid: int) -> float:
    """When a process was started, monotonic seconds (to a hundredth); the machine has not been suspended since boot."""
    return int(_stat(pid)[19]) * TICK_S


def _rollup(pid: int, field: str) -> int:
    """A field of /proc/PID/smaps_rollup in KiB; 0 where the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(field))


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the command's name; empty where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
