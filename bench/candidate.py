"""What a candidate costs, and what the running version notices: ``python -m bench.candidate`` (needs VEDETTE_DATA).

One run, in turns: alone, with a candidate that shares the running version's model, with one that has a model of its
own (another threshold). Of each turn: CPU of the running version's model, of all components together, age of a picture
when its objects were known, time from a picture to its alert.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.processes import cpu_s, descendants, pss_mb
from bench.system import arriving
from tests.conftest import shared_data_directory
from tests.edge.running import Watched, running, wait_until
from tests.edge.test_many_applications import Journal
from vedette.contracts.comparison import ComparisonPolicy, ComparisonTask
from vedette.contracts.manifest import Manifest
from vedette.local.edge import RunApplication
from vedette.local.simulated import SimulatedCameras

VIDEO: Final = "one-by-one-person-detection.mp4"
CAMERAS: Final = ("east", "west")
SETTLE_S: Final = 8.0
#: Its budget does not end within the run.
POLICY: Final = ComparisonPolicy(frames=100_000, timeout_s=86_400)
#: Turn → what the candidate has otherwise; None: there is none.
TURNS: Final[dict[str, dict[str, Any] | None]] = {
    "alone": None,
    "candidate with the same model": {},
    "candidate with another threshold": {"min_confidence": 0.2},
}


@dataclass
class Figures:
    """Of one kind of turn, all rounds."""

    model_cpu: list[float] = field(default_factory=list)
    all_cpu: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    age_s: list[float] = field(default_factory=list)
    alert_s: list[float] = field(default_factory=list)


def application(model: Path, version: str = "0.1.0", **settings: Any) -> Manifest:
    """Everybody who is seen anywhere gives an alert."""
    everywhere = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    return Manifest.model_validate(
        {
            "api": "vedette/v1",
            "name": "bench",
            "version": version,
            "cameras": {camera: {} for camera in CAMERAS},
            "models": {"objects": {"family": "yolox", "file": str(model), **settings}},
            "pipelines": {"main": {"model": "objects", "cameras": list(CAMERAS), "fps": 5, "labels": ["person"]}},
            "rules": {"seen": {"type": "zone_entered", "zone": everywhere, "cooldown_s": 0}},
        }
    )


def turn(watched: Watched, seconds: float, model_pids: frozenset[int], figures: Figures) -> None:
    """Measure for a while."""
    roots = [status.pid for status in watched.edge.core.states().values() if status.pid]
    everything = descendants(roots)
    before, model_before, begun_s = cpu_s(everything), cpu_s(model_pids), time.time()
    with arriving(watched) as found:
        time.sleep(seconds)
    ended_s = time.time()
    figures.model_cpu.append((cpu_s(model_pids) - model_before) / (ended_s - begun_s))
    figures.all_cpu.append((cpu_s(everything) - before) / (ended_s - begun_s))
    figures.memory_mb.append(pss_mb(everything))
    figures.alert_s += [arrival.delay_s for arrival in found]
    figures.age_s += [
        batch.analysed_wall_s - batch.frame.wall_s
        for batch in Journal.of(watched).batches
        if batch.pipeline == "bench/main" and begun_s <= batch.frame.wall_s < ended_s
    ]


def main() -> None:
    """Print a line for each kind of turn."""
    parser = argparse.ArgumentParser(prog="python -m bench.candidate", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    data = shared_data_directory()
    video, model = data / "videos" / VIDEO, data / "models" / "yolox_nano.onnx"
    measured: dict[str, Figures] = defaultdict(Figures)
    with tempfile.TemporaryDirectory(prefix="vb", dir="/tmp") as folder:
        root = Path(folder)
        with (
            SimulatedCameras(dict.fromkeys(CAMERAS, video), log_file=root / "simulator.log") as simulated,
            running(application(model), simulated.urls, root / "run") as watched,
        ):
            watched.wait_streaming(set(CAMERAS))
            pids = frozenset(pid for pid in _models(watched))
            for number in range(arguments.rounds):
                for name, settings in TURNS.items():
                    if settings is not None:
                        candidate = RunApplication(application(model, f"0.2.{number}", **settings))
                        watched.edge.add_candidate(candidate, ComparisonTask(rollout_id="bench-0000", policy=POLICY))
                    time.sleep(SETTLE_S)
                    turn(watched, arguments.seconds, pids, measured[name])
                    if settings is not None:
                        watched.edge.remove_candidate("bench")
                        wait_until(lambda: _models(watched) == pids, 30, "the candidate's model has gone")
    print("turn | model, cores | all, cores | MB | age of objects p50, p99, ms | picture to alert p50, ms | alerts")
    for name, figures in measured.items():
        print(_line(name, figures))


def _models(watched: Watched) -> frozenset[int]:
    """Processes of models."""
    root = watched.edge.core.states()["vedette.Inference"].pid
    pids = descendants([root]) if root else set()
    return frozenset(pid for pid in pids if b"inference.model" in _command(pid))


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _line(name: str, figures: Figures) -> str:
    ages = sorted(figures.age_s)
    alerts = f"{1000 * statistics.median(figures.alert_s):.0f}" if figures.alert_s else "-"
    return (
        f"{name} | {statistics.mean(figures.model_cpu):.3f} | {statistics.mean(figures.all_cpu):.3f} | "
        f"{statistics.mean(figures.memory_mb):.0f} | {1000 * statistics.median(ages):.0f}, "
        f"{1000 * ages[int(0.99 * (len(ages) - 1))]:.0f} | {alerts} | {len(figures.alert_s)}"
    )


if __name__ == "__main__":
    main()
