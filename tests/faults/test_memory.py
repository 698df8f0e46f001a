"""R11: what reconnects, pictures and alerts cost in memory, counted by the cycle."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Final

import pytest

from bench.slopes import Slope
from tests.capture.conftest import clip, component_path, make_rig
from tests.capture.rig import Rig
from tests.faults import scorecard
from tests.faults.memory import KB_PER_MB, Sample, held_kb, per_cycles, sees
from tests.faults.memory_program import WARM_UP
from tests.faults.scorecard import Anchor, Control, Row
from vedette.testing.camera import CameraSimulator, CameraSource
from vedette.testing.synthetic import make_clip

__all__ = ["clip", "component_path", "make_rig"]

pytestmark = [pytest.mark.processes]

MakeRig = Callable[..., Rig]
GOAL_MB: Final = 1.0
CAMERAS: Final = 4
#: Bytes kept of each cycle on purpose: of a connection, of a picture, of an alert.
LEAKS: Final = {"reconnects": 16_384, "pictures": 64, "alerts": 256}
#: A ``bytes`` object is so much larger than what it holds.
OBJECT_BYTES: Final = sys.getsizeof(b"")
#: How long the camera is away each time.
AWAY_S: Final = 0.03


def reconnects(make_rig: MakeRig, simulator: CameraSimulator, seconds: float, leak: int = 0) -> list[Sample]:
    """Cameras that lose their connection again and again; what their capture processes hold together."""
    program = ("-m", "tests.faults.leaking_camera", str(leak)) if leak else ("-m", "camera_ingest.camera")
    rigs = {name: make_rig(simulator.url(name), fps=25, program=program) for name in _names()}
    for rig in rigs.values():
        rig.until_frame_after(time.monotonic())
    pids, counts, samples = [rig.pid for rig in rigs.values()], dict.fromkeys(rigs, 0), list[Sample]()
    until_s, stop = time.monotonic() + seconds, threading.Event()

    def lose(name: str, rig: Rig) -> None:
        while not stop.is_set():
            rig.reconnect(lambda: simulator.camera(name).fault("cut", seconds=AWAY_S))
            counts[name] += 1

    threads = [threading.Thread(target=lose, args=each) for each in rigs.items()]
    for thread in threads:
        thread.start()
    while time.monotonic() < until_s and all(thread.is_alive() for thread in threads):
        samples.append(Sample(sum(counts.values()), held_kb(pids)))
        time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()
    assert [rig.pid for rig in rigs.values()] == pids, "a process was replaced"
    assert not any(rig.exits for rig in rigs.values())
    for rig in rigs.values():
        rig.close()
    return samples


def of_program(kind: str, folder: Path, cycles: int, seconds: float, leak: int = 0) -> list[Sample]:
    """What the program says that does so many cycles."""
    folder.mkdir()
    command = [sys.executable, "-m", "tests.faults.memory_program", kind, *map(str, (folder, cycles, seconds, leak))]
    paths = os.pathsep.join(("src", "components", "."))
    environment = {**os.environ, "PYTHONPATH": paths}
    with Popen(command, stdout=PIPE, text=True, cwd=scorecard.REPOSITORY, env=environment) as program:
        assert program.stdout is not None
        samples = [Sample(*map(int, line.split())) for line in program.stdout]
    assert program.returncode == 0
    return samples


def row(
    kind: str,
    cycles: int,
    samples: Sequence[Sample],
    controls: Sequence[Sample],
    *,
    unit: str,
    how: str,
    least: int,
    anchors: tuple[Anchor, ...] = (),
) -> Row:
    """The figure: the upper end of the interval, per so many cycles."""
    slope, control = per_cycles(samples, cycles), per_cycles(controls, cycles)
    leaked_mb = (LEAKS[kind] + OBJECT_BYTES) * cycles / KB_PER_MB**2
    seen, n = sees(control, leaked_mb, GOAL_MB), samples[-1].cycles
    enough = n >= least or scorecard.profile() == "quick"
    return Row(
        f"R11-{kind}",
        f"memory per {unit}, upper end at 95 %",
        round(slope.high, 3),
        "MB",
        n,
        f"<= {GOAL_MB:g} MB of >= {least:,}",
        passed=slope.high <= GOAL_MB and seen and enough,
        control=Control(
            f"{LEAKS[kind]:,} bytes kept of each on purpose, {leaked_mb:.3g} MB", round(control.median, 3), seen
        ),
        anchors=anchors,
        notes=f"{how} Slope of Theil and Sen {_said(slope)} MB, the first quarter left out; the control {_said(control)}. "
        f"{samples[0].kb / KB_PER_MB:.1f} MB at first, {samples[-1].kb / KB_PER_MB:.1f} MB in the end, anonymous and shared "
        "memory; pages of files are not counted.",
    )


def _said(slope: Slope) -> str:
    return f"{slope.median:.3g} ({slope.low:.3g} to {slope.high:.3g})"


def _names() -> list[str]:
    return [f"cam{number}" for number in range(CAMERAS)]


def test_r11_reconnects(make_rig: MakeRig, tmp_path: Path) -> None:
    begun_s = time.monotonic()
    small = tmp_path / "small.mp4"
    small.write_bytes(make_clip(frames=50, gop=5, width=160, height=96))
    sources = [CameraSource(small, name=name) for name in _names()]
    with CameraSimulator(sources, "127.0.0.1", port=0) as simulator:
        control = reconnects(make_rig, simulator, scorecard.size(quick=12.0, full=30.0), LEAKS["reconnects"])
        samples = reconnects(make_rig, simulator, scorecard.size(quick=25.0, full=120.0))
    found = row(
        "reconnects",
        1_000,
        samples,
        control,
        unit="1,000 reconnects",
        how=f"{CAMERAS} real capture processes, each cut off again as soon as its first picture was read.",
        least=2_000,
        anchors=(Anchor("PyAV opened and closed by itself", "1.3 to 6.2 MB per 1,000", "measured"),),
    )
    scorecard.record(found, time.monotonic() - begun_s)
    assert found.passed, found


def test_r11_pictures(short_tmp: Path) -> None:
    begun_s = time.monotonic()
    # What is kept grows ever more slowly for some 200,000 pictures: pages of the heap that are not filled evenly.
    cycles, seconds = scorecard.size(quick=(10**7, 25.0), full=(450_000, 1_500.0))
    control = of_program("pictures", short_tmp / "control", cycles, min(30.0, seconds / 5), LEAKS["pictures"])
    samples = of_program("pictures", short_tmp / "ours", cycles, seconds)
    found = row(
        "pictures",
        1_000_000,
        samples,
        control,
        unit="1 M pictures",
        how="Ring, model, tracker, journal with its trimming, rules, outbox and delivery in one process, tiny pictures, "
        "every 200th a new visitor who raises an alert; scaled to 1 M. Counted after "
        f"{WARM_UP['alerts']:,} alerts and {WARM_UP['pictures']:,} pictures, when caches of SQLite and of the JSON reader are full.",
        least=300_000,
    )
    scorecard.record(found, time.monotonic() - begun_s)
    assert found.passed, found


def test_r11_alerts(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    cycles = scorecard.size(quick=20_000, full=101_000)
    control = of_program("alerts", tmp_path / "control", cycles // 4, 300.0, LEAKS["alerts"])
    samples = of_program("alerts", tmp_path / "ours", cycles, 300.0)
    found = row(
        "alerts",
        100_000,
        samples,
        control,
        unit="100 k alerts",
        how="600 B each through a real outbox and its delivery; the receiver is in the process and saw each once, in "
        f"order. Counted after {WARM_UP['alerts']:,}, when caches of SQLite and of the JSON reader are full.",
        least=100_000,
    )
    scorecard.record(found, time.monotonic() - begun_s)
    assert found.passed, found
