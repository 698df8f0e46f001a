"""How much memory a cycle costs: slopes over counted cycles, not over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.slopes import Slope, theil_sen

#: Where a program has not yet had everything in its hands that it keeps.
WARM_UP_SHARE: Final = 0.25
#: Slopes between all pairs of so many samples are made in a second or two.
MOST_SAMPLES: Final = 600
KB_PER_MB: Final = 1024.0
_COUNTED: Final = ("Pss_Anon:", "Pss_Shmem:")


@dataclass(frozen=True)
class Sample:
    """What was held after so many cycles."""

    cycles: int
    kb: int


def held_kb(pids: Iterable[int | str]) -> int:
    """Memory that is a process' own and its part of what it shares, kB; pages of files are not counted.

    How many other programs have the same library open changes the share of pages of files, and says nothing of a leak.
    """
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(" ")
            if name in _COUNTED:
                total += int(rest.split()[0])
    return total


def peak_bytes() -> int:
    """This process' highest resident memory since the last call."""
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    Path("/proc/self/clear_refs").write_text("5")
    return int(peak) * 1024


def per_cycles(samples: Sequence[Sample], cycles: int) -> Slope:
    """MB per so many cycles, without the first quarter of them."""
    last = samples[-1].cycles
    kept = [sample for sample in samples if sample.cycles >= WARM_UP_SHARE * last]
    kept = kept[:: max(1, len(kept) // MOST_SAMPLES)]
    kb = theil_sen([sample.cycles for sample in kept], [sample.kb for sample in kept])
    return Slope(*(value * cycles / KB_PER_MB for value in (kb.low, kb.median, kb.high)))


def sees(control: Slope, leaked_mb: float, goal_mb: float) -> bool:
    """Whether the meter showed a leak of a known size, as far as it must, and as more than the goal allows."""
    return control.low > goal_mb and 0.5 * leaked_mb <= control.median <= 2.0 * leaked_mb
