"""A device and its document: whatever is lost, repeated or overtaken, the last word of the people holds in the end."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_ingest.parameters import ACCOUNT
from camera_ingest.runtime import RuntimeDocument
from camera_ingest.shadow_link import ANSWER_S, CHECK_S
from tests.device_document.cloud import THING, ConflictError, FakeBus, FakeCloud
from tests.state.test_parameters_on_a_device import app
from vedette.adapters.state.owner import StateOwner
from vedette.contracts.camera import CameraConfig
from vedette.core.redact import RedactingFilter
from vedette.core.shadow import merge_patch

CONFIGURED = (CameraConfig(name="gate", url="rtsp://10.0.0.5/"),)


class Device:
    """The parts of the component that deal with the document, on a clock of the test's own."""

    def __init__(self, folder: Path, cloud: FakeCloud, clock: list[float]) -> None:
        self.cloud, self.clock = cloud, clock
        self.bus = FakeBus(cloud)
        self.owner = StateOwner(folder)
        self.owner.layout.create()
        self.runtime = RuntimeDocument(self.bus, THING, self.owner, RedactingFilter(), lambda: None)  # type: ignore[arg-type]
        assert self.runtime._link is not None
        self.link = self.runtime._link
        self.link._monotonic = lambda: clock[0]
        self.runtime._keeper.load()
        self.cameras: dict[str, CameraConfig] = {}
        self.bring_into_force()

    def bring_into_force(self) -> None:
        self.cameras = {one.name: one for one in self.runtime.judge(CONFIGURED, ())}
        self.runtime.settle()

    def step(self) -> None:
        self.link.step()
        if self.runtime.hear():
            self.bring_into_force()
        self.link.step()

    def deliver(self, index: int = 0, *, keep: bool = False) -> None:
        if self.cloud.flight:
            index %= len(self.cloud.flight)
            what, payload = self.cloud.flight[index]
            if not keep:
                del self.cloud.flight[index]
            self.bus.deliver(what, payload)

    def rest(self) -> None:
        """Until nothing moves any more."""
        for _ in range(200):
            self.step()
            if not self.cloud.flight:
                return
            self.deliver()
        raise AssertionError("device and account talk for ever")

    def close(self) -> None:
        self.runtime.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="vd", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def device(folder: Path) -> Iterator[Device]:
    made = Device(folder, FakeCloud(), [0.0])
    yield made
    made.close()


def url(device: Device, name: str) -> str | None:
    camera = device.cameras.get(name)
    return None if camera is None else camera.url


def test_a_camera_comes_by_a_delta_and_goes_again(device: Device) -> None:
    device.rest()
    assert device.cloud.asked == 1
    assert device.cloud.reports == 0, "where nothing was asked for nothing is told"
    assert not (device.owner.layout.document).exists(), "and nothing is kept"
    version = device.cloud.update({"desired": {"revision": 1, "cameras": {"hall": {"url": "rtsp://10.0.0.7/"}}}})
    device.rest()
    assert url(device, "hall") == "rtsp://10.0.0.7/"
    assert device.cloud.reported["version"] >= version
    assert device.cloud.reported["refused"] == []
    reports = device.cloud.reports
    device.cloud.update({"desired": {"revision": 2, "cameras": None, "paused": {"gate": "anna"}}})
    device.rest()
    assert url(device, "hall") is None
    assert not device.cameras["gate"].enabled
    assert device.cloud.reported["paused"] == ["gate"]
    assert device.cloud.reports == reports + 1, "one report for one change"


def test_a_refused_entry_is_told_and_costs_only_itself(device: Device) -> None:
    device.cloud.update(
        {"desired": {"cameras": {"hall": {"url": "rtsp://u:canary@10.0.0.7/"}, "yard": {"url": "rtsp://10.0.0.8/"}}}}
    )
    device.rest()
    assert set(device.cameras) == {"gate", "yard"}
    (refused,) = device.cloud.reported["refused"]
    assert refused["entry"] == "cameras/hall"
    assert "canary" not in json.dumps(device.cloud.reported)
    assert any("cameras/hall" in problem for problem in device.runtime.problems)


