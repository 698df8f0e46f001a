"""What the machine says of itself: disk, memory, load, temperature. Linux; what it does not say is left out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Final

from vedette.contracts.device_health import DiskHealth, MemoryHealth

_THERMAL: Final = Path("/sys/class/thermal")
_MEMORY: Final = Path("/proc/meminfo")
#: Sensors that are not there read as nonsense; nothing that computes is colder or hotter.
_PLAUSIBLE_C: Final = (-40.0, 150.0)


def machine_health(directory: Path, *, thermal: Path = _THERMAL, memory: Path = _MEMORY) -> dict[str, Any]:
    """Fields ``disk``, ``memory``, ``load`` and ``temperature_c`` of ``DeviceHealth``; None where unknown.

    Args:
        directory: whose file system counts.
        thermal: of the kernel's thermal zones.
        memory: of the kernel's figures about memory.
    """
    try:
        disk = shutil.disk_usage(directory)
    except OSError:
        disk = None
    return {
        "disk": DiskHealth(free_bytes=disk.free, total_bytes=disk.total) if disk and disk.total else None,
        "memory": memory_health(memory),
        "load": round(os.getloadavg()[0] / (os.cpu_count() or 1), 2),
        "temperature_c": _temperature(thermal),
    }


def memory_health(path: Path = _MEMORY) -> MemoryHealth | None:
    """Memory of the machine; None where the kernel does not say."""
    try:
        rows = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        available, total = (int(rows[name].split()[0]) * 1024 for name in ("MemAvailable", "MemTotal"))
    except (OSError, KeyError, ValueError, IndexError):
        return None
    return MemoryHealth(available_bytes=available, total_bytes=total) if total else None


def _temperature(folder: Path) -> float | None:
    found = []
    for zone in folder.glob("thermal_zone*/temp"):
        try:
            degrees = int(zone.read_text()) / 1000
        except (OSError, ValueError):  # a zone that is switched off refuses to be read
            continue
        if _PLAUSIBLE_C[0] < degrees < _PLAUSIBLE_C[1]:
            found.append(degrees)
    return round(max(found), 1) if found else None
