"""Ten applications on one device: what can be shared is shared, and one that comes or goes disturbs no other."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.edge.made_up import ZONE, application, clip, model, processes
from tests.edge.running import Watched, running, wait_until
from vedette.adapters.journal.sqlite import SqliteJournalReader
from vedette.adapters.state.plan_file import PlanFile
from vedette.contracts.alert import Alert
from vedette.contracts.manifest import Manifest
from vedette.contracts.plan import RulePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.judge import Judge
from vedette.local.edge import RunApplication
from vedette.local.simulated import SimulatedCameras

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.alone]

CAMERAS = ("east", "north", "west")
#: Of the cameras, and of the applications that come and go: the others' rate is another one while they are there.
CAMERA_FPS, FAST, FPS = 20, 20, 10
#: Longest time between two analysed pictures of one pipeline and camera.
LONGEST_GAP_S = 0.2
PERIOD_S, STAY_S = 5.0, 3.0
RULES = {
    "enters": {"type": "zone_entered", "zone": ZONE, "severity": "info"},
    "stays": {"type": "dwell", "zone": ZONE, "for_s": 1},
}


def numbered(number: int, root: Path, fps: int = FPS) -> Manifest:
    """Each brings a copy of the model of its own, as components of Greengrass do."""
    folder = root / f"app-{number}"
    folder.mkdir()
    return application(folder.name, model(folder), CAMERAS, RULES, fps)


@dataclass
class Journal:
    """Everything that was analysed, read once."""

    batches: list[TrackBatch]

    @classmethod
    def of(cls, watched: Watched) -> Journal:
        with_reader = SqliteJournalReader(watched.edge.settings.state_directory / "journal.db")
        found, after = [], 0
        while rows := with_reader.read(after, 1000):
            found += [batch for _, batch in rows if isinstance(batch, TrackBatch)]
            after = rows[-1][0]
        with_reader.close()
        return cls(found)

    def gaps(self, applications: Iterable[str], from_wall_s: float) -> dict[tuple[str, str], list[float]]:
        """(pipeline, camera) → times between analysed pictures from then on, longest first."""
        times: dict[tuple[str, str], list[float]] = {}
        wanted = {f"{name}/main" for name in applications}
        for batch in self.batches:
            if batch.pipeline in wanted and batch.frame.wall_s >= from_wall_s:
                times.setdefault((batch.pipeline, batch.frame.camera), []).append(batch.frame.t_s)
        return {
            key: sorted((b - a for a, b in itertools.pairwise(found)), reverse=True) for key, found in times.items()
        }

    def latest_s(self, from_wall_s: float, to_wall_s: float) -> float:
        """Longest time from a picture to the end of its analysis."""
        return max(
            batch.analysed_wall_s - batch.frame.wall_s
            for batch in self.batches
            if from_wall_s <= batch.frame.wall_s < to_wall_s
        )

    def judged(self, rules: Sequence[RulePlan]) -> list[Alert]:
        """All alerts that these batches give."""
        judge = Judge("test-device", rules)
        return [verdict.alert for batch in self.batches for verdict in judge.judge(batch)]


def children(watched: Watched, module: str) -> int:
    """How many processes run a module."""
    count = 0
    for pids in processes(watched).values():
        for pid in pids:
            try:
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            count += module.encode() in arguments
    return count


def identities(alerts: Iterable[Alert], names: Sequence[str], to_s: float) -> Counter[str]:
    """Of the alerts of applications, up to a time by the cameras' clocks."""
    return Counter(a.alert_id for a in alerts if a.application in names and a.time.timestamp() <= to_s)


def entries(alerts: Iterable[Alert], name: str, camera: str, from_s: float) -> list[float]:
    """When someone entered, by the camera's own clock, from then on."""
    return [
        alert.time.timestamp()
        for alert in alerts
        if (alert.application, alert.camera, alert.rule) == (name, camera, "enters")
        and alert.time.timestamp() >= from_s
    ]


@pytest.mark.timeout(300)
def test_one_that_comes_or_goes_disturbs_no_other(short_tmp: Path) -> None:
    stays = [(PERIOD_S * n + 1, PERIOD_S * n + 1 + STAY_S) for n in range(40)]
    files = {name: clip(short_tmp / f"{name}.mp4", stays, 200.0, CAMERA_FPS) for name in CAMERAS}
    # The first one is the one whose copy of the model is loaded.
    manifests = [numbered(number, short_tmp, FPS if number else FAST) for number in range(10)]
    kept = [manifest.name for manifest in manifests[1:]]
    with (
        SimulatedCameras(files, log_file=short_tmp / "simulator.log") as simulated,
        running(manifests, simulated.urls, short_tmp / "run") as watched,
    ):
        watched.wait_streaming(set(CAMERAS), 120)
        wait_until(lambda: {a.application for a in watched.alerts()} >= {m.name for m in manifests}, 120, "all alert")
        plan_file = PlanFile(watched.edge.settings.state_directory)
        plan = plan_file.read()
        assert plan is not None
        assert (len(plan.models), len(plan.streams), len(plan.rules)) == (1, 3, 60)
        assert children(watched, "camera_ingest.template") == 1 + 3, "what is copied, and a copy for each camera"
        assert children(watched, "inference.model") == 1, "a model is loaded once"
        before = processes(watched)
        settled_s = time.time()
        time.sleep(10.0)

        removed_s = time.time()
        watched.edge.remove("app-0")
        wait_until(lambda: len((plan_file.read() or plan).rules) == 54, 10, "the plan without it")
        time.sleep(10.0)
        left = processes(watched)
        assert left == {name: pids for name, pids in before.items() if name != "vedette.app.app-0"}

        added_s = time.time()
        watched.edge.add(RunApplication(numbered(10, short_tmp, FAST)))
        wait_until(lambda: any(a.application == "app-10" for a in watched.alerts()), 30, "the new one alerts")
        time.sleep(5.0)
        after = processes(watched, without="vedette.app.app-10")
        assert after == left, "nobody was restarted for the new one"
        assert children(watched, "inference.model") == 1
        ended_s = time.time()
        time.sleep(1.5)  # what happened before is on its way into the journal
        journal = Journal.of(watched)
        judged = identities(journal.judged([r for r in plan.rules if r.application in kept]), kept, ended_s)
        wait_until(lambda: identities(watched.alerts(), kept, ended_s) >= judged, 30, "what was judged is written")
        alerts = watched.alerts()

    gaps = journal.gaps(kept, settled_s)
    assert len(gaps) == len(kept) * len(CAMERAS)
    longest = {key: found[0] for key, found in gaps.items()}
    print(f"longest time between two pictures: {1000 * max(longest.values()):.0f} ms; analysed at the latest after")
    spans = {
        "nothing changed": (settled_s, removed_s),
        "one was removed": (removed_s, removed_s + 3),
        "one was added": (added_s, added_s + 8),
    }
    for words, span in spans.items():
        print(f"  {1000 * journal.latest_s(*span):.0f} ms while {words}")
    assert {key: gap for key, gap in longest.items() if gap > LONGEST_GAP_S + 0.005} == {}

    assert identities(alerts, kept, ended_s) == judged, "each once"
    for camera in CAMERAS:
        first = entries(alerts, kept[0], camera, settled_s)
        assert len(first) >= (ended_s - settled_s) // PERIOD_S - 1
        steps = [b - a for a, b in itertools.pairwise(first)]
        assert all(abs(step - PERIOD_S) < 0.25 for step in steps), steps
        for name in kept[1:]:
            assert entries(alerts, name, camera, settled_s) == first