def test_without_the_account_everything_comes_back_as_it_was(device: Device, folder: Path) -> None:
    device.cloud.update({"desired": {"cameras": {"hall": {"url": "rtsp://10.0.0.7/"}}, "paused": {"gate": "anna"}}})
    device.rest()
    assert (folder / "device-document.json").stat().st_mode & 0o777 == 0o600
    device.cloud.online = False
    again = Device(folder, device.cloud, [0.0])
    for _ in range(5):
        again.step()
        again.clock[0] += 30
    assert url(again, "hall") == "rtsp://10.0.0.7/"
    assert not again.cameras["gate"].enabled
    again.close()


def test_a_deleted_document_means_the_deployment_alone(device: Device) -> None:
    device.cloud.update({"desired": {"cameras": {"hall": {"url": "rtsp://10.0.0.7/"}}}})
    device.rest()
    device.cloud.delete()
    device.rest()
    assert set(device.cameras) == {"gate"}
    assert device.cloud.reported["version"] > 0, "and the device says so"
    device.cloud.version = 0  # as after 48 hours: versions begin anew
    device.cloud.state = {"desired": {"cameras": {"yard": {"url": "rtsp://10.0.0.8/"}}}}
    device.clock[0] += CHECK_S
    device.rest()
    assert set(device.cameras) == {"gate", "yard"}


@pytest.mark.parametrize(
    "payload",
    [
        b"nonsense",
        b"[]",
        b'{"version": 9}',
        b'{"version": "x", "state": {}}',
        b'{"version": -1, "state": []}',
        b"{" * 90_000,
        b"\xff",
    ],
)
def test_a_broken_message_is_reported_and_changes_nothing(device: Device, payload: bytes) -> None:
    device.cloud.update({"desired": {"cameras": {"hall": {"url": "rtsp://10.0.0.7/"}}}})
    device.rest()
    device.bus.deliver("update/delta", payload)
    device.rest()
    assert url(device, "hall") is not None
    assert [one["entry"] for one in device.cloud.reported["refused"]] == ["document"]
    device.clock[0] += CHECK_S
    device.rest()
    assert device.cloud.reported["refused"] == []


def test_old_and_repeated_deltas_mean_nothing(device: Device) -> None:
    for number in range(3):
        device.cloud.update({"desired": {"revision": number, "cameras": {"hall": {"url": f"rtsp://10.0.0.{number}/"}}}})
    old = list(device.cloud.flight)
    device.rest()
    assert url(device, "hall") == "rtsp://10.0.0.2/"
    reports = device.cloud.reports
    for what, payload in reversed([*old, *old]):
        device.bus.deliver(what, payload)
        device.rest()
        assert url(device, "hall") == "rtsp://10.0.0.2/"
    assert device.cloud.reports == reports


def test_an_answer_that_was_overtaken_means_nothing(device: Device) -> None:
    device.cloud.update({"desired": {"revision": 1, "cameras": {"hall": {"url": "rtsp://10.0.0.1/"}}}})
    device.rest()
    device.clock[0] += CHECK_S
    device.step()
    assert [what for what, _ in device.cloud.flight] == ["get/accepted"]
    device.cloud.update({"desired": {"revision": 2, "cameras": {"hall": {"url": "rtsp://10.0.0.2/"}}}})
    device.deliver(1)
    device.step()
    assert url(device, "hall") == "rtsp://10.0.0.2/"
    device.deliver(0)
    device.step()
    assert url(device, "hall") == "rtsp://10.0.0.2/"


