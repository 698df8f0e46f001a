"""``vedette.AppHost`` and ``vedette.Alerting`` as processes: from batches in the journal to alerts, through kills."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.actions.receivers import until
from tests.hooks.host import Component, alerts, application, make_state, write_plan
from tests.hooks.rig import Bench, InlineProcess, batch
from tests.hooks.test_hook_loop import COUNT
from vedette.adapters.hooks.store import SqliteHookStore
from vedette.adapters.journal.sqlite import SqliteJournalWriter
from vedette.contracts.manifest import FileAction
from vedette.contracts.tracks import TrackBatch

pytestmark = pytest.mark.processes

#: The same as ``test_hook_loop.count``, as the author of an application would write it.
COUNTING = """
def on_tracks(app, seen):
    app.state["sum"] = app.state.get("sum", 0) * 31 % 1_000_003 + seen.frame_no + len(seen.objects)
    app.state[seen.camera] = app.state.get(seen.camera, 0) + 1
    if seen.objects:
        app.alert(f"{seen.camera} {seen.frame_no} {app.state['sum']}", objects=seen.objects)
"""


class Site:
    """A state directory with both components."""

    def __init__(self, folder: Path, **configuration: Any) -> None:
        self.folder = folder
        self.state = folder / "state"
        make_state(self.state)
        self.host = Component("vedette.AppHost", folder / "host", self.state, **configuration)
        self.alerting = Component("vedette.Alerting", folder / "alerting", self.state)
        self.writer = SqliteJournalWriter(self.state / "journal.db", self.state / "run" / "alerting.bell")

    def start(self) -> None:
        self.host.start()
        self.alerting.start()

    def hook(self, key: str = "app/greeter") -> dict[str, Any]:
        found: dict[str, Any] = self.host.status().get("hooks", {}).get(key, {})
        return found

    def running(self, key: str = "app/greeter") -> None:
        until(lambda: self.hook(key).get("state") == "RUNNING", f"{key} runs: {self.hook(key)}")

    def close(self) -> None:
        self.writer.close()
        self.host.close()
        self.alerting.close()


@pytest.fixture
def make_site(short_tmp: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(**configuration: Any) -> Site:
        made.append(Site(short_tmp, **configuration))
        return made[-1]

    yield make
    for site in made:
        site.close()
        for component in (site.host, site.alerting):
            if component.log.exists():
                print(component.log.read_text()[-3000:])


def test_from_the_journal_to_the_receiver(make_site: Callable[..., Site]) -> None:
    site = make_site()
    write_plan(site.state, [application(site.folder, "app", COUNTING)])
    site.start()
    site.running()
    for number in range(6):
        site.writer.append(batch(number, begin_s=time.time()))
    until(lambda: len(alerts(site.state)) == 4, "four alerts")
    first = alerts(site.state)[0]
    assert (first["application"], first["rule"], first["camera"], first["severity"]) == (
        "app", "greeter", "gate", "warning",
    )  # fmt: skip
    assert (first["frame_no"], first["epoch"], first["track_ids"]) == (1, "epoch-gate", [1])
    until(lambda: site.hook().get("calls") == 6, "figures")
    status = site.hook()
    assert set(status["walls"]) >= {"seccomp", "limits"}
    assert status["alerts"] == 4
    assert status["call_p50_ms"] > 0
    assert site.host.stop() == 0
    assert site.host.nucleus.states == ["RUNNING"]


def test_alerts_come_soon_after_the_picture_was_analysed(make_site: Callable[..., Site]) -> None:
    site = make_site()
    write_plan(site.state, [application(site.folder, "app", COUNTING)])
    site.start()
    site.running()
    delays = []
    for number in range(1, 12):
        before = len(alerts(site.state))
        begun_s = time.monotonic()
        site.writer.append(batch(number, people=1, begin_s=time.time()))
        until(lambda: len(alerts(site.state)) > before, "the alert")  # noqa: B023
        delays.append(time.monotonic() - begun_s)
    assert sorted(delays)[len(delays) // 2] < 0.4, delays


def test_an_application_without_hooks_costs_no_process(make_site: Callable[..., Site]) -> None:
    site = make_site()
    write_plan(site.state, [])
    site.host.start()
    until(lambda: site.host.nucleus.states == ["RUNNING"], "reported")
    assert site.host.pids("app_host.warden") == []
    hook = application(site.folder, "app", COUNTING)
    write_plan(site.state, [hook], revision=2)
    site.running()
    (warden,) = site.host.pids("app_host.warden")
    child = site.hook()["pid"]
    write_plan(site.state, [hook], revision=3)
    time.sleep(0.6)
    assert site.host.pids("app_host.warden") == [warden], "a plan that says the same of it restarts nothing"
    write_plan(site.state, [], revision=4)
    until(lambda: not site.host.pids("app_host.warden"), "the warden is gone")
    assert not Path(f"/proc/{child}").exists()
    assert site.host.nucleus.states == ["RUNNING"]


def test_new_code_is_run_and_goes_on_with_the_state(make_site: Callable[..., Site]) -> None:
    site = make_site()
    write_plan(site.state, [application(site.folder, "app", COUNTING)])
    site.start()
    site.running()
    site.writer.append(batch(1, begin_s=time.time()))
    until(lambda: len(alerts(site.state)) == 1 and site.hook().get("calls") == 1, "an alert")
    changed = application(site.folder, "app", COUNTING.replace('f"{seen.camera}', 'f"new {seen.camera}'))
    write_plan(site.state, [changed], revision=2)
    until(lambda: site.hook().get("calls") == 0 and site.hook().get("state") == "RUNNING", "a new process")
    site.writer.append(batch(2, begin_s=time.time()))
    until(lambda: len(alerts(site.state)) == 2, "another alert")
    message = alerts(site.state)[1]["message"]
    assert message == f"new gate 2 {(1 + 1) * 31 + 2 + 2}"


def test_broken_code_is_said_and_another_application_notices_nothing(make_site: Callable[..., Site]) -> None:
    site = make_site()
    broken = application(site.folder, "broken", "import nowhere\n")
    write_plan(site.state, [application(site.folder, "app", COUNTING), broken])
    site.start()
    site.running()
    until(lambda: site.hook("broken/greeter").get("state") == "FAILED", "it is said")
    status = site.hook("broken/greeter")
    assert status["code"] == "V801"
    assert "No module named 'nowhere'" in status["error"]
    site.writer.append(batch(1, begin_s=time.time()))
    until(lambda: len(alerts(site.state)) == 1, "the other one alerts")
    assert site.host.nucleus.states == ["RUNNING"]


def test_a_configuration_that_is_wrong_changes_nothing(make_site: Callable[..., Site]) -> None:
    site = make_site()
    write_plan(site.state, [application(site.folder, "app", COUNTING)])
    site.start()
    site.running()
    before = site.host.pids("app_host.warden")
    site.host.nucleus.configure({"allowNetwork": "sometimes"})
    until(lambda: b"V103" in site.host.log.read_bytes(), "it is said")
    assert site.host.pids("app_host.warden") == before
    site.host.nucleus.configure({"allowNetwork": "never"})
    until(lambda: site.host.pids("app_host.warden") not in ([], before), "wardens start anew")


@pytest.mark.slow
def test_kill_9_at_any_point_loses_and_doubles_nothing(make_site: Callable[..., Site], short_tmp: Path) -> None:
    chance = random.Random(7)
    site = make_site(alertsPerMinute=6000)
    write_plan(site.state, [application(site.folder, "app", COUNTING)])
    begin_s = time.time()
    everything = [batch(n, camera, begin_s=begin_s) for n in range(300) for camera in ("gate", "yard")]
    wanted_alerts, wanted_state = uninterrupted(everything, short_tmp / "whole")
    site.start()
    site.running()
    victims: list[Callable[[], list[int]]] = [
        lambda: site.host.pids("app_host.warden"),
        lambda: site.host.pids("hooks.child.main"),
        lambda: site.alerting.pids("alerting.worker"),
    ]
    kills, rest = 0, list(everything)
    while rest:
        step, rest = rest[:40], rest[40:]
        for one in step:
            site.writer.append(one)
        time.sleep(chance.random() * 0.8)
        if kills == 8:
            site.host.kill()
            site.host.start()
        for pid in chance.choice(victims)():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            kills += 1
    assert kills >= 8
    until(lambda: len(alerts(site.state)) >= len(wanted_alerts), f"{len(wanted_alerts)} alerts", 60)
    until(lambda: site.hook().get("state") == "RUNNING" and site.hook().get("lag_s") is not None, "it runs")
    time.sleep(0.5)
    assert site.host.stop() == 0
    assert site.alerting.stop() == 0
    found = alerts(site.state)
    assert sorted(line["message"] for line in found) == sorted(wanted_alerts), "each exactly once"
    assert len({line["alert_id"] for line in found}) == len(found)
    with closing(SqliteHookStore(site.state / "hooks" / "app" / "greeter.db")) as store:
        assert json.loads(store.load().state) == wanted_state


def uninterrupted(batches: list[TrackBatch], folder: Path) -> tuple[list[str], Any]:
    """Messages and state of a run that nothing interrupts."""
    folder.mkdir()
    bench = Bench(folder, lambda: InlineProcess(COUNT))
    bench.wall_s = time.time()
    bench.write(batches)
    bench.start()
    bench.settle(2000)
    bench.loop.finish()
    found = bench.alerts(), bench.state()
    bench.crash()
    return found


def test_a_lagging_hook_holds_the_journal_within_its_size_and_it_is_said(make_site: Callable[..., Site]) -> None:
    site = make_site()
    hook = application(site.folder, "app", "import time\ndef on_tracks(app, seen): time.sleep(50)\n", timeout_s=60.0)
    site.alerting.nucleus.configure({"journalMaxBytes": 1 << 20, "journalMaxAgeS": 1})
    write_plan(site.state, [hook], {"app/file": FileAction(type="file")})
    site.start()
    site.running()
    big = batch(1, people=60)
    for number in range(1500):
        fresh = batch(number, people=0, begin_s=time.time())
        site.writer.append(
            TrackBatch(fresh.pipeline, fresh.frame, big.track_ids, big.boxes, big.labels, big.scores, time.time())
        )
        time.sleep(0.004)  # the judge keeps up
    until(lambda: site.alerting.status().get("unread_by_hooks", {}).get("app/greeter", 0) > 0, "it is said", 30)
    status = site.alerting.status()
    assert status["unread_by_hooks"]["app/greeter"] > status["unjudged"]
    with sqlite3.connect(site.state / "journal.db") as connection:
        rows = connection.execute("SELECT count(*) FROM batches").fetchone()[0]
    connection.close()
    assert 0 < rows < 1500
