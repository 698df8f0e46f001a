"""journal → insights → outbox: a killed process neither loses nor doubles a minute, a dead camera still reports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.alerting.scene import DEVICE, PIPELINE, batches, plan
from vedette.adapters.journal.sqlite import SqliteJournalReader, SqliteJournalWriter
from vedette.adapters.outbox.sqlite import SqliteOutbox
from vedette.contracts.errors import StorageError
from vedette.contracts.insight import InsightReport
from vedette.contracts.manifest import Crossings, HeatMap, Occupancy
from vedette.contracts.plan import InsightPlan, Plan
from vedette.contracts.tracks import TrackBatch
from vedette.core.insights.book import InsightBook
from vedette.pipeline.judge import STEP_BATCHES, JudgeLoop
from vedette.ports.outbox import CLOUD_CHANNEL

BEGIN_S = 1.7e9
INSIGHTS = {
    "door": Crossings(type="crossings", line=((0.5, 0.0), (0.5, 1.0))),
    "floor": Occupancy(type="occupancy"),
    "paths": HeatMap(type="heat_map", grid=(8, 4)),
}


def with_insights(cameras: Sequence[str], *, interval_s: int = 10, to_file: str | None = None) -> Plan:
    insights = tuple(
        InsightPlan(
            application="app",
            name=name,
            pipeline=PIPELINE,
            camera=camera,
            app_camera=camera,
            insight=insight,
            interval_s=interval_s,
            fps=10.0,
            to_file=to_file,
        )
        for camera in cameras
        for name, insight in INSIGHTS.items()
    )
    return plan(cameras).model_copy(update={"insights": insights})


def expected_reports(content: Plan, everything: Sequence[TrackBatch]) -> list[InsightReport]:
    """What summing up the batches in one go gives."""
    book = InsightBook(DEVICE, content.insights)
    return [new.report for batch in everything for new in book.take(batch)]


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_s = 0.0
        self.wall_s = BEGIN_S
        self.told: list[InsightReport] = []
        self.start()

    def start(self) -> None:
        self.reader = SqliteJournalReader(self.folder / "journal.db")
        self.outbox = SqliteOutbox(self.folder / "outbox.db")
        self.loop = JudgeLoop(
            DEVICE,
            self.reader,
            self.outbox,
            lambda _: None,
            reported=self.told.extend,
            wall_s=lambda: self.wall_s,
            monotonic=lambda: self.now_s,
        )
        self.loop.set_plan(PLAN)

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

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.wall_s += seconds
        self.judge()

    def stored(self) -> list[InsightReport]:
        return [InsightReport.model_validate_json(one.body) for one in self.outbox.reports(CLOUD_CHANNEL, 1000)]


PLAN = with_insights(["gate"])


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path)
    yield one
    one.stop()


def test_reports_are_stored_with_the_next_commit_and_told(bench: Bench) -> None:
    content = list(batches("gate", 25))
    bench.journal(content)
    bench.judge()
    bench.loop.commit()
    wanted = expected_reports(PLAN, content)
    assert len(wanted) == 2
    assert bench.stored() == bench.told == wanted


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("cut", [1, 60, 99, 100, 101, 150, 199, 201])
def test_a_restart_anywhere_loses_and_doubles_nothing(bench: Bench, cut: int, committed: bool) -> None:
    content = list(batches("gate", 25))
    bench.journal(content[:cut])
    bench.judge()
    if committed:
        bench.loop.commit()
    bench.stop()
    bench.start()
    bench.journal(content[cut:])
    bench.judge()
    bench.loop.commit()
    assert bench.stored() == expected_reports(PLAN, content)


def test_a_commit_that_fails_keeps_the_reports(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    content = list(batches("gate", 25))
    bench.journal(content)

    def refuse(*_arguments: object) -> int:
        raise StorageError("the disk is full", code="V404")

    with monkeypatch.context() as patched:
        patched.setattr(bench.outbox, "commit", refuse)
        bench.judge()
        bench.pass_time(5.0)
        assert bench.told == []
    bench.judge()
    bench.loop.commit()
    assert bench.stored() == bench.told == expected_reports(PLAN, content)


def test_a_camera_that_went_away_is_told_of(bench: Bench) -> None:
    content = list(batches("gate", 12))
    bench.journal(content)
    bench.wall_s = content[-1].frame.wall_s
    bench.judge()
    for _ in range(60):
        bench.pass_time(1.0)
    reports = bench.stored()
    assert [round(report.analysed_s, 1) for report in reports] == [10.0, 1.9, 0.0, 0.0, 0.0, 0.0]
    assert [report.start.timestamp() - BEGIN_S for report in reports] == [0, 10, 20, 30, 40, 50]


def test_pictures_that_wait_to_be_judged_are_no_outage(bench: Bench) -> None:
    """The process was away for long; what is in the journal comes first, whatever the clock says."""
    content = list(batches("gate", 80))
    assert len(content) > 3 * STEP_BATCHES
    bench.journal(content[:5])
    bench.judge()
    bench.loop.commit()
    bench.stop()
    bench.wall_s += 3600.0
    bench.start()
    bench.journal(content[5:])
    for _ in range(10):
        bench.now_s += 2.0
        bench.loop.step(0.0)
    bench.loop.commit()
    stored, wanted = bench.stored(), expected_reports(PLAN, content)
    assert stored[: len(wanted)] == wanted
    assert all(report.analysed_s == 0.0 for report in stored[len(wanted) + 1 :])
    assert len({report.report_id for report in stored}) == len(stored)


def test_insights_that_stay_go_on_under_another_plan(bench: Bench) -> None:
    content = list(batches("gate", 25))
    bench.journal(content[:50])
    bench.judge()
    bench.loop.set_plan(with_insights(["gate", "yard"]))
    bench.journal(content[50:])
    bench.judge()
    bench.loop.commit()
    assert [report for report in bench.stored() if report.camera == "gate"] == expected_reports(PLAN, content)


def test_a_state_without_insights_is_that_of_the_release_before(bench: Bench) -> None:
    bench.outbox.commit("", 0, {"version": 1, "rules": {}, "streams": []})
    bench.stop()
    bench.start()
    content = list(batches("gate", 25))
    bench.journal(content)
    bench.judge()
    bench.loop.commit()
    assert bench.stored() == expected_reports(PLAN, content)


def test_the_state_stays_small(bench: Bench) -> None:
    bench.journal(list(batches("gate", 100)))
    bench.judge()
    bench.loop.commit()
    assert len(json.dumps(bench.outbox.resume().state)) < 20_000
