"""A live camera whose pictures are not decoded while nothing moves: the same alerts, at their own times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.edge.made_up import ZONE, application, clip, model
from tests.edge.running import Watched, running, wait_until
from tests.edge.test_many_applications import Journal
from vedette.contracts.camera import CameraState
from vedette.contracts.manifest import Manifest
from vedette.local.simulated import SimulatedCameras
from vedette.pipeline.capture import RESTING

pytestmark = [pytest.mark.processes, pytest.mark.slow]

#: Of a clip of 20 s: somebody enters, and is there for a second; later stays for three.
STAYS = ((7.4, 8.4), (14.7, 17.7))
SECONDS = 20.0
FPS = 10


def watching(root: Path, **pipeline: Any) -> Manifest:
    rules = {
        "enters": {"type": "zone_entered", "zone": ZONE},
        "stays": {"type": "dwell", "zone": ZONE, "for_s": 2},
        "nobody": {"type": "nothing_seen", "zone": ZONE, "for_s": 5},
    }
    manifest = application("quiet", model(root), ["gate"], rules, FPS)
    main = manifest.pipelines["main"]
    changed = main.model_validate({**main.model_dump(mode="json", exclude_none=True), **pipeline})
    return manifest.model_copy(update={"pipelines": {"main": changed}})


#: Rule, second of the loop in which it is due, and how late its alert may be: what is there is seen at its own time,
#: and that nobody came is known with the next key picture.
EXPECTED = (
    ("nobody", 2.7, 1.2),
    ("enters", 7.4, 0.4),
    ("nobody", 13.4, 1.2),
    ("enters", 14.7, 0.4),
    ("stays", 16.7, 0.6),
)


def test_alerts_are_the_same_while_little_is_decoded(short_tmp: Path) -> None:
    files = {"gate": clip(short_tmp / "gate.mp4", STAYS, SECONDS, FPS)}
    manifest = watching(short_tmp, motion={"floor_s": 3})
    with (
        SimulatedCameras(files, log_file=short_tmp / "simulator.log") as simulated,
        running(manifest, simulated.urls, short_tmp / "run") as watched,
    ):
        watched.wait_streaming({"gate"})
        first = max(start.loop for start in simulated.loops()) + 1
        wait_until(lambda: max(s.loop for s in simulated.loops()) > first, 90, "a whole loop")
        start = next(s for s in simulated.loops() if s.loop == first)
        wait_until(lambda: len(alerts(watched, start.wall_time_s)) >= len(EXPECTED), 15, "the alerts of that loop")
        found = alerts(watched, start.wall_time_s)
        assert [rule for rule, _ in found] == [rule for rule, _, _ in EXPECTED]
        for (rule, moment_s), (_, due_s, late_s) in zip(found, EXPECTED, strict=True):
            assert -0.2 <= moment_s - due_s <= late_s, (rule, moment_s)
        reasons = {status.reason for _, status in watched.history if status.state is CameraState.STREAMING}
        assert RESTING in reasons
        batches = [b for b in Journal.of(watched).batches if 0 <= b.frame.wall_s - start.wall_time_s < SECONDS]
        assert len(batches) < 0.75 * SECONDS * FPS, "pictures that nobody needs are not even decoded"
        assert any(batch.frame.still_s for batch in batches)
        assert max(status.reconnects for _, status in watched.history) == 0


def alerts(watched: Watched, from_wall_s: float) -> list[tuple[str, float]]:
    """(rule, second of the loop) of the loop that begins then."""
    moments = [(alert.rule, alert.time.timestamp() - from_wall_s) for alert in watched.alerts()]
    return sorted(((rule, moment) for rule, moment in moments if 0 <= moment < SECONDS), key=lambda entry: entry[1])
