"""journal → judge → outbox: where judging goes on after a restart, another journal, a lost position, a full disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.alerting.scene import DEVICE, batches, expected, plan
from tests.journal.test_hook_events import EVENT
from vedette.adapters.journal import files
from vedette.adapters.journal.events import SqliteEventJournal
from vedette.adapters.journal.sqlite import SqliteJournalReader, SqliteJournalWriter
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.contracts.alert import Alert
from vedette.contracts.errors import StorageError
from vedette.contracts.hook_event import HookEvent
from vedette.contracts.manifest import FileAction, IotCoreAction
from vedette.contracts.tracks import TrackBatch
from vedette.core.hook_alerts import hook_alert_id
from vedette.pipeline.judge import LOST_POSITION_S, JudgeLoop
from vedette.ports.outbox import CLOUD_CHANNEL

PLAN = plan(["gate"], {"app/file": FileAction(type="file"), "app/cloud": IotCoreAction(type="iot_core")})


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_s = 0.0
        self.wall_s = 1.7e9
        self.told: list[Alert] = []
        self.start()

    def start(self) -> None:
        self.reader = SqliteJournalReader(self.folder / "journal.db")
        self.outbox = SqliteOutbox(self.folder / "outbox.db")
        self.loop = JudgeLoop(
            DEVICE, self.reader, self.outbox, self.told.extend, wall_s=lambda: self.wall_s, monotonic=lambda: self.now_s
        )

    def stop(self) -> None:
        self.reader.close()
        self.outbox.close()

    def journal(self, content: Sequence[TrackBatch]) -> None:
        writer = SqliteJournalWriter(self.folder / "journal.db")
        for batch in content:
            writer.append(batch)
        writer.close()

    def judge(self) -> None:
        while self.loop.step(0.0):
            continue

    def ids(self, channel: str = "app/file") -> list[str]:
        return [row.alert_id for row in self.outbox.rows(channel, 0, None, 10_000)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    yield one
    one.stop()


def raise_events(bench: Bench, *events: HookEvent) -> None:
    journal = SqliteEventJournal(bench.folder / "journal.db", bench.folder / "x.bell")
    journal.append(events)
    journal.close()


def wanted(content: Sequence[TrackBatch]) -> list[str]:
    return [alert.alert_id for alert in expected(PLAN, content)]


def test_nothing_is_judged_before_there_is_a_plan(bench: Bench) -> None:
    content = list(batches("gate", 3))
    bench.journal(content)
    bench.judge()
    assert bench.outbox.resume().cursor == 0
    bench.loop.set_plan(PLAN)
    bench.judge()
    assert bench.ids() == bench.ids(CLOUD_CHANNEL) == wanted(content)
    assert [alert.alert_id for alert in bench.told] == wanted(content)


@pytest.mark.parametrize("cut", [1, 5, 6, 14, 15, 16, 29])
def test_a_restart_anywhere_changes_nothing(bench: Bench, cut: int) -> None:
    content = list(batches("gate", 3))
    bench.loop.set_plan(PLAN)
    bench.journal(content[:cut])
    bench.judge()
    bench.stop()
    bench.start()
    bench.loop.set_plan(PLAN)
    bench.journal(content[cut:])
    bench.judge()
    assert bench.ids() == wanted(content)


def test_progress_without_alerts_is_committed_once_a_second(bench: Bench) -> None:
    bench.loop.set_plan(PLAN)
    bench.journal(list(batches("gate", 1))[:3])
    bench.judge()
    assert bench.outbox.resume().cursor == 0
    bench.now_s = 1.1
    bench.judge()
    assert bench.outbox.resume().cursor > 0
    assert bench.loop.position == (bench.reader.identity(), bench.outbox.resume().cursor)


def test_another_plan_keeps_the_rules_that_stay(bench: Bench) -> None:
    content = list(batches("gate", 2))
    bench.loop.set_plan(PLAN)
    bench.journal(content[:4])
    bench.judge()
    bench.loop.set_plan(plan(["gate", "yard"], dict(PLAN.actions), revision=2))
    bench.journal(content[4:])
    bench.judge()
    assert bench.ids() == wanted(content)


def test_a_new_journal_is_judged_from_its_start(bench: Bench) -> None:
    content = list(batches("gate", 6))
    bench.loop.set_plan(PLAN)
    bench.journal(content[:30])
    bench.judge()
    files.put_aside(bench.folder / "journal.db", bench.reader.identity(), "test")
    bench.journal(content[30:])
    bench.judge()
    assert bench.ids() == wanted(content)


def test_a_lost_position_goes_back_five_minutes_and_no_further(bench: Bench) -> None:
    content = list(batches("gate", 8))
    bench.loop.set_plan(PLAN)
    bench.journal(content)
    bench.judge()
    done = bench.ids()
    bench.outbox.delivered("app/file", [row.row_id for row in bench.outbox.rows("app/file", 0, None, 100)])
    bench.stop()
    with sqlite3.connect(bench.folder / "outbox.db") as connection:
        connection.execute("UPDATE judge SET state = '-'")
        connection.execute("DELETE FROM seen")
    connection.close()
    bench.wall_s = 1.7e9 + 4.05 + LOST_POSITION_S  # the first four people are longer ago than that
    bench.start()
    bench.loop.set_plan(PLAN)
    bench.judge()
    assert set(bench.ids()) <= set(done[4:])
    assert len(bench.ids()) >= 3


def test_gaps_are_kept(bench: Bench) -> None:
    content = list(batches("gate", 10))
    bench.loop.set_plan(PLAN)
    bench.journal(content[:20] + content[70:])
    bench.judge()
    bench.now_s = 5.0
    bench.loop.commit()
    assert bench.outbox.health().not_analysed_s == pytest.approx(5.1, abs=0.2)


def test_what_cannot_be_committed_is_kept_and_judging_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    content = list(batches("gate", 3))
    bench.loop.set_plan(PLAN)
    bench.journal(content)
    commit: Callable[..., int] = bench.outbox.commit

    def refuse(*_arguments: object) -> int:
        raise StorageError("the disk is full", code="V404")

    monkeypatch.setattr(bench.outbox, "commit", refuse)
    bench.judge()
    assert bench.loop.health().problem == "the disk is full"
    before = bench.loop.health().judged
    bench.loop.step(0.0)
    assert bench.loop.health().judged == before
    assert bench.told == []
    monkeypatch.setattr(bench.outbox, "commit", commit)
    bench.judge()
    assert bench.loop.health().problem == ""
    assert bench.ids() == wanted(content)
    assert bench.loop.health().alerts == 3


def test_what_hooks_raise_becomes_alerts_in_its_place(bench: Bench) -> None:
    content = list(batches("gate", 2))
    bench.loop.set_plan(PLAN)
    bench.journal(content[:10])
    raise_events(bench, EVENT)
    bench.journal(content[10:])
    bench.judge()
    before, after = wanted(content)
    assert bench.ids() == [before, hook_alert_id(DEVICE, EVENT), after]
    assert bench.ids(CLOUD_CHANNEL) == [before, hook_alert_id(DEVICE, EVENT), after]


def test_an_event_that_was_appended_twice_is_delivered_once(bench: Bench) -> None:
    bench.loop.set_plan(PLAN)
    raise_events(bench, EVENT, replace(EVENT, at=1.8e9))
    bench.judge()
    bench.outbox.delivered("app/file", [row.row_id for row in bench.outbox.rows("app/file", 0, None, 10)])
    bench.stop()
    bench.start()
    bench.loop.set_plan(PLAN)
    raise_events(bench, replace(EVENT, at=1.9e9), replace(EVENT, key="another"))
    bench.judge()
    assert bench.ids() == [hook_alert_id(DEVICE, replace(EVENT, key="another"))]
    assert len(bench.ids(CLOUD_CHANNEL)) == 2


def test_an_event_goes_to_its_receivers_whatever_the_plan_says(bench: Bench) -> None:
    """The application may be away for the moment its component takes to restart."""
    bench.loop.set_plan(plan(["gate"], {}))
    raise_events(bench, replace(EVENT, channels=("gone/file",)))
    bench.judge()
    assert len(bench.ids("gone/file")) == 1


def test_an_event_that_makes_no_sense_holds_up_nothing(bench: Bench) -> None:
    bench.loop.set_plan(PLAN)
    raise_events(bench, replace(EVENT, severity="loud"), replace(EVENT, wall_s=1e300), EVENT)
    bench.judge()
    assert bench.ids() == [hook_alert_id(DEVICE, EVENT)]
