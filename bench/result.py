"""What a measurement says: figures with their spread, in a file for the report."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.faults.scorecard import revision

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results"
_LIBRARIES = ("onnxruntime", "av", "opencv-python-headless", "numpy")
#: What measurements write, from the root of the clone: it says nothing about what was measured.
_WRITTEN = ("bench/results", "bench/plots", "bench/REPORT.md")


@dataclass(frozen=True)
class Figure:
    """One quantity.

    Attributes:
        name: what it is; ``WHO: WHAT`` where a row has the same of several. Those of one unit, one of them a peer's or
            the floor's, are drawn as bars beside each other.
        unit: of the samples.
        samples: one for each round, or each object measured.
        target: what it should be, in words; empty for none.
        met: whether the median meets it, or what the target names instead; None where there is no target.
        peer: whether it is another program's figure, or the floor's.
    """

    name: str
    unit: str
    samples: tuple[float, ...]
    target: str = ""
    met: bool | None = None
    peer: bool = False

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.samples)


@dataclass(frozen=True)
class Series:
    """A curve of a plot: ``ys`` over ``xs``; series of one ``plot`` share axes."""

    plot: str
    name: str
    x_label: str
    y_label: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        id: name of the module in ``bench.rows``.
        title: for people.
        command: repeats it.
        method: what was done, with which streams, in which order.
        figures: what came of it.
        notes: what a reader has to know, such as why a target was missed.
        series: for plots.
    """

    id: str
    title: str
    command: str
    method: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    series: tuple[Series, ...] = ()


def at_most(name: str, unit: str, samples: list[float], limit: float) -> Figure:
    """A figure with an upper target."""
    return Figure(name, unit, tuple(samples), f"≤ {limit:g}", statistics.median(samples) <= limit)


def all_at_most(name: str, unit: str, samples: list[float], limit: float) -> Figure:
    """A figure of which not even the largest sample may be above the target."""
    return Figure(name, unit, tuple(samples), f"each ≤ {limit:g}", max(samples) <= limit)


def at_least(name: str, unit: str, samples: list[float], limit: float) -> Figure:
    """A figure with a lower target."""
    return Figure(name, unit, tuple(samples), f"≥ {limit:g}", statistics.median(samples) >= limit)


def number(value: float) -> str:
    """For people: three digits, or as many as there are before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def middle_round(samples: Sequence[float]) -> int:
    """Which round the median is of, the lower of two: the parts of one round add up, medians of parts do not."""
    return samples.index(statistics.median_low(samples))


def shares(parts: Mapping[str, float]) -> str:
    """The parts of a whole for a note, largest first."""
    ordered = sorted(parts.items(), key=lambda part: part[1], reverse=True)
    return ", ".join(f"{name} {number(value)}" for name, value in ordered)


def figure_line(figure: Figure) -> str:
    """A figure with its spread, its target and whether it was met, for a terminal."""
    verdict = {None: "", True: "  met", False: "  MISSED"}[figure.met]
    low, high = number(min(figure.samples)), number(max(figure.samples))
    spread = f" ({low} to {high})" if len(figure.samples) > 1 else ""
    return f"{figure.name}: {number(figure.median)} {figure.unit}{spread}  {figure.target}{verdict}"


def write(row: Row, seconds: float) -> Path:
    """Keep a row for the report, with the machine, the commit and the versions it was measured with."""
    RESULTS.mkdir(exist_ok=True)
    document: dict[str, Any] = {
        **asdict(row),
        "seconds": round(seconds, 1),
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "sha": revision(_WRITTEN),
        "machine": machine(),
        "versions": _versions(),
    }
    path = RESULTS / f"{row.id}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path


def read_all() -> list[dict[str, Any]]:
    """Every row that was kept, by its name."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]


def machine() -> str:
    """The machine in words."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = f"{line.partition(':')[2].strip()}, {model}"
            break
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{os.cpu_count()} × {model}, {pages / 2**30:.0f} GB, Linux {platform.release().split('-')[0]}"


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._begun_s = time.monotonic()

    @property
    def seconds(self) -> float:
        """So far."""
        return time.monotonic() - self._begun_s


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
