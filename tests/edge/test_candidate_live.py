"""A new version beside the running one, with the real components: what it tells, and that nobody notices it."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.edge.made_up import ZONE, application, model, processes
from tests.edge.running import Watched, running, wait_until
from tests.edge.test_many_applications import Journal
from vedette.adapters.state.plan_file import PlanFile
from vedette.compose.candidate_progress import FILE_NAME
from vedette.contracts import topics
from vedette.contracts.comparison import Agreement, ComparisonPolicy, ComparisonReport, ComparisonTask
from vedette.contracts.manifest import Manifest
from vedette.contracts.plan import Plan
from vedette.contracts.versions import CANDIDATE_PREFIX
from vedette.local.edge import RunApplication
from vedette.local.simulated import SimulatedCameras
from vedette.testing.synthetic import Image, make_clip

pytestmark = [pytest.mark.processes, pytest.mark.slow]

WIDTH, HEIGHT, FPS, SECONDS = 160, 120, 20, 24.0
PERIOD_S, STAY_S = 1.0, 0.7
RULES = {"enters": {"type": "zone_entered", "zone": ZONE, "severity": "info"}}
LEFT = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
POLICY = ComparisonPolicy(frames=200, warm_up=5, timeout_s=120)


def clip(path: Path, *, empty: bool = False) -> Path:
    """Someone stands left for a while, then someone right, and so on."""

    def draw(number: int, width: int, height: int) -> Image:
        image = np.full((height, width, 3), (30, 34, 38), dtype=np.uint8)
        turn, since_s = divmod(number / FPS, PERIOD_S)
        if not empty and since_s < STAY_S:
            left = width // 8 if int(turn) % 2 == 0 else width * 5 // 8
            image[height // 4 : height * 3 // 4, left : left + width // 4] = (235, 230, 220)
        return image

    frames = round(SECONDS * FPS)
    path.write_bytes(make_clip(frames=frames, fps=FPS, width=WIDTH, height=HEIGHT, gop=FPS, crf=18, draw=draw))
    return path


@contextmanager
def site(root: Path) -> Iterator[tuple[Watched, Manifest, Manifest]]:
    """Two cameras with people before one application, an empty one before another."""
    busy, empty = clip(root / "busy.mp4"), clip(root / "empty.mp4", empty=True)
    folder = root / "models"
    folder.mkdir()
    gate = application("gate", model(folder), ("east", "west"), RULES, 10)
    quiet = application("quiet", model(folder), ("north",), RULES, 10)
    with (
        SimulatedCameras({"east": busy, "west": busy, "north": empty}, log_file=root / "simulator.log") as simulated,
        # Nucleus lite hands every value of a configuration over as text.
        running([gate, quiet], simulated.urls, root / "run", lite_quirks=True) as watched,
    ):
        watched.wait_streaming({"east", "west", "north"})
        yield watched, gate, quiet


def kill(watched: Watched) -> None:
    """The process of a candidate in the middle of its work; it is started again."""
    component = f"{CANDIDATE_PREFIX}gate"
    file = watched.edge.settings.root / "core" / "work" / component / FILE_NAME
    wait_until(
        lambda: file.exists() and json.loads(file.read_bytes())["comparer"]["frames"] > 0,
        60,
        "it saved what it counted",
    )
    pid = watched.edge.core.states()[component].pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: watched.edge.core.states()[component].pid not in (None, pid), 30, "it is started again")


def nice(pid: int) -> int | None:
    """Of a process; None where it is gone."""
    try:
        return os.getpriority(os.PRIO_PROCESS, pid)
    except ProcessLookupError:
        return None


def newer(manifest: Manifest, version: str, folder: Path, **pipeline: Any) -> RunApplication:
    """Another version, with files of its own; its pipeline is another one in what is given."""
    folder.mkdir()
    document = manifest.model_dump(mode="json", exclude_unset=True) | {"version": version}
    document["models"]["objects"]["file"] = str(model(folder))
    document["pipelines"]["main"] |= pipeline
    return RunApplication(Manifest.model_validate(document))


def reports(watched: Watched, rollout: str) -> list[ComparisonReport]:
    """What the device told of a comparison, on the topic of comparisons."""
    path = watched.edge.settings.root / "iot-core.jsonl"
    topic = topics.cloud_comparison("test-device")
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    found = [ComparisonReport.model_validate(line["payload"]) for line in lines if line["topic"] == topic]
    return [report for report in found if report.rollout_id == rollout]


def compared(
    watched: Watched, candidates: dict[str, RunApplication], meanwhile: Callable[[], None] = lambda: None
) -> dict[str, ComparisonReport]:
    """Rollout → its last report, once all are done. All run at the same time."""
    for rollout, candidate in candidates.items():
        watched.edge.add_candidate(candidate, ComparisonTask(rollout_id=rollout, policy=POLICY))
    meanwhile()
    wait_until(lambda: all(any(r.done for r in reports(watched, name)) for name in candidates), 150, "all are done")
    last = {name: reports(watched, name)[-1] for name in candidates}
    for candidate in candidates.values():
        watched.edge.remove_candidate(candidate.manifest.name)
    return last


def whole(report: ComparisonReport) -> Agreement:
    assert set(report.labels) <= {"thing", "other"}
    return report.labels.get("thing", Agreement())


@pytest.mark.timeout(300)
def test_alike_half_and_empty(short_tmp: Path) -> None:
    with site(short_tmp) as (watched, gate, quiet):
        plan_file = PlanFile(watched.edge.settings.state_directory)
        before: Plan = plan_file.read() or Plan()
        alone = processes(watched)

        def niceness() -> None:
            """Of the models' processes, once there are two: the candidate's gives way."""
            before = alone["vedette.Inference"]
            wait_until(lambda: 19 in {nice(pid) for pid in models() - before}, 30, "a process in the background")
            assert {nice(pid) for pid in before} == {nice(os.getpid())}

        def models() -> frozenset[int]:
            return processes(watched)["vedette.Inference"]

        alike = compared(
            watched,
            {
                "alike-0000": newer(gate, "0.2.0", short_tmp / "alike"),
                "empty-0000": newer(quiet, "0.2.0", short_tmp / "empty", region=LEFT),
            },
            lambda: kill(watched),
        )
        half = compared(watched, {"half-00000": newer(gate, "0.3.0", short_tmp / "half", region=LEFT)}, niceness)

        wait_until(lambda: (plan_file.read() or before).models == before.models, 10, "the plan as it was")
        after = plan_file.read()
        wait_until(lambda: processes(watched) == alone, 10, "nobody was restarted, and what was added has gone")
        alerts = watched.alerts()
        journal = Journal.of(watched)

    assert after is not None
    assert (after.streams, after.rules, after.problems) == (before.streams, before.rules, before.problems)

    report = alike["alike-0000"]
    assert (report.against, report.version, report.problem, report.notes) == ("0.1.0", "0.2.0", "", ())
    assert report.frames == POLICY.frames
    found = whole(report)
    assert found.running_objects == found.new_objects >= 12
    assert (found.running_seen, found.new_seen) == (found.running_objects, found.new_objects)

    nothing = alike["empty-0000"]
    assert (nothing.frames, nothing.labels, nothing.problem) == (POLICY.frames, {}, "")

    report = half["half-00000"]
    found = whole(report)
    assert found.running_objects >= 12
    assert found.running_seen / found.running_objects == pytest.approx(0.5, abs=0.15)
    assert found.new_seen / found.new_objects == pytest.approx(1.0, abs=0.1)

    # What was told is exactly what the running version's own batches give.
    told = Counter(alert.alert_id for alert in alerts)
    judged = [alert.alert_id for alert in journal.judged(before.rules)]
    assert set(told.values()) == {1}
    assert set(judged[:-8]) <= set(told) <= set(judged), "but for what happened while they were counted"
    assert {batch.pipeline for batch in journal.batches} == {
        "gate/main",
        "quiet/main",
        "candidate:gate/main",
        "candidate:quiet/main",
    }
