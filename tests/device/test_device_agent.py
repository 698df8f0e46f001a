"""The device agent against an account that forgets nothing: through kills, lost messages, lost files, bad updates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.local.job_device import JobDevice, runtime
from vedette.adapters.egress.package import PackageLoader
from vedette.compose.device_agent import DeviceAgent
from vedette.contracts.device_job import UpdateJob
from vedette.contracts.errors import DeliveryError

THING = "SN-7"
ROUNDS = 4000


class Account:
    """AWS IoT's side of one device's jobs, and the nucleus in between.

    Attributes:
        online: whether messages get through.
        status: of the one job; empty where there is none.
        details: that the device told last.
        told: statuses as they were told.
    """

    def __init__(self, device: JobDevice) -> None:
        self._device = device
        self._callbacks: dict[str, Callable[[str, bytes], None]] = {}
        self.online = True
        self.document: Any = None
        self.status = ""
        self.details: dict[str, str] = {}
        self.told: list[str] = []

    def job(self, document: Any) -> None:
        """A job for the device."""
        self.document, self.status, self.details = document, "QUEUED", {}
        self._say("notify-next", {"execution": {"jobId": "j1"}})

    def configuration(self) -> dict[str, Any]:
        return self._device.configuration()

    def subscribe_cloud(self, topic: str, callback: Callable[[str, bytes], None]) -> None:
        self._callbacks[topic.removeprefix(f"$aws/things/{THING}/jobs/")] = callback

    def report_running(self) -> None: ...

    def publish_cloud(self, topic: str, payload: bytes) -> None:
        if not self.online:
            raise DeliveryError("the broker is away")
        rest, said = topic.removeprefix(f"$aws/things/{THING}/jobs/"), json.loads(payload)
        if rest == "start-next":
            self._say("start-next/accepted", {"execution": self._next()})
            return
        job, _, what = rest.partition("/")
        assert (job, what) == ("j1", "update"), rest
        if self.status not in {"QUEUED", "IN_PROGRESS"}:
            self._say("j1/update/rejected", {"code": "InvalidStateTransition", "message": self.status})
            return
        self.status, self.details = said["status"], said["statusDetails"]
        self.told.append(self.status)
        assert all(0 < len(value) <= 1024 and value.isprintable() for value in self.details.values())
        self._say("j1/update/accepted", {"clientToken": said["clientToken"]})

    def _next(self) -> dict[str, Any]:
        if self.status not in {"QUEUED", "IN_PROGRESS"}:
            return {}
        details = self.details
        self.status = "IN_PROGRESS"
        return {"jobId": "j1", "executionNumber": 1, "jobDocument": self.document, "statusDetails": details}

    def _say(self, rest: str, message: dict[str, Any]) -> None:
        pattern = f"+/{rest.partition('/')[2]}" if "update" in rest else rest
        if self.online and pattern in self._callbacks:
            self._callbacks[pattern](f"$aws/things/{THING}/jobs/{rest}", json.dumps(message).encode())


class Loader(PackageLoader):
    """Has the package at once."""

    def __init__(self, package: bytes) -> None:
        super().__init__()
        self._package = package
        self._begun = False

    def begin(self, job: UpdateJob, target: Path) -> None:
        target.write_bytes(self._package)
        self._begun = True

    def running(self) -> bool:
        return self._begun

    def state(self) -> tuple[bool, str]:
        return self._begun, ""

    def stop(self) -> None:
        self._begun = False


class Life:
    """A device over time: each round a second passes, the agent looks, and systemd runs the helper."""

    def __init__(self, device: JobDevice, package: bytes = b"") -> None:
        self.device = device
        self.account = Account(device)
        self.package = package
        self.now_s = 10_000.0
        self.well = True
        self.start()

    def start(self) -> None:
        """The agent's process begins; the one before is gone without a word."""
        self.agent = DeviceAgent(
            self.account,  # type: ignore[arg-type]  # what the agent uses of a bus
            THING,
            loader=Loader(self.package),
            monotonic=lambda: self.now_s,
            clock=lambda: self.now_s,
        )
        self.agent._progress = self.agent._kept()
        for rest in ("notify-next", "start-next/accepted", "+/update/accepted", "+/update/rejected"):
            self.account.subscribe_cloud(rest, self.agent._hear)

    def round(self) -> None:
        """One second."""
        self.now_s += 1
        self.device.status("vedette.Alerting", wall_s=self.now_s if self.well else 0)
        self.agent.look(0.0)
        self.device.helped()

    def until(self, done: Callable[[], bool], each: Callable[[], None] = lambda: None) -> None:
        """Rounds until something is so."""
        for _ in range(ROUNDS):
            if done():
                return
            each()
            self.round()
        raise AssertionError((self.account.status, self.account.details))

    def restarted(self) -> None:
        """The account asks for a restart, and it is done."""
        self.account.job(REBOOT)
        self.until(lambda: "systemctl reboot" in self.device.machine.calls())
        self.device.boot("boot-2")
        self.start()
        self.until(self.ended)

    def ended(self) -> bool:
        """Whether the job is over, for the account and for the device."""
        over = self.account.status not in {"QUEUED", "IN_PROGRESS"}
        return over and not (self.device.state / "agent/job.json").exists()


