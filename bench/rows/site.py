"""The users' own case: four live 1080p cameras, five pictures a second each, one of them trouble."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.footage import MAIN, SUB, encoded, model
from bench.result import Figure, Row, at_most, middle_round, number, shares
from bench.system import Stretch, System, application, floor, simulated, system
from vedette.testing.camera import ControlClient

VIDEO = "car-detection.mp4"
NAMES = ("north", "east", "south", "west")
FPS = 5.0
STALL_S = 22.0
RULES = {"full": {"type": "zone_occupied", "zone": [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], "for_s": 5}}


def measure(quick: bool) -> Row:
    """Normal, on the sub stream, one dead at the start, one stalled."""
    rounds, seconds = (1, 8.0) if quick else (3, 20.0)
    files = {"1080p": encoded(VIDEO, MAIN), "360p": encoded(VIDEO, SUB)}
    whole: dict[str, list[Stretch]] = {of: [] for of in files}
    bare: dict[str, list[float]] = {of: [] for of in files}
    for _ in range(rounds):
        for of, video in files.items():
            whole[of].append(normal(video, seconds))
            bare[of].append(floor(video, model(), FPS, seconds, len(NAMES))["cpu_ms_per_analysed"] * FPS / 10)
    main, large = files["1080p"], whole["1080p"]
    dead = dead_at_start(main, seconds)
    lost, back_s = stalled(main, 6.0 if quick else STALL_S)
    expected = FPS * seconds
    return Row(
        "site",
        "Four live 1080p cameras at five pictures a second",
        "python -m bench site",
        f"Four RTSP cameras, {MAIN.words}, 4 Mbit/s; sub streams: {SUB.words}. YOLOX-nano 416, 5 analysed pictures a "
        f"second each; {rounds} rounds of {seconds:g} s, main streams, sub streams and the bare floor of each in turns. All processes of all components are counted.",
        (
            at_most("1080p: core per camera", "%", [s.percent_per_camera(4) for s in large], 15.0),
            at_most("360p: core per camera", "%", [s.percent_per_camera(4) for s in whole["360p"]], 8.0),
            *(Figure(f"bare floor, {of}: core per camera", "%", tuple(found), peer=True) for of, found in bare.items()),
            Figure("1080p: analysed", "pictures/s per camera", tuple(s.pictures / s.seconds / 4 for s in large)),
            Figure("1080p: memory of everything", "MB PSS", tuple(s.pss_mb for s in large)),
            at_most(
                "one of four dead at the start: pictures the others lost",
                "%",
                [max(0.0, 100 * (1 - count / expected)) for count in dead],
                2.0,
            ),
            at_most("one of four stalled: pictures the others lost", "%", lost, 2.0),
            at_most("the stalled camera analysed again after it sends", "s", [back_s], 1.0),
        ),
        tuple(_note(of, whole[of], bare[of]) for of in files),
    )


def _note(of: str, stretches: Sequence[Stretch], bare: Sequence[float]) -> str:
    """What the middle round took by component, beside what any program needs for the same pictures."""
    at = middle_round([stretch.percent_per_camera(len(NAMES)) for stretch in stretches])
    one = stretches[at]
    by = {name: 100 * used_s / one.seconds / len(NAMES) for name, used_s in one.cpu_by.items()}
    return (
        f"{of}: {number(one.percent_per_camera(len(NAMES)))} % in the middle round, by component {shares(by)}. The bare floor, which decodes "
        f"every picture and keeps the same pace in one process, takes {number(bare[at])} %."
    )


def normal(video: Path, seconds: float) -> Stretch:
    """Four cameras that are well."""
    with (
        simulated(dict.fromkeys(NAMES, video)) as cameras,
        system(application(model(), NAMES, FPS, RULES), cameras.urls) as running,
    ):
        return running.measure(seconds)


def dead_at_start(video: Path, seconds: float) -> list[float]:
    """Pictures analysed of each of the three others."""
    with simulated(dict.fromkeys(NAMES[1:], video)) as cameras:
        urls = {**cameras.urls, NAMES[0]: "rtsp://127.0.0.1:9/nobody"}
        with system(application(model(), NAMES, FPS, RULES), urls, awaited=set(NAMES[1:])) as running:
            stretch = running.measure(seconds)
            return [stretch.analysed[name] * seconds / stretch.seconds for name in NAMES[1:]]


def stalled(video: Path, stall_s: float) -> tuple[list[float], float]:
    """Per cent of the others' pictures that were lost; seconds until the camera is analysed again."""
    with tempfile.TemporaryDirectory(prefix="vb", dir="/tmp") as folder:
        control = Path(folder) / "control"
        with (
            simulated(dict.fromkeys(NAMES, video), control=control) as cameras,
            system(application(model(), NAMES, FPS, RULES), cameras.urls) as running,
            ControlClient(control) as client,
        ):
            client.call("fault", camera=NAMES[0], kind="silent")
            stretch = running.measure(stall_s)
            client.call("clear", camera=NAMES[0])
            back_s = _until_analysed(running, NAMES[0])
    expected = FPS * stretch.seconds
    return [max(0.0, 100 * (1 - stretch.analysed[name] / expected)) for name in NAMES[1:]], back_s


def _until_analysed(running: System, name: str) -> float:
    """Seconds until the next of the camera's pictures was analysed."""
    sent_s = time.time()
    while time.time() < sent_s + 60:
        time.sleep(1)
        found = [batch.analysed_wall_s for batch in running.batches(sent_s) if batch.frame.camera == name]
        if found:
            return min(found) - sent_s
    raise SystemExit(f"{name} was not analysed within a minute after it sends again")
