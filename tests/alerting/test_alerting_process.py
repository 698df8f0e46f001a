"""The alerting component as processes: kill -9 at any point, starts in any order, configuration, nucleus away."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.actions.receivers import WebhookLedger, until
from tests.alerting.nucleus import Nucleus
from tests.alerting.scene import DEVICE, batches, expected, plan, write_plan
from tests.alerting.test_judge_insights import expected_reports, with_insights
from vedette.adapters.journal.sqlite import SqliteJournalWriter
from vedette.adapters.state.files import write_component_status
from vedette.contracts import topics
from vedette.contracts.camera import CameraState
from vedette.contracts.device_health import DeviceHealth
from vedette.contracts.health import AlertingHealth
from vedette.contracts.insight import InsightReport
from vedette.contracts.manifest import FileAction, IotCoreAction, WebhookAction
from vedette.local.ledger import Entry, Ledger

REPOSITORY = Path(__file__).resolve().parents[2]
RECIPE: dict[str, Any] = yaml.safe_load((REPOSITORY / "recipes" / "vedette.Alerting.yaml").read_text())

pytestmark = pytest.mark.processes


class Component:
    """``vedette.Alerting`` as Greengrass runs it, on a nucleus of the test."""

    def __init__(self, folder: Path, **configuration: Any) -> None:
        self.state = folder / "state"
        defaults = RECIPE["ComponentConfiguration"]["DefaultConfiguration"]
        access = defaults["accessControl"]
        own = {key: value for key, value in defaults.items() if key != "accessControl"}
        self.secrets = folder / "secrets.json"
        self.secrets.write_text(json.dumps({"vedette/receiver/hook": {"key": "signing-key"}}))
        self.secrets.chmod(0o600)
        self.nucleus = Nucleus(
            folder,
            access=access,
            configuration={**own, "stateDirectory": str(self.state), **configuration},
            secrets_file=self.secrets,
        )
        self.log = folder / "log.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def make_state(self) -> None:
        (self.state / "run" / "status").mkdir(parents=True)

    def start(self) -> None:
        environment = {
            **os.environ,
            **self.nucleus.environment,
            "AWS_IOT_THING_NAME": DEVICE,
            "PYTHONPATH": f"{REPOSITORY / 'components'}:{REPOSITORY / 'src'}",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "alerting"], env=environment, stdout=log, stderr=log)

    def worker(self) -> int:
        """Process number of the worker, once there is one."""
        assert self.process is not None
        found: list[int] = []

        def look() -> bool:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")  # type: ignore[union-attr]
            pids = [int(pid) for task in children.parents[1].iterdir() for pid in _children(task)]
            found[:] = [pid for pid in pids if b"alerting.worker" in _command(pid)]
            return bool(found)

        until(look, "the worker")
        return found[0]

    def health(self) -> AlertingHealth | None:
        try:
            document = json.loads((self.state / "run" / "status" / "vedette.Alerting.json").read_text())
        except (OSError, ValueError):
            return None
        return AlertingHealth.model_validate({k: v for k, v in document.items() if k not in ("wall_s", "pid")})

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.nucleus.close()

    def lines(self) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in (self.state / "alerts.jsonl").read_bytes().splitlines()]
        except OSError:
            return []


def _children(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except OSError:
        return []


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def make_component(short_tmp: Path) -> Iterator[Callable[..., Component]]:
    made: list[Component] = []

    def make(**configuration: Any) -> Component:
        made.append(Component(short_tmp, **configuration))
        return made[-1]

    yield make
    for component in made:
        component.close()
        if component.log.exists():
            print(component.log.read_text()[-4000:])


@pytest.fixture
def hook() -> Iterator[WebhookLedger]:
    ledger = WebhookLedger()
    yield ledger
    ledger.close()


def test_start_order_does_not_matter_and_sigterm_ends_it(make_component: Callable[..., Component]) -> None:
    component = make_component()
    component.start()
    until(lambda: component.nucleus.states == ["RUNNING"], "reported")
    component.worker()
    component.make_state()
    until(component.health, "health without journal and plan")
    content = plan(["gate"])
    everything = list(batches("gate", 3))
    writer = SqliteJournalWriter(component.state / "journal.db", component.state / "run" / "alerting.bell")
    for batch in everything:
        writer.append(batch)
    writer.close()
    write_plan(component.state, content)
    wanted = expected(content, everything)
    until(lambda: len(component.lines()) == 3, "three alerts")
    assert [line["alert_id"] for line in component.lines()] == [alert.alert_id for alert in wanted]
    assert component.stop() == 0
    assert component.nucleus.states == ["RUNNING"]


def test_alerts_come_soon_after_the_picture_was_analysed(make_component: Callable[..., Component]) -> None:
    component = make_component(publishAlerts="true")
    component.make_state()
    write_plan(component.state, plan(["gate"]))
    component.start()
    until(component.health, "it runs")
    writer = SqliteJournalWriter(component.state / "journal.db", component.state / "run" / "alerting.bell")
    delays = []
    for number, batch in enumerate(batches("gate", 12)):
        before = len(component.lines())
        begun_s = time.monotonic()
        writer.append(batch)
        if number % 10 == 5:
            until(lambda: len(component.lines()) > before, "the alert")  # noqa: B023
            delays.append(time.monotonic() - begun_s)
    writer.close()
    assert len(component.lines()) == 12
    assert sorted(delays)[len(delays) // 2] < 0.3, delays


@pytest.mark.slow
@pytest.mark.parametrize("people", [25, pytest.param(80, marks=pytest.mark.faults)])
def test_kill_9_at_any_point_loses_and_doubles_nothing(
    make_component: Callable[..., Component], hook: WebhookLedger, people: int
) -> None:
    chance = random.Random(11)
    component = make_component()
    component.make_state()
    cameras = ["gate", "yard", "hall"]
    webhook = WebhookAction(type="webhook", url=hook.url, allow_private=True, secret="vedette/receiver/hook")
    content = plan(cameras, {"app/file": FileAction(type="file"), "app/hook": webhook})
    write_plan(component.state, content)
    streams = [list(batches(camera, people)) for camera in cameras]
    everything = [batch for together in zip(*streams, strict=True) for batch in together]
    wanted = [alert.alert_id for alert in expected(content, everything)]
    assert len(set(wanted)) == people * len(cameras)
    writer = SqliteJournalWriter(component.state / "journal.db", component.state / "run" / "alerting.bell")
    component.start()
    kills, rest = 0, list(everything)
    while rest:
        step, rest = rest[:300], rest[300:]
        worker = component.worker()
        for batch in step:
            writer.append(batch)
        time.sleep(chance.random() * 1.4)
        os.kill(worker, signal.SIGKILL)
        kills += 1
        until(lambda: component.worker() != worker, "a new worker")  # noqa: B023
    writer.close()
    until(lambda: len(component.lines()) >= len(wanted), "the file has all")
    until(lambda: len(set(hook.ids())) == len(wanted), "the webhook has all")
    assert component.stop() == 0
    lines = component.lines()
    assert sorted(line["alert_id"] for line in lines) == sorted(wanted), "each exactly once"
    assert set(hook.ids()) == set(wanted)
    repeats = len(hook.ids()) - len(set(hook.ids()))
    assert repeats <= kills, "at most the one on its way at each kill"
    for camera in cameras:
        times = [line["media_time_s"] for line in lines if line["camera"] == camera]
        assert times == sorted(times)
    assert component.nucleus.states == ["RUNNING"]
    assert kills >= people // 10


def test_the_account_is_told_how_the_whole_device_is(make_component: Callable[..., Component]) -> None:
    component = make_component()
    component.make_state()
    status = {"cameras": [{"camera": "gate", "state": "UNREACHABLE"}], "problems": []}
    write_component_status(component.state, "vedette.CameraIngest", status)
    write_plan(component.state, plan(["gate"], {"app/file": FileAction(type="file")}))
    component.start()
    topic, published = topics.cloud_health(DEVICE), component.nucleus.iot.published
    until(lambda: any(where == topic for where, _ in published), "the message about the device")
    told = DeviceHealth.model_validate_json(next(payload for where, payload in published if where == topic))
    assert (told.device, told.cameras, told.cameras_down) == (DEVICE, {"gate": CameraState.UNREACHABLE}, 1)
    assert told.disk is not None
    assert component.stop() == 0


def test_the_cloud_gets_everything_once_its_ledger_answers(
    make_component: Callable[..., Component], short_tmp: Path
) -> None:
    component = make_component()
    component.make_state()
    nucleus = component.nucleus
    ledger = Ledger(short_tmp / "ledger.db")
    answering = False

    def record(topic: str, payload: bytes) -> None:
        if topic == topics.cloud_alerts(DEVICE) and answering:
            for epoch, through in ledger.record([Entry.parse(payload)], received_s=0.0).items():
                answer = json.dumps({"epoch": epoch, "through_seq": through}).encode()
                nucleus.cloud_says(topics.cloud_ack(DEVICE), answer)

    nucleus.iot.on_publish = record
    nucleus.iot.online = False
    content = plan(["gate"], {"app/cloud": IotCoreAction(type="iot_core"), "app/file": FileAction(type="file")})
    write_plan(component.state, content)
    component.start()
    everything = list(batches("gate", 30))
    writer = SqliteJournalWriter(component.state / "journal.db", component.state / "run" / "alerting.bell")
    for batch in everything:
        writer.append(batch)
    writer.close()
    until(lambda: len(component.lines()) == 30, "the file does not wait for the cloud")
    answering = True
    nucleus.iot.online = True

    def drained() -> bool:
        health = component.health()
        return health is not None and health.alerts == 30 and health.receivers["iot_core"].pending == 0

    until(drained, "everything acknowledged")
    wanted = [alert.alert_id for alert in expected(content, everything)]
    assert [one["alert_id"] for one in ledger.alerts()] == wanted
    component.stop()
    ledger.close()


def reports_of(component: Component) -> list[InsightReport]:
    """Reports the cloud has got, in the order of their arrival, repeats included."""
    topic = topics.cloud_insights(DEVICE)
    return [
        InsightReport.model_validate_json(payload)
        for where, payload in component.nucleus.iot.published
        if where == topic
    ]


def test_reports_reach_the_cloud_and_a_file_after_an_outage(make_component: Callable[..., Component]) -> None:
    component = make_component()
    component.make_state()
    component.nucleus.iot.online = False
    content = with_insights(["gate"], to_file="figures.jsonl")
    write_plan(component.state, content)
    component.start()
    everything = list(batches("gate", 45, begin_wall_s=time.time() // 10 * 10 - 100))
    writer = SqliteJournalWriter(component.state / "journal.db", component.state / "run" / "alerting.bell")
    for batch in everything:
        writer.append(batch)
    writer.close()
    wanted = expected_reports(content, everything)
    assert len(wanted) == 4
    figures = component.state / "figures.jsonl"
    until(lambda: figures.exists() and len(figures.read_bytes().splitlines()) >= 4, "the file does not wait")
    until(lambda: len(component.lines()) == 45, "alerts neither")

    def waiting() -> bool:
        health = component.health()
        return health is not None and health.reports_pending >= 4 and "IoT Core" in health.reports_problem

    until(waiting, "what waits is told")
    component.nucleus.iot.online = True
    until(lambda: len(reports_of(component)) >= 4, "the cloud has them")
    assert reports_of(component)[:4] == wanted
    lines = [InsightReport.model_validate_json(line) for line in figures.read_bytes().splitlines()]
    assert lines[:4] == wanted
    assert all(len(payload) < 7_000 for _, payload in component.nucleus.iot.published)
    shown = json.loads((component.state / "run" / "insights.json").read_bytes())
    assert [report["camera"] for report in shown] == ["gate"]
    assert component.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("people", [50, pytest.param(160, marks=pytest.mark.faults)])
def test_kill_9_at_any_point_loses_and_doubles_no_minute(make_component: Callable[..., Component], people: int) -> None:
    chance = random.Random(5)
    component = make_component()
    component.make_state()
    cameras = ["gate", "yard"]
    content = with_insights(cameras)
    write_plan(component.state, content)
    # Pictures of the next minutes: of those of the past, the clock would say that they come late.
    begin_s = time.time() // 10 * 10 + 60
    streams = [list(batches(camera, people, begin_wall_s=begin_s)) for camera in cameras]
    everything = [batch for together in zip(*streams, strict=True) for batch in together]
    wanted = {report.report_id: report for report in expected_reports(content, everything)}
    assert len(wanted) == 2 * (people // 10 - 1)
    writer = SqliteJournalWriter(component.state / "journal.db", component.state / "run" / "alerting.bell")
    component.start()
    kills, rest = 0, list(everything)
    while rest:
        step, rest = rest[:300], rest[300:]
        worker = component.worker()
        for batch in step:
            writer.append(batch)
        time.sleep(chance.random() * 1.4)
        os.kill(worker, signal.SIGKILL)
        kills += 1
        until(lambda: component.worker() != worker, "a new worker")  # noqa: B023
    writer.close()

    def got() -> dict[str, InsightReport]:
        return {report.report_id: report for report in reports_of(component) if report.report_id in wanted}

    until(lambda: len(got()) == len(wanted), "every minute")
    assert got() == wanted
    arrived = [report for report in reports_of(component) if report.report_id in wanted]
    assert len(arrived) - len(wanted) <= kills * 20, "at most what was on its way at each kill"
    for repeat in arrived:
        assert repeat == wanted[repeat.report_id], "a repeat says the same"
    assert kills >= people // 16
    assert component.stop() == 0


def test_configuration_takes_effect_and_mistakes_do_not(make_component: Callable[..., Component]) -> None:
    component = make_component()
    component.make_state()
    write_plan(component.state, plan(["gate"]))
    component.start()
    until(component.health, "it runs")
    first = component.worker()
    component.nucleus.configure({"logLevel": "SHOUTING"})
    until(lambda: "logLevel" in component.log.read_text(), "the mistake is told")
    assert component.worker() == first
    component.nucleus.configure({"logLevel": "DEBUG", "journalMaxAgeS": "60"})
    until(lambda: component.worker() != first, "a worker with the new configuration")
    assert "Traceback" not in component.log.read_text()


def test_a_supervisor_that_is_killed_takes_its_worker_along(make_component: Callable[..., Component]) -> None:
    component = make_component()
    component.make_state()
    component.start()
    worker = component.worker()
    assert component.process is not None
    component.process.kill()
    component.process.wait()
    until(lambda: not _command(worker), "the worker is gone")


def test_the_supervisor_loads_no_native_code_of_the_pipeline() -> None:
    program = (
        "import sys, alerting.__main__; print([m for m in ('numpy','av','cv2','onnxruntime') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'components'}:{REPOSITORY / 'src'}"}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