@pytest.fixture
def device(tmp_path: Path) -> JobDevice:
    return JobDevice(tmp_path)


REBOOT = {"vedette": 1, "operation": "reboot"}


def test_an_update_with_which_the_device_is_well_stays(device: JobDevice) -> None:
    package = runtime("good")
    life = Life(device, package)
    life.account.job(device.update(package, probation_s=60))
    life.until(life.ended)
    assert (life.account.status, device.runs) == ("SUCCEEDED", "good"), life.account.details
    assert not (device.root / "var/lib/vedette-helper/pending").exists()


def test_an_update_with_which_the_device_is_not_well_is_taken_back(device: JobDevice) -> None:
    package = runtime("bad")
    life = Life(device, package)
    life.account.job(device.update(package, probation_s=60))
    life.until(lambda: device.runs == "bad")
    life.well = False
    life.until(life.ended)
    assert (life.account.status, device.runs) == ("FAILED", "first")
    assert life.account.details["reason"] == (
        "not well with it: vedette.Alerting is silent; the previous one was put back"
    )


def test_a_device_that_lost_its_uplink_by_the_update_takes_it_back_and_tells_when_it_can(device: JobDevice) -> None:
    package = runtime("cuts off")
    life = Life(device, package)
    life.account.job(device.update(package, probation_s=60))
    life.until(lambda: device.runs == "cuts off")
    life.account.online = False
    life.until(lambda: device.runs == "first")
    assert life.account.status == "IN_PROGRESS"
    life.account.online = True
    life.until(life.ended)
    assert life.account.status == "FAILED"
    assert "no answer from AWS IoT" in life.account.details["reason"]


@pytest.mark.parametrize("document", ["reboot", "update"])
def test_a_process_that_is_killed_again_and_again_ends_the_job_the_same_way(device: JobDevice, document: str) -> None:
    package = runtime("good")
    life = Life(device, package)
    life.account.job(REBOOT if document == "reboot" else device.update(package, probation_s=20))

    rounds, file = iter(range(ROUNDS)), device.state / "agent/job.json"

    def kill() -> None:
        if "systemctl reboot" in device.machine.calls():
            device.boot("boot-2")
        # A message that has just come needs a round to be read, and a probation wants to be whole.
        if next(rounds) % 3 or (file.exists() and '"probation"' in file.read_text()):
            return
        life.start()
        life.account._say("notify-next", {"execution": {"jobId": "j1"}})

    life.until(life.ended, each=kill)
    assert life.account.status == "SUCCEEDED", life.account.details
    assert device.machine.calls().count("systemctl reboot") == (1 if document == "reboot" else 0)


def test_a_machine_that_refuses_to_restart_is_told_truly(device: JobDevice) -> None:
    device.machine.write("proc/uptime", "5.0 1.0\n")
    life = Life(device)
    life.account.job(REBOOT)
    life.until(life.ended)
    assert life.account.status == "FAILED"
    assert "up for 5 s only" in life.account.details["reason"]