def test_what_somebody_else_reports_does_not_take_cameras_away(device: Device) -> None:
    """A delta lacks what is reported: what vanishes by a delta is asked for before it is believed."""
    device.cloud.update({"desired": {"cameras": {"hall": {"url": "rtsp://10.0.0.7/"}}}})
    device.rest()
    device.cloud.update({"reported": {"cameras": {"hall": {"url": "rtsp://10.0.0.7/"}}}})
    device.cloud.update({"desired": {"log_level": {"*": "DEBUG"}}})
    device.rest()
    assert url(device, "hall") == "rtsp://10.0.0.7/"
    assert set((device.cloud.state or {})["reported"]) == {"device"}, "and it is put right"


def test_a_document_too_long_for_an_answer_still_comes(device: Device, folder: Path) -> None:
    device.rest()
    device.cloud.update({"desired": {"cameras": {f"c{n}": {"url": f"rtsp://10.0.0.{n}/"} for n in range(20)}}})
    device.rest()
    assert len(device.cameras) == 21
    shutil.rmtree(folder)
    device.cloud.deaf = len(json.dumps(device.cloud.desired)) + 150  # a delta gets through, the whole document does not
    again = Device(folder, device.cloud, [0.0])
    device.cloud.state = {"desired": device.cloud.desired, "reported": {"device": {"pad": "x" * 400}}}
    device.cloud.update({"desired": {"revision": 5}})
    again.rest()
    again.clock[0] += ANSWER_S
    again.rest()
    assert len(again.cameras) == 21
    device.cloud.update({"desired": {"revision": 6, "cameras": {"c3": None}}})
    again.rest()
    again.clock[0] += ANSWER_S
    again.rest()
    assert len(again.cameras) == 20
    again.close()


def value(device: Device, name: str) -> tuple[Any, str, str]:
    (found,) = [entry for entry in device.owner.parameters("shop") if entry.name == name]
    return found.value, found.source, found.by


def test_who_wins_a_parameter(device: Device) -> None:
    device.owner.set_cameras(CONFIGURED)
    device.owner.attach(app("shop", {"patience_s": 40}))
    device.owner.attach(app("other"))
    device.cloud.update({"desired": {"parameters": {"shop": {"patience_s": 50}, "other": {"patience_s": 7}}}})
    device.rest()
    assert value(device, "patience_s") == (50, "local", ACCOUNT)
    # A later deployment of another value: the document still wins.
    device.owner.attach(app("shop", {"patience_s": 60}))
    device.rest()
    assert value(device, "patience_s") == (50, "local", ACCOUNT)
    # Somebody on the device: holds until the account says another value, and is told.
    device.owner.set_parameters("shop", {"patience_s": 70}, "anna")
    device.cloud.update({"desired": {"log_level": {"*": "DEBUG"}}})
    device.rest()
    assert value(device, "patience_s") == (70, "local", "anna")
    assert "anna" in device.cloud.reported["refused"][0]["reason"]
    device.cloud.update({"desired": {"parameters": {"shop": {"patience_s": 80}}}})
    device.rest()
    assert value(device, "patience_s") == (80, "local", ACCOUNT)
    assert device.cloud.reported["refused"] == []
    # Taken back: the deployment's holds; what somebody set of another parameter stays.
    device.owner.set_parameters("shop", {"hold_s": 3}, "anna")
    device.cloud.update({"desired": {"parameters": {"shop": None}}})
    device.rest()
    assert value(device, "patience_s") == (60, "deployment", "")
    assert value(device, "hold_s") == (3, "local", "anna")
    (patience,) = [entry for entry in device.owner.parameters("other") if entry.name == "patience_s"]
    assert patience.value == 7, "one application's values are not the other's"


def test_values_wait_for_their_application(device: Device) -> None:
    device.owner.set_cameras(CONFIGURED)
    device.cloud.update({"desired": {"parameters": {"shop": {"patience_s": 50}}}})
    device.rest()
    assert (
        "not" in device.cloud.reported["refused"][0]["reason"]
        or "wait" in device.cloud.reported["refused"][0]["reason"]
    )
    device.owner.attach(app("shop"))
    device.rest()
    assert value(device, "patience_s") == (50, "local", ACCOUNT)
    assert device.cloud.reported["refused"] == []


