"""N15: what nobody of the account sent, on the topics of a device's document and of its jobs."""

from __future__ import annotations

import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.device.test_device_agent import REBOOT, Life
from tests.device.test_device_agent import THING as WORKER
from tests.device_document.cloud import FakeCloud
from tests.device_document.test_runtime import Device, url
from tests.edge.made_up import ZONE, application, clip, model
from tests.edge.running import running, wait_until
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from tests.local.job_device import JobDevice
from vedette.contracts import topics
from vedette.local.core import ComponentState
from vedette.local.simulated import SimulatedCameras

GOOD_URL, EVIL = "rtsp://10.0.0.7/", "evil"
#: What must never come into force.
WANTED: Final = {"cameras": {EVIL: {"url": "rtsp://10.6.6.6/"}, "hall": {"url": "rtsp://10.6.6.6/"}}}
HUGE: Final = 1 << 20
HEARD: Final = ("update/delta", "get/accepted", "get/rejected", "update/rejected", "delete/accepted")
JOB_TOPICS: Final = (
    "notify-next",
    "start-next/accepted",
    "start-next/rejected",
    "j1/update/accepted",
    "j2/update/rejected",
)
OVER: Final = {"jobId": "j1", "executionNumber": 1, "jobDocument": REBOOT}
ODD: Final[tuple[Any, ...]] = (None, True, -1, 1.5, 1 << 80, "1", "", [], [1], {}, {"a": {}}, "\u0000", "x" * 5_000)

Forged = tuple[str, str, bytes]


def noise(rng: random.Random, good: bytes) -> tuple[str, bytes]:
    """No JSON, too much of it, or none that means anything."""
    at = rng.randrange(1, len(good))
    return rng.choice(
        (
            ("random bytes", rng.randbytes(rng.randrange(0, 300))),
            ("cut off", good[:at]),
            ("bytes overwritten", good[:at] + rng.randbytes(3) + good[at + 3 :]),
            ("1 MB", good[:-1] + b',"pad":"' + b"x" * HUGE + b'"}'),
            ("deeply nested", b"[" * rng.randrange(1_000, 60_000)),
            ("no object", json.dumps(rng.choice(ODD[:-1])).encode()),
        )
    )


def documents(rng: random.Random, version: int) -> Forged:
    """One message about a device's document: topic's end, kind, content."""
    what, good = rng.choice(HEARD[:2]), {"version": version, "state": WANTED}
    if what == "get/accepted":
        good["state"] = {"desired": WANTED}
    kind = rng.randrange(4)
    if kind == 0:  # bytes that were overwritten may still be a document; then it is to be an old one
        name, content = noise(rng, json.dumps(good | {"version": rng.randrange(version)}).encode())
        return rng.choice(HEARD[:4]), name, content
    if kind == 1:
        good["version"] = rng.randrange(version)
        return what, "older version", json.dumps(good | {"clientToken": rng.choice(("", "0" * 16, None))}).encode()
    if kind == 2:
        odd = [each for each in ODD if each not in (1 << 80,)]
        return (
            what,
            "version or state of a wrong type",
            json.dumps(
                good
                | rng.choice(({"version": rng.choice((None, True, -1, 1.5, "9", []))}, {"state": rng.choice(odd[:8])}))
            ).encode(),
        )
    sections = {"cameras": rng.choice(({EVIL: rng.choice(ODD)}, rng.choice(ODD))), "paused": rng.choice(ODD), EVIL: 1}
    return "update/delta", "sections of wrong types", json.dumps({"version": version + 1, "state": sections}).encode()


def jobs(rng: random.Random, _version: int) -> Forged:
    """One message about a device's jobs."""
    execution = {"jobId": "j9", "executionNumber": 1, "jobDocument": REBOOT}
    kind = rng.randrange(4)
    if kind == 3:
        return "start-next/accepted", "a job that is over", json.dumps({"execution": OVER}).encode()
    if kind == 0:
        name, content = noise(rng, json.dumps({"execution": execution | {"jobDocument": {"vedette": 9}}}).encode())
        return rng.choice(JOB_TOPICS), name, content
    if kind == 1:
        document = rng.choice((*ODD, {**REBOOT, "vedette": rng.choice((0, 2, None, "1", []))}, {**REBOOT, EVIL: 1}))
        document = rng.choice(
            (document, {**REBOOT, "operation": rng.choice(ODD)}, {"vedette": 1, "operation": "update"})
        )
        return (
            "start-next/accepted",
            "a document that is no job",
            json.dumps({"execution": execution | {"jobDocument": document}}).encode(),
        )
    changed = rng.choice(({"jobId": rng.choice((*ODD, "../j", "#", "a/b", "x" * 65))}, {"jobDocument": None}))
    if isinstance(changed.get("jobId"), str) and changed["jobId"] == "1":
        changed = {"jobId": "+"}
    said = rng.choice(({"execution": execution | changed}, {"execution": rng.choice(ODD)}, {EVIL: execution}))
    return rng.choice(JOB_TOPICS[:3]), "parts of wrong types", json.dumps(said).encode()


