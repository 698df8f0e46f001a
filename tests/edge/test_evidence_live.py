"""Evidence under the whole edge side: every alert has its own picture and clip, also through kills."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import av
import pytest

from bench.processes import descendants
from tests.cli.test_cli_main import vedette
from tests.edge.made_up import ZONE, application, clip, model
from tests.edge.running import Watched, running, wait_until
from vedette.adapters.evidence.store import EvidenceStore
from vedette.contracts.errors import EvidenceError
from vedette.contracts.evidence import EvidenceRecord, EvidenceState
from vedette.contracts.privacy import Privacy
from vedette.local.core import ComponentState
from vedette.local.simulated import SimulatedCameras

pytestmark = [pytest.mark.processes, pytest.mark.slow]

STAYS = ((2.0, 3.0), (5.0, 6.0))
EVIDENCE = {"clip": {"before_s": 1.5, "after_s": 1.5}}


def evidence_process(watched: Watched) -> int | None:
    """Number of the process that makes evidence."""
    (parent,) = (one.pid for name, one in watched.edge.core.states().items() if name == "vedette.Alerting" and one.pid)
    for pid in descendants([parent]):
        try:
            if b"alerting.evidence" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        except OSError:
            continue
    return None


def made(store: EvidenceStore) -> list[EvidenceRecord]:
    records = []
    for folder in store.folders():
        with contextlib.suppress(EvidenceError):  # its record is being written
            records.append(store.read(folder))
    return [record for record in records if record.state is EvidenceState.MADE]


@pytest.mark.timeout(150)
def test_every_alert_has_its_own_picture_and_clip_through_kills(short_tmp: Path) -> None:
    recording = clip(short_tmp / "gate.mp4", STAYS, 8.0)
    rules = {"enters": {"type": "zone_entered", "zone": ZONE}}
    app = application("shop", model(short_tmp), ["gate"], rules, evidence=EVIDENCE, privacy="none")
    with (
        SimulatedCameras({"gate": recording}, log_file=short_tmp / "simulator.log") as simulated,
        running(app, dict(simulated.urls), short_tmp / "run", privacy_ceiling=Privacy.NONE) as watched,
    ):
        store = EvidenceStore(watched.edge.settings.state_directory / "evidence")
        watched.wait_streaming({"gate"})
        wait_until(lambda: len(list(store.folders())) >= 1, 30, "the first alert")
        for _ in range(2):
            wait_until(lambda: evidence_process(watched) is not None, 20, "the process that makes evidence")
            pid = evidence_process(watched)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)  # with a clip that waits for its last second
            at = len(watched.alerts())
            wait_until(lambda at=at: len(watched.alerts()) > at, 30, "alerts go on")  # type: ignore[misc]
        alerts = {alert.alert_id for alert in watched.alerts()}
        wait_until(lambda: alerts <= {r.alert.alert_id for r in made(store)}, 30, "evidence of all of them")
        assert watched.edge.core.states()["vedette.Alerting"].state is ComponentState.RUNNING
        assert watched.edge.core.states()["vedette.Alerting"].failures == 0
        records = made(store)
    whole = [record for record in records if not record.shortfalls]
    assert len(whole) >= len(records) - 1, [record.shortfalls for record in records]  # watching may begin in a stay
    for record in whole:
        folder = next(path for path in store.folders() if path.name.endswith(record.alert.alert_id))
        assert record.clip is not None
        with av.open(str(folder / record.clip.file)) as file:
            middle = {round(float(f.time), 2): int(f.to_ndarray(format="gray")[60, 80]) for f in file.decode(video=0)}
        alert_s = record.clip.alert_s
        assert middle[min(middle, key=lambda t: abs(t - alert_s))] > 150, "the rectangle is there at the alert"
        assert min(level for t, level in middle.items() if alert_s - 1.4 < t < alert_s - 0.6) < 100, "and not before"

    # What happened once becomes a test that the application must pass from now on.
    shop = short_tmp / "shop"
    shop.mkdir()
    (shop / "vedette.yaml").write_text(app.model_dump_json(exclude_none=True))
    saved = vedette(
        *("incident", "save", whole[-1].alert.alert_id[:12], "--app", str(shop)),
        *("--state", str(store.directory.parent)),
    )
    assert saved.returncode == 0, saved.stderr
    assert "the clip alone gives the alert again" in saved.stdout
    assert "passed" in vedette("app", "test", str(shop)).stdout


@pytest.mark.timeout(90)
def test_without_being_asked_nothing_is_kept_and_no_process_runs(short_tmp: Path) -> None:
    recording = clip(short_tmp / "gate.mp4", STAYS, 8.0)
    app = application("shop", model(short_tmp), ["gate"], {"enters": {"type": "zone_entered", "zone": ZONE}})
    with running(app, {"gate": str(recording)}, short_tmp / "run") as watched:
        wait_until(lambda: len(watched.alerts()) >= 2, 60, "alerts")
        assert evidence_process(watched) is None
        state = watched.edge.settings.state_directory
    assert list((state / "evidence").iterdir()) == []