@pytest.mark.parametrize("content", [None, "no JSON", '{"job_id": "../x"}'])
def test_a_job_of_which_the_device_lost_the_file_is_never_done_twice(device: JobDevice, content: str | None) -> None:
    life = Life(device)
    life.account.job(REBOOT)
    life.until(lambda: "systemctl reboot" in device.machine.calls() and bool(life.account.details))
    file = device.state / "agent/job.json"
    file.unlink() if content is None else file.write_text(content)
    device.boot("boot-2")
    life.start()
    life.until(lambda: life.account.status == "FAILED")
    assert life.account.details["reason"] == "the device has lost what it knew of this job"
    assert device.machine.calls().count("systemctl reboot") == 1


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "reboot",
        {"operation": "reboot", "vedette": 9},
        {"operation": "x" * 5000},
        {"operation": "reboot", "a\nb\0": 1},
        {"vedette": 1},
    ],
)
def test_what_is_no_job_is_rejected_and_the_next_one_is_done(device: JobDevice, document: Any) -> None:
    life = Life(device)
    life.account.job(document)
    life.until(lambda: life.account.status == "REJECTED")
    assert life.account.details["reason"].startswith("V021")
    life.account.job(REBOOT)
    life.until(lambda: "systemctl reboot" in device.machine.calls())


def test_a_job_that_was_cancelled_before_it_changed_anything_is_forgotten(device: JobDevice) -> None:
    life = Life(device, runtime("x"))
    life.account.job(device.update(runtime("x")))
    life.until((device.state / "agent/job.json").exists)
    life.account.status = "CANCELED"
    life.until(lambda: not (device.state / "agent/job.json").exists())
    assert not (device.root / "var/lib/vedette-helper/pending").exists()


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b"{", b"1", b"x" * (1 << 20), b"[" * 60000])
def test_messages_in_no_known_form_end_nothing(device: JobDevice, payload: bytes) -> None:
    life = Life(device)
    for rest in (
        "notify-next",
        "start-next/accepted",
        "start-next/rejected",
        "j1/update/accepted",
        "j1/update/rejected",
    ):
        life.agent._hear(f"$aws/things/{THING}/jobs/{rest}", payload)
        life.round()
    life.account.job(REBOOT)
    life.until(lambda: "systemctl reboot" in device.machine.calls())


@pytest.mark.parametrize("job_id", ["../j", "j/#", "+", "", "j\n", "x" * 65, "j1/update/accepted", 7, ["j"], "j\0"])
@pytest.mark.parametrize("document", [REBOOT, None])
def test_a_job_id_that_is_none_is_part_of_no_topic(device: JobDevice, job_id: Any, document: Any) -> None:
    life = Life(device)
    execution = {"jobId": job_id, "executionNumber": 1, "jobDocument": document, "statusDetails": {"stage": "x"}}
    life.agent._hear(f"$aws/things/{THING}/jobs/start-next/accepted", json.dumps({"execution": execution}).encode())
    life.round()  # the account takes topics of the one job only
    assert life.account.told == []
    life.account.job(REBOOT)
    life.until(lambda: "systemctl reboot" in device.machine.calls())


@pytest.mark.parametrize("restarted", [False, True])
def test_a_job_that_is_over_is_not_done_again_where_its_message_comes_again(
    device: JobDevice, *, restarted: bool
) -> None:
    life = Life(device)
    life.restarted()
    assert life.account.status == "SUCCEEDED"
    if restarted:
        life.start()
    again = {"jobId": "j1", "executionNumber": 1, "jobDocument": REBOOT}
    life.account._say("start-next/accepted", {"execution": again})
    for _ in range(30):
        life.round()
    assert device.machine.calls().count("systemctl reboot") == 1
    life.account._say("start-next/accepted", {"execution": again | {"executionNumber": 2}})
    life.until(lambda: device.machine.calls().count("systemctl reboot") == 2)


@pytest.mark.parametrize("content", ["", "{", "7", '[["j1"]]', "null", "[" * 60_000])
def test_a_damaged_list_of_jobs_that_are_over_stops_nothing(device: JobDevice, content: str) -> None:
    (device.state / "agent/ended.json").write_text(content)
    life = Life(device)
    life.account.job(REBOOT)
    life.until(lambda: "systemctl reboot" in device.machine.calls())
