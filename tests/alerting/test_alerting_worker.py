"""The worker of the alerting component, in this process: what its judging thread must not wait for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.actions.receivers import WebhookLedger, until
from tests.alerting.scene import DEVICE, batches, expected, plan, write_plan
from tests.outbox.test_outbox import fill, overwrite
from vedette.adapters.journal.sqlite import SqliteJournalWriter
from vedette.adapters.outbox import salvage
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.adapters.state.layout import StateLayout
from vedette.compose.alerting_worker import AlertingWorker
from vedette.compose.open_receivers import WAITS
from vedette.contracts.config import AlertingConfig
from vedette.contracts.manifest import Action, FileAction, WebhookAction
from vedette.pipeline import deliver

HOOK = "app/hook"


class QuietBus:
    """Greengrass as far as the worker uses it; it keeps nothing."""

    def publish_local(self, topic: str, message: dict[str, Any]) -> None: ...
    def publish_cloud(self, topic: str, payload: bytes) -> None: ...
    def subscribe_cloud(self, topic: str, callback: Callable[[str, bytes], None]) -> None: ...
    def secret(self, _name: str) -> dict[str, str]:
        return {}


def make_worker(folder: Path, beat: Callable[[int], None] = lambda _: None) -> AlertingWorker:
    return AlertingWorker(AlertingConfig(stateDirectory=str(folder)), DEVICE, QuietBus(), beat=beat)  # type: ignore[arg-type]


@pytest.fixture
def hook() -> Iterator[WebhookLedger]:
    ledger = WebhookLedger()
    yield ledger
    ledger.close()


@pytest.mark.parametrize("patience_s", [0.05, 60.0])
def test_alerts_of_others_do_not_wait_for_a_receiver_that_hangs(
    short_tmp: Path, hook: WebhookLedger, monkeypatch: pytest.MonkeyPatch, patience_s: float
) -> None:
    """Whoever waited for the receiver would wait for too long, or be over too soon and deliver twice."""
    monkeypatch.setattr(deliver, "STOP_WAIT_S", patience_s)
    layout = StateLayout(short_tmp)
    layout.create()
    called, release, ended = threading.Event(), threading.Event(), threading.Event()

    def hang(_number: int) -> tuple[int, dict[str, str]]:
        called.set()
        assert release.wait(60)
        return 200, {}

    def actions(timeout_s: float, *files: str) -> dict[str, Action]:
        webhook = WebhookAction(type="webhook", url=hook.url, allow_private=True, timeout_s=timeout_s)
        return {HOOK: webhook, **{f"app/{name}": FileAction(type="file", path=name) for name in files}}

    hook.answer = hang
    before, after = plan(["gate"], actions(30.0)), plan(["gate"], actions(29.0, "late"), revision=2)
    write_plan(short_tmp, before)
    worker = make_worker(short_tmp)
    thread = threading.Thread(target=worker.run, args=(ended.is_set,))
    thread.start()
    writer = SqliteJournalWriter(layout.root / "journal.db", layout.run / "alerting.bell")
    everything = [*batches("gate", 1), *batches("gate", 1, first=1)]
    try:
        for batch in everything[:10]:
            writer.append(batch)
        assert called.wait(20)
        write_plan(short_tmp, after)
        until(lambda: "app/late" in worker.health().receivers, "the receiver with a new key is open")
        for batch in everything[10:]:
            writer.append(batch)
        late = short_tmp / "late"
        until(lambda: late.exists() and late.read_bytes().count(b"\n") == 1, "an alert of another receiver")
        assert worker.health().receivers[HOOK].problem == WAITS
        assert worker.health().receivers[HOOK].pending == 2
        release.set()
        until(lambda: worker.health().receivers[HOOK].pending == 0, "the next receiver delivers what waits")
    finally:
        release.set()
        ended.set()
        thread.join(30)
        writer.close()
    wanted = [alert.alert_id for alert in expected(after, everything)]
    assert hook.ids() == wanted, "each once"
    assert json.loads(late.read_bytes())["alert_id"] == wanted[1]


def test_a_worker_that_repairs_its_outbox_beats_meanwhile(short_tmp: Path) -> None:
    StateLayout(short_tmp).create()
    with closing(SqliteOutbox(short_tmp / "outbox.db")) as outbox:
        fill(outbox, 0, 2_000, HOOK)
    overwrite(short_tmp / "outbox.db", 0)
    beats: list[int] = []
    worker = make_worker(short_tmp, beats.append)
    assert len(beats) > 2_000 // salvage.STEP
    worker.run(lambda: True)