def test_a_disk_that_takes_nothing_does_not_keep_anything_from_being_in_force(device: Device, folder: Path) -> None:
    (folder / "device-document.json").unlink(missing_ok=True)
    (folder / "device-document.json").mkdir()
    device.cloud.update({"desired": {"cameras": {"hall": {"url": "rtsp://10.0.0.7/"}}}})
    device.rest()
    assert url(device, "hall") is not None


class Operator:
    """Reads, changes, writes if nobody else did; else all over again. Each step by itself."""

    def __init__(self, cloud: FakeCloud, name: str) -> None:
        self.cloud, self.name = cloud, name
        self.count = 0
        self.wanted: dict[str, str | None] = {}
        self.seen: tuple[int | None, dict[str, Any]] | None = None
        self.pending: tuple[str, str | None] | None = None

    def step(self, remove: bool) -> None:
        if self.pending is None:
            mine = [name for name, address in self.wanted.items() if address is not None]
            if remove and mine:
                self.pending = (mine[0], None)
            else:
                self.count += 1
                self.pending = (f"{self.name}{self.count}", f"rtsp://10.0.0.{self.count}/")
        if self.seen is None:
            exists = self.cloud.state is not None
            self.seen = (self.cloud.version if exists else None, json.loads(json.dumps(self.cloud.desired)))
            return
        version, before = self.seen
        after = json.loads(json.dumps(before))
        name, address = self.pending
        cameras = after.setdefault("cameras", {})
        if address is None:
            cameras.pop(name, None)
        else:
            cameras[name] = {"url": address}
        after["revision"] = after.get("revision", 0) + 1
        self.seen = None
        try:
            self.cloud.update({"desired": merge_patch(before, after)}, version)
        except ConflictError:
            return
        self.wanted[name], self.pending = address, None


STEP = st.sampled_from(
    [
        "a",
        "a",
        "b",
        "b",
        "a-",
        "b-",
        "deliver",
        "deliver",
        "last",
        "twice",
        "lose",
        "device",
        "device",
        "restart",
        "off",
        "on",
        "later",
    ]
)


@settings(max_examples=30, deadline=None)
@given(st.lists(STEP, min_size=5, max_size=60))
def test_whatever_happens_the_last_word_holds(steps: list[str]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="vd", dir="/tmp"))
    cloud, clock = FakeCloud(), [0.0]
    operators = {name: Operator(cloud, name) for name in "ab"}
    device = Device(folder, cloud, clock)
    try:
        for step in steps:
            if step[0] in operators and len(step) < 3:
                operators[step[0]].step(step.endswith("-"))
            elif step in ("deliver", "last", "twice"):
                device.deliver(-1 if step == "last" else 0, keep=step == "twice")
            elif step == "lose":
                del cloud.flight[:1]
            elif step == "device":
                device.step()
            elif step == "restart":
                device.close()
                cloud.flight.clear()
                device = Device(folder, cloud, clock)
            elif step == "later":
                clock[0] += 7.0
            else:
                cloud.online = step == "on"
                if not cloud.online:
                    cloud.flight.clear()
        cloud.online = True
        for operator in operators.values():
            while operator.pending is not None:
                operator.step(remove=False)
        clock[0] += CHECK_S
        device.rest()
        wanted = {name: address for one in operators.values() for name, address in one.wanted.items() if address}
        assert {name: entry["url"] for name, entry in cloud.desired.get("cameras", {}).items()} == wanted, (
            "nothing lost"
        )
        assert {name: one.url for name, one in device.cameras.items() if name != "gate"} == wanted
        if cloud.state is not None:
            assert cloud.reported["revision"] == cloud.desired.get("revision", 0)
            assert cloud.reported["refused"] == []
    finally:
        device.close()
        shutil.rmtree(folder, ignore_errors=True)