def forged_documents(folder: Path, rng: random.Random, rounds: int, tried: Counter[str]) -> tuple[int, bool]:
    """Messages after which another camera is there, or the good one another; whether a good message counts afterwards."""
    device = Device(folder, FakeCloud(), [0.0])
    version = device.cloud.update({"desired": {"cameras": {"hall": {"url": GOOD_URL}}}})
    device.rest()
    applied = 0
    for _ in range(rounds):
        what, kind, content = documents(rng, device.cloud.version)
        device.bus.deliver(what, content)
        device.step()
        device.rest()
        applied += set(device.cameras) != {"gate", "hall"} or url(device, "hall") != GOOD_URL
        tried[kind] += 1
    version = device.cloud.update({"desired": {"cameras": {"hall": {"url": "rtsp://10.0.0.8/"}}}})
    device.rest()
    heeded = url(device, "hall") == "rtsp://10.0.0.8/" and device.cloud.reported["version"] >= version
    device.close()
    return applied, heeded


def forged_jobs(folder: Path, rng: random.Random, rounds: int, tried: Counter[str]) -> tuple[int, bool]:
    """Messages after which something was asked of the machine; whether a good job is done afterwards."""
    device = JobDevice(folder)
    life = Life(device)
    life.restarted()
    life.account.publish_cloud = lambda *_: None  # type: ignore[method-assign]  # nobody hears what it says of these
    applied = 0
    for _ in range(rounds):
        what, kind, content = jobs(rng, 0)
        life.agent._hear(topics.jobs(WORKER, what), content)
        life.agent.look(0.0)
        asked, begun = device.state / "agent/ask/request", device.state / "agent/job.json"
        if asked.exists() or begun.exists():
            applied += 1
            asked.unlink(missing_ok=True)
            begun.unlink(missing_ok=True)
            life.start()
        tried[kind] += 1
    del life.account.publish_cloud
    life.account._say("start-next/accepted", {"execution": OVER | {"executionNumber": 2}})
    life.until(lambda: device.machine.calls().count("systemctl reboot") == 2)
    return applied, True


def over_ipc(folder: Path, rng: random.Random, rounds: int, tried: Counter[str]) -> tuple[int, bool]:
    """The running component: cameras that came or went, failures; whether a good message counts afterwards."""
    manifest = application("visits", model(folder), ["gate"], {"enters": {"type": "zone_entered", "zone": ZONE}}, fps=5)
    recording = clip(folder / "gate.mp4", [(1.0, 2.0)], 3.0)
    with (
        SimulatedCameras({"gate": recording}, log_file=folder / "simulator.log") as simulated,
        running(manifest, simulated.urls, folder / "run") as watched,
    ):
        watched.wait_streaming({"gate"})
        core = watched.edge.core
        before = core.states()["vedette.CameraIngest"]

        def send(thing: str, what: str, content: bytes) -> None:
            core.publish_cloud(topics.shadow(thing, what), content)

        first = {"version": 5, "state": {"revision": 1, "cameras": {"hall": {"url": simulated.urls["gate"]}}}}
        send("test-device", "update/delta", json.dumps(first).encode())
        wait_until(lambda: "hall" in watched.statuses, 30, "the good one")
        for number in range(rounds):
            what, kind, content = documents(rng, 5)
            if kind == "sections of wrong types":  # there is no account here to ask what holds
                what, kind, content = (
                    "update/delta",
                    "another device's",
                    json.dumps({"version": 100 + number, "state": WANTED}).encode(),
                )
                send(rng.choice(("other-device", "test-device-2", "test")), what, content)
            else:
                send("test-device", what, content)
            tried[kind] += 1
        last = {"version": 6, "state": {**first["state"], "revision": 2, "paused": {"hall": "anna"}}}  # type: ignore[dict-item]
        send("test-device", "update/delta", json.dumps(last).encode())
        wait_until(lambda: watched.statuses["hall"].state.value == "DISABLED", 30, "the good one counts")
        after = core.states()["vedette.CameraIngest"]
        same = after.pid == before.pid and after.state is ComponentState.RUNNING and after.failures == before.failures
        applied = set(watched.statuses) != {"gate", "hall"} or watched.statuses["gate"].state.value != "STREAMING"
    return int(applied) + int(not same), True


@pytest.mark.processes
@pytest.mark.timeout(400)
def test_n15_forged_messages(tmp_path: Path, short_tmp: Path, caplog: pytest.LogCaptureFixture) -> None:
    begun_s, rng = time.monotonic(), random.Random(scorecard.seed())
    caplog.set_level(logging.CRITICAL)
    tried: Counter[str] = Counter()
    ways: tuple[tuple[Callable[..., tuple[int, bool]], Path, int], ...] = (
        (forged_documents, short_tmp / "documents", scorecard.size(quick=200, full=3_000)),
        (forged_jobs, tmp_path, scorecard.size(quick=200, full=3_000)),
        (over_ipc, short_tmp / "ipc", scorecard.size(quick=50, full=300)),
    )
    (short_tmp / "ipc").mkdir()
    found = [way(folder, rng, rounds, tried) for way, folder, rounds in ways]
    applied, heeded = sum(wrong for wrong, _ in found), sum(good for _, good in found)
    n = tried.total()
    row = Row(
        "N15",
        "forged, malformed, huge and old messages about documents and jobs that were applied or ended something",
        applied,
        "messages",
        n,
        "0",
        passed=not applied and heeded == len(ways),
        upper95=upper95(applied, n),
        control=Control("good ones that were applied afterwards", heeded, heeded == len(ways)),
        seed=scorecard.seed(),
        notes=f"{', '.join(f'{count} x {kind}' for kind, count in tried.items())}. Documents and jobs in process, then {ways[2][2]} about "
        "documents by the real inter-process communication to a running edge side: the component is the same process, RUNNING, and its "
        "cameras are those of the last good one. Who may publish on these topics is up to the account's policies (X3).",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, (row, found)
