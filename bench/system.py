"""The whole edge side for the measurements: simulated cameras, LocalCore, the real components, and what they use.

LocalCore stands for the nucleus and is not counted; the simulator, which stands for cameras, is not counted.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import cpu_s, descendants, pss_mb
from tests.edge.running import Watched, running, wait_until
from tests.edge.test_many_applications import Journal
from vedette.contracts.alert import Alert
from vedette.contracts.manifest import Manifest
from vedette.contracts.tracks import TrackBatch
from vedette.local.simulated import SimulatedCameras

EVERYWHERE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
WARM_UP_S = 5.0


def application(
    model: Path, cameras: Sequence[str], fps: float, rules: Mapping[str, Any] | None = None, **pipeline: Any
) -> Manifest:
    """People on every camera; who comes into the picture is an alert, where no other rules are given."""
    seen = {"seen": {"type": "zone_entered", "zone": EVERYWHERE, "cooldown_s": 0}}
    return Manifest.model_validate(
        {
            "api": "vedette/v1",
            "name": "bench",
            "cameras": {camera: {} for camera in cameras},
            "models": {"objects": {"family": "yolox", "file": str(model), "min_confidence": 0.3}},
            "pipelines": {
                "main": {"model": "objects", "cameras": list(cameras), "fps": fps, "labels": ["person"], **pipeline}
            },
            "rules": seen if rules is None else dict(rules),
        }
    )


@dataclass(frozen=True)
class Stretch:
    """What happened in a stretch of time.

    Attributes:
        seconds: its length.
        cpu_by: seconds of processor of each component.
        core_cpu_s: of LocalCore, in this process, together with what measures.
        analysed: pictures, by camera.
        ages_s: of each analysed picture when its objects were known.
        pss_by: MB of each component at its end.
    """

    seconds: float
    cpu_by: Mapping[str, float]
    core_cpu_s: float
    analysed: Mapping[str, int]
    ages_s: tuple[float, ...]
    pss_by: Mapping[str, float]

    @property
    def cpu_s(self) -> float:
        """Processor time of all components."""
        return sum(self.cpu_by.values())

    @property
    def pss_mb(self) -> float:
        """Memory of all components."""
        return sum(self.pss_by.values())

    @property
    def pictures(self) -> int:
        """Of all cameras."""
        return sum(self.analysed.values())

    @property
    def cpu_ms_per_picture(self) -> float:
        """Processor time for an analysed picture."""
        return 1000 * self.cpu_s / max(1, self.pictures)

    def percent_per_camera(self, cameras: int) -> float:
        """Per cent of a core for each camera."""
        return 100 * self.cpu_s / self.seconds / cameras


@dataclass(frozen=True)
class Arrival:
    """An alert at its receiver.

    Attributes:
        at_s: wall clock when it was there.
        alert: what is there.
    """

    at_s: float
    alert: Alert

    @property
    def delay_s(self) -> float:
        """From the picture's time of capture to the receiver."""
        return self.at_s - self.alert.time.timestamp()


class System:
    """A running edge side.

    Attributes:
        watched: what it says.
    """

    def __init__(self, watched: Watched) -> None:
        self.watched = watched

    @property
    def pids(self) -> dict[str, set[int]]:
        """All processes of each component."""
        states = self.watched.edge.core.states()
        return {name: descendants([status.pid]) for name, status in states.items() if status.pid}

    def measure(self, seconds: float) -> Stretch:
        """Let it run for a while."""
        pids, begun_wall_s = self.pids, time.time()
        before, core_s, begun_s = _each(cpu_s, pids), time.process_time(), time.monotonic()
        time.sleep(seconds)
        pids, ended_wall_s = self.pids, time.time()
        after, core_s, elapsed_s = _each(cpu_s, pids), time.process_time() - core_s, time.monotonic() - begun_s
        used = {name: used_s - before.get(name, 0.0) for name, used_s in after.items()}
        memory = _each(pss_mb, pids)
        seen = self.batches(begun_wall_s, ended_wall_s)
        ages_s = tuple(batch.analysed_wall_s - batch.frame.wall_s for batch in seen)
        return Stretch(elapsed_s, used, core_s, Counter(batch.frame.camera for batch in seen), ages_s, memory)

    def batches(self, from_wall_s: float, to_wall_s: float = float("inf")) -> list[TrackBatch]:
        """What was analysed in a stretch of time."""
        found = Journal.of(self.watched).batches
        return [batch for batch in found if from_wall_s <= batch.analysed_wall_s < to_wall_s]

    def wait_analysed(self, cameras: set[str], timeout_s: float = 90.0) -> None:
        """Until each of the cameras was analysed."""
        wait_until(
            lambda: all(self.watched.analysed.get(name, 0) > 0 for name in cameras), timeout_s, "cameras analysed"
        )


def _each(measured: Callable[[set[int]], float], pids: Mapping[str, set[int]]) -> dict[str, float]:
    return {name: measured(own) for name, own in pids.items()}


@contextmanager
def simulated(files: Mapping[str, Path], **options: Any) -> Iterator[SimulatedCameras]:
    """Cameras that play files."""
    with (
        tempfile.TemporaryDirectory(prefix="vb", dir="/tmp") as folder,
        SimulatedCameras(files, log_file=Path(folder) / "simulator.log", **options) as cameras,
    ):
        yield cameras


@contextmanager
def system(
    manifest: Manifest | Sequence[Manifest], urls: Mapping[str, str], awaited: set[str] | None = None, **settings: Any
) -> Iterator[System]:
    """The edge side over cameras, warmed up."""
    with (
        tempfile.TemporaryDirectory(prefix="vb", dir="/tmp") as folder,
        running(manifest, urls, Path(folder) / "run", **settings) as watched,
    ):
        started = System(watched)
        started.wait_analysed(set(urls) if awaited is None else awaited)
        time.sleep(WARM_UP_S)
        yield started


def floor(video: Path, model: Path, fps: float, seconds: float, cameras: int = 0) -> dict[str, float]:
    """The bare floor, in a process of its own."""
    command = [sys.executable, "-m", "bench.floor", str(video), str(model), str(fps), str(seconds)]
    if cameras:
        command.append(str(cameras))
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of them lies; the median for 0.5."""
    if share == 0.5:
        return statistics.median(values)
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@contextmanager
def arriving(watched: Watched) -> Iterator[list[Arrival]]:
    """The alerts of the receiving file from now on; it is looked at every 2 ms."""
    path = watched.alerts_file
    found: list[Arrival] = []
    stop = threading.Event()
    begun = path.stat().st_size if path.exists() else 0

    def follow() -> None:
        position, pending = begun, b""
        while not stop.wait(0.002):
            if not path.exists() or path.stat().st_size == position:
                continue
            now_s = time.time()
            with path.open("rb") as file:
                file.seek(position)
                chunk = file.read()
            position += len(chunk)
            *lines, pending = (pending + chunk).split(b"\n")
            found.extend(Arrival(now_s, Alert.model_validate_json(line)) for line in lines)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()
