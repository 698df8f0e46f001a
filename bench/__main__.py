"""``make bench``: CPU seconds per analysed picture, the whole system beside the bare floor, interleaved in one run.

The floor (``bench.floor``) decodes every picture, letterboxes and analyses the chosen ones, and does nothing else. The
system is everything that runs on a device: the components' supervisors and children, over RTSP from a simulated
camera in a process of its own. LocalCore stands for the nucleus and is not counted; the simulator is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.processes import cpu_s, descendants, pss_mb
from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore
from vedette.cli.demo import FOOTAGE, MODEL
from vedette.cli.run import with_resolved_models
from vedette.contracts.manifest import Manifest
from vedette.local.camera_arguments import parse_camera_arguments
from vedette.local.core import LocalMessage
from vedette.local.data import data_directory
from vedette.local.edge import Edge, EdgeSettings, RunApplication
from vedette.local.simulated import SimulatedCameras

FPS = 5.0
WARM_UP_S = 6.0


@dataclass(frozen=True)
class Row:
    """One measurement of the system."""

    cpu_ms_per_analysed: float
    analysed: int
    pss_mb: float
    cpu_percent_per_camera: float


def main() -> int:
    """Run the rounds, print the ratio, write ``bench/REPORT.md`` where asked."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("VEDETTE_DATA", "../shared/data")))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--report", type=Path, help="write the figures to this file (Markdown)")
    arguments = parser.parse_args()
    if not (arguments.data / "videos").is_dir():
        print(f"bench needs the footage folder; none at {arguments.data} (set VEDETTE_DATA)", file=sys.stderr)
        return 2
    video = arguments.data / "videos" / FOOTAGE["hall"]
    model = arguments.data / "models" / MODEL
    floors: list[float] = []
    rows: list[Row] = []
    for number in range(arguments.rounds):
        floors.append(_floor(video, model, arguments.seconds * arguments.cameras))
        rows.append(_system(video, model, arguments.cameras, arguments.seconds))
        print(
            f"round {number + 1}: floor {floors[-1]:.2f} ms, system {rows[-1].cpu_ms_per_analysed:.2f} ms per analysed "
            f"picture, ratio {rows[-1].cpu_ms_per_analysed / floors[-1]:.3f} ({rows[-1].analysed} pictures)",
            flush=True,
        )
    text = _report(floors, rows, arguments.cameras, arguments.seconds)
    print(text)
    if arguments.report is not None:
        arguments.report.write_text(text)
    return 0


def _floor(video: Path, model: Path, media_s: float) -> float:
    command = [sys.executable, "-m", "bench.floor", str(video), str(model), str(FPS), str(media_s)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(json.loads(output)["cpu_ms_per_analysed"])


def _system(video: Path, model: Path, cameras: int, seconds: float) -> Row:
    with tempfile.TemporaryDirectory(prefix="vb") as folder:
        root = Path(folder)
        store = ModelStore(root / "models")
        store.add_file(model)
        path = data_directory("examples") / "people_flow" / "vedette.yaml"
        manifest: Manifest = with_resolved_models(load_manifest(path), path.parent, store)
        files = {f"hall{n}": video for n in range(cameras)}
        with SimulatedCameras(files, log_file=root / "simulator.log") as simulated:
            bound = parse_camera_arguments(manifest, [f"hall={url}" for url in simulated.urls.values()])
            settings = EdgeSettings(
                applications=(RunApplication(manifest, bound.bindings),),
                cameras=bound.cameras,
                root=root / "run",
                alerts_file=root / "alerts.jsonl",
            )
            with Edge(settings) as edge:
                return _measure(edge, cameras, seconds)


def _measure(edge: Edge, cameras: int, seconds: float) -> Row:
    analysed: dict[str, int] = {}

    def listen(message: LocalMessage) -> None:
        if message.topic.startswith("vedette/inference/"):
            for name, figures in message.json().get("cameras", {}).items():
                analysed[name] = int(figures.get("analysed", 0))

    edge.core.subscribe_local("vedette/#", listen)
    limit_s = time.monotonic() + 60.0
    while len([n for n in analysed.values() if n > 0]) < cameras:
        if time.monotonic() > limit_s:
            raise SystemExit(f"only {len(analysed)} of {cameras} cameras were analysed within a minute")
        time.sleep(0.2)
    time.sleep(WARM_UP_S)
    pids = {status.pid for status in edge.core.states().values() if status.pid}
    before_n, before_s, began_s = sum(analysed.values()), cpu_s(descendants(pids)), time.monotonic()
    time.sleep(seconds)
    after_n, after_s = sum(analysed.values()), cpu_s(descendants(pids))
    elapsed_s = time.monotonic() - began_s
    used_s, count = after_s - before_s, max(1, after_n - before_n)
    return Row(1000 * used_s / count, count, pss_mb(descendants(pids)), 100 * used_s / elapsed_s / cameras)


def _report(floors: list[float], rows: list[Row], cameras: int, seconds: float) -> str:
    ratios = [row.cpu_ms_per_analysed / floor for row, floor in zip(rows, floors, strict=True)]
    system = [row.cpu_ms_per_analysed for row in rows]
    return "\n".join(
        (
            "# CPU per analysed picture",
            "",
            f"`make bench` · {cameras} × RTSP H.264 768×432, 10 fps with B-frames, GOP 1 s, {FPS:g} analysed fps · "
            f"YOLOX-nano 416 · {len(rows)} rounds of {seconds:g} s · {os.cpu_count()} cores, {platform.machine()}, "
            f"Python {platform.python_version()}",
            "",
            "| what | median | min | max |",
            "|---|---|---|---|",
            _line("bare floor, ms CPU per analysed picture", floors),
            _line("whole system, ms CPU per analysed picture", system),
            _line("ratio, pair by pair", ratios, 3),
            _line("per cent of a core per camera", [row.cpu_percent_per_camera for row in rows], 1),
            _line("memory of all components, MB PSS", [row.pss_mb for row in rows], 0),
            "",
        )
    )


def _line(name: str, values: list[float], digits: int = 2) -> str:
    return f"| {name} | {statistics.median(values):.{digits}f} | {min(values):.{digits}f} | {max(values):.{digits}f} |"


if __name__ == "__main__":
    sys.exit(main())
