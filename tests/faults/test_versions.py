"""R17: versions of an application that cannot work, taken back: how soon the one before is at work again."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any, Final

import pytest

from tests.edge.faults_support import Analysed, percentile
from tests.edge.made_up import ZONE, application, clip, model
from tests.edge.running import running, wait_until
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from vedette.contracts.manifest import Manifest
from vedette.local.core import LocalMessage
from vedette.local.edge import RunApplication
from vedette.local.simulated import SimulatedCameras

pytestmark = [pytest.mark.processes]

GOAL_S: Final = 10.0
RULES: Final = {"enters": {"type": "zone_entered", "zone": ZONE}}


def broken_models(folder: Path, rng: random.Random) -> list[Path]:
    """Rubbish, cut off, overwritten, empty, and one that is not there."""
    whole = bytearray(model(folder).read_bytes())
    overwritten = bytearray(whole)
    overwritten[10:200] = rng.randbytes(190)
    contents = {
        "rubbish": rng.randbytes(3000),
        "cut": bytes(whole[: len(whole) // 2]),
        "over": bytes(overwritten),
        "empty": b"",
    }
    for name, content in contents.items():
        (folder / f"{name}.onnx").write_bytes(content)
    return [folder / f"{name}.onnx" for name in (*contents, "missing")]


def version(folder: Path, file: Path, number: int) -> Manifest:
    """One version of the application."""
    return application("shop", file, ["gate"], RULES, fps=5, version=f"1.{number}.0")


@pytest.mark.timeout(400)
def test_r17_versions_taken_back(short_tmp: Path) -> None:
    begun_s = time.monotonic()
    rng = random.Random(scorecard.seed())
    models = broken_models(short_tmp, rng)
    rounds = scorecard.size(quick=2, full=10)
    good = version(short_tmp, model(short_tmp), 0)
    clip_file = clip(short_tmp / "gate.mp4", [(1.0, 2.0)], 3.0)
    failed: dict[str, float] = {}
    took_s: list[float] = []
    kept = told = 0

    def hear(message: LocalMessage) -> None:
        said: dict[str, Any] = message.json()
        if said.get("state") == "FAILED":
            failed[str(said["model"])] = time.monotonic()

    with (
        SimulatedCameras({"gate": clip_file}, log_file=short_tmp / "simulator.log") as simulated,
        running(good, simulated.urls, short_tmp / "run") as watched,
    ):
        watched.wait_streaming({"gate"})
        watched.edge.core.subscribe_local("vedette/inference/#", hear)
        analysed = Analysed(short_tmp / "run" / "state" / "journal.db")
        pids = {name: state.pid for name, state in watched.edge.core.states().items() if ".app." not in name}
        for number in range(rounds):
            failed.clear()
            watched.edge.add(RunApplication(version(short_tmp, models[number % len(models)], number + 1)))
            wait_until(lambda: bool(failed), 30, "it is told that the model does not work")
            told += not any(name.startswith("rectangle") for name in failed)
            at_s = time.monotonic()
            watched.edge.add(RunApplication(good))
            took_s.append(analysed.first_after_s("gate", at_s, 60) - at_s)
            states = watched.edge.core.states()
            same = all(states[name].pid == pid for name, pid in pids.items())
            kept += same and states["vedette.app.shop"].version == "1.0.0"
    p95_s = percentile(took_s, 0.95)
    row = Row(
        "R17-versions",
        "broken versions of an application taken back: analysed again, p95",
        round(p95_s, 2),
        "s",
        rounds,
        "all; <= 10 s",
        passed=kept == told == rounds and p95_s <= GOAL_S,
        upper95=upper95(rounds - kept, rounds),
        control=Control("versions whose model was told as failed before they were taken back", told, told == rounds),
        seed=scorecard.seed(),
        notes=f"Models: {', '.join(one.stem for one in models)}, in turn. From the deployment of the earlier version to the "
        f"first picture analysed: median {percentile(took_s, 0.5):.2f} s, max {max(took_s):.2f} s. In {kept} of {rounds} the "
        "components' processes were the ones from before. On LocalCore, which takes nothing back by itself.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, (took_s, kept)
