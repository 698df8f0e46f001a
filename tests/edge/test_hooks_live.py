"""An application's own code under the whole edge side: what a backtest finds is found live, through kills."""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.edge.made_up import application, clip, model
from tests.edge.running import Watched, wait_until
from vedette.compose.backtest import Backtest
from vedette.contracts.alert import Alert
from vedette.contracts.camera import CameraConfig
from vedette.contracts.manifest import Manifest
from vedette.local.camera_arguments import parse_device_arguments
from vedette.local.core import ComponentState
from vedette.local.edge import Edge, EdgeSettings, RunApplication
from vedette.local.simulated import SimulatedCameras

pytestmark = pytest.mark.processes

#: The rectangle comes and goes once in a loop of the recording.
STAY_S = (2.0, 4.0)
LOOP_S = 6.0

CODE = """
def on_tracks(app, batch):
    there = bool(batch.objects)
    if there != app.state.get("there", False):
        app.state["there"] = there
        app.state["changes"] = app.state.get("changes", 0) + 1
        app.alert("came" if there else "went", objects=batch.objects, count=app.state["changes"])

def on_frame(app, frame):
    bright = bool(frame.gray().mean() > 50)
    if bright != app.state.get("bright", False):
        app.state["bright"] = bright
        app.alert("bright" if bright else "dark", key="light")
"""


def manifest(folder: Path) -> Manifest:
    source = folder / "source"
    source.mkdir(exist_ok=True)
    (source / "hooks.py").write_text(CODE)
    hook = {"file": "hooks.py", "cameras": ["gate"], "frames_fps": 5, "severity": "info"}
    return application("visits", model(folder), ["gate"], {}, hooks={"visits": hook})


class Running:
    """The edge side over one simulated camera."""

    def __init__(self, folder: Path, urls: dict[str, str]) -> None:
        application = manifest(folder)
        bound = parse_device_arguments([application], [f"{name}={url}" for name, url in urls.items()])
        run = RunApplication(application, bound.bindings["visits"], directory=folder / "source")
        self.settings = EdgeSettings(
            applications=(run,),
            cameras=bound.cameras,
            secrets=bound.secrets,
            root=folder / "run",
            alerts_file=folder / "run" / "watched.jsonl",
            thing_name="test-device",
        )
        self.hooks: dict[str, Any] = {}

    def listen(self, message: Any) -> None:
        if message.topic == "vedette/hooks/visits":
            self.hooks = message.json()["hooks"]

    def pids(self, what: bytes) -> list[int]:
        """Processes of this user whose command line holds some text."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and entry.name != str(os.getpid()):
                try:
                    command = (entry / "cmdline").read_bytes()
                    root = str(self.settings.root).encode()
                    if what in command and root in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found


def changes(alerts: list[Alert], *kinds: str) -> list[tuple[str, float]]:
    return [(alert.message, alert.time.timestamp()) for alert in alerts if alert.message in kinds]


def test_a_backtest_finds_the_visit(short_tmp: Path) -> None:
    recording = clip(short_tmp / "gate.mp4", [STAY_S], LOOP_S)
    application = manifest(short_tmp)
    cameras = [CameraConfig(name="gate", url=str(recording))]
    alerts = list(Backtest(application, short_tmp / "source", cameras, {}).alerts())
    found = {alert.message: alert.media_time_s for alert in alerts}
    assert found["came"] == pytest.approx(STAY_S[0], abs=0.3)
    assert found["went"] == pytest.approx(STAY_S[1], abs=0.9)
    assert found["bright"] == pytest.approx(STAY_S[0], abs=0.3)
    assert found["dark"] == pytest.approx(STAY_S[1], abs=0.3)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_live_as_in_the_backtest_through_kills(short_tmp: Path) -> None:
    recording = clip(short_tmp / "gate.mp4", [STAY_S], LOOP_S)
    cameras = [CameraConfig(name="gate", url=str(recording))]
    expected = {
        a.message: a.media_time_s for a in Backtest(manifest(short_tmp), short_tmp / "source", cameras, {}).alerts()
    }
    with SimulatedCameras({"gate": recording}, log_file=short_tmp / "simulator.log") as simulated:
        rig = Running(short_tmp, dict(simulated.urls))
        with Edge(rig.settings) as edge:
            watched = Watched(edge, rig.settings.alerts_file)
            edge.core.subscribe_local("vedette/#", watched.listen)
            edge.core.subscribe_local("vedette/hooks/#", rig.listen)
            watched.wait_streaming({"gate"})
            wait_until(lambda: rig.hooks.get("visits", {}).get("state") == "RUNNING", 30, f"the hook runs: {rig.hooks}")
            wait_until(lambda: len(changes(watched.alerts(), "came", "went")) >= 3, 30, "three changes")
            for victim in ("app_host.warden", "hooks.child.main", "alerting.worker"):
                at = len(changes(watched.alerts(), "came", "went"))
                wait_until(lambda at=at: len(changes(watched.alerts(), "came", "went")) > at, 30, "another")  # type: ignore[misc]
                pid = rig.hooks["visits"]["pid"]
                for process in rig.pids(victim.encode()) if victim != "hooks.child.main" else [pid]:
                    os.kill(process, signal.SIGKILL)
                time.sleep(1.0)
            at = len(changes(watched.alerts(), "came", "went"))
            wait_until(lambda: len(changes(watched.alerts(), "came", "went")) >= at + 3, 60, "three more")
            states = edge.core.states()
            assert all(status.state is ComponentState.RUNNING for status in states.values())
            assert states["vedette.AppHost"].failures == 0
            alerts = watched.alerts()
            loops = simulated.loops()
    messages = [message for message, _ in changes(alerts, "came", "went")]
    assert all(first != second for first, second in pairwise(messages)), messages
    counts = [alert.count for alert in alerts if alert.message in ("came", "went")]
    assert counts == list(range(1, len(counts) + 1)), "no change was lost or doubled, and the state went on"
    assert len({alert.alert_id for alert in alerts}) == len(alerts)
    starts = sorted(loop.wall_time_s for loop in loops)
    # The first change is when watching began, which may be in the middle of a stay.
    for kind, moment_s in changes(alerts, "came", "went")[1:]:
        since_s = moment_s - max(start for start in starts if start <= moment_s + 0.01)
        assert since_s == pytest.approx(expected[kind], abs=0.7), (kind, since_s)
    lights = [message for message, _ in changes(alerts, "bright", "dark")]
    assert len(lights) >= 4
    assert all(first != second for first, second in pairwise(lights)), lights
