"""No pixel leaves: footage with a watermark, the real components, and a search of every byte that anyone received.

One application has default settings, another asks for evidence without asking for less privacy. What they see is of no
kind that is known to be no people, and nobody looks for people, so nothing of a picture may be kept either.

``test_watermark`` is the positive control of the search.
"""

from __future__ import annotations

import base64
import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.actions.receivers import Broker, Subscriber, WebhookLedger, until
from tests.edge.made_up import ZONE, application, model
from tests.edge.running import Watched, running
from tests.privacy.clips import frames
from tests.privacy.tap import Tap
from tests.privacy.watermark import HEIGHT, WIDTH, contains_mark, mark
from vedette.contracts.manifest import Action, FileAction, IotCoreAction, Manifest, MqttAction, WebhookAction
from vedette.contracts.privacy import Privacy
from vedette.local.core import LocalMessage
from vedette.local.simulated import SimulatedCameras
from vedette.testing.synthetic import Image, make_clip

pytestmark = [pytest.mark.processes, pytest.mark.slow]

FPS = 10
#: Files that hold pictures on purpose, on the device itself.
EVIDENCE = "evidence"


def footage(path: Path) -> Path:
    """The mark, and in front of it something bright that comes for a second, every three."""

    def draw(number: int, width: int, height: int) -> Image:
        image = np.repeat(mark()[:, :, None], 3, axis=2)
        if 1.0 <= number / FPS % 3.0 < 2.0:
            image[height // 4 : height * 3 // 4, width // 3 : width * 2 // 3] = (235, 230, 220)
        return image

    path.write_bytes(make_clip(frames=9 * FPS, fps=FPS, width=WIDTH, height=HEIGHT, gop=FPS, crf=23, draw=draw))
    return path


def test_the_footage_shows_the_mark(tmp_path: Path) -> None:
    """Positive control of the footage: as a file, as its packets, as one of its pictures."""
    content = footage(tmp_path / "marked.mp4").read_bytes()
    assert contains_mark(content)


class Site:
    """Everything that is received from the components, and everything that they write.

    Attributes:
        watched: the edge side.
        taps: name of a receiver → the bytes on its wire.
        root: what the components write.
    """

    def __init__(self, watched: Watched, taps: dict[str, Tap], root: Path) -> None:
        self.watched = watched
        self.taps = taps
        self.root = root
        self._lock = threading.Lock()
        self._messages: dict[str, list[bytes]] = {"local messages": [], "cloud": []}
        watched.edge.core.subscribe_local("#", partial(self._heard, "local messages"))
        for topics in ("#", "$aws/rules/#"):  # a wildcard at the beginning matches no topic that begins with $
            watched.edge.core.subscribe_cloud(topics, partial(self._heard, "cloud"))

    def _heard(self, whom: str, message: LocalMessage) -> None:
        with self._lock:
            self._messages[whom].append(message.payload)

    def sent(self) -> Iterator[tuple[str, bytes]]:
        """(to whom, what): each connection as one, messages one by one and together."""
        for name, tap in self.taps.items():
            for content in tap.sent():
                yield name, content
        with self._lock:
            messages = {name: list(contents) for name, contents in self._messages.items()}
        for name, contents in messages.items():
            yield name, b"".join(contents)
            yield from ((name, content) for content in contents)

    def written(self) -> Iterator[tuple[Path, bytes]]:
        """Every file of the components, evidence left out."""
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and not path.is_symlink() and EVIDENCE not in path.relative_to(self.root).parts:
                yield path.relative_to(self.root), path.read_bytes()

    def of(self, application: str, suffix: str) -> list[Path]:
        """Finished evidence of an application's alerts."""
        return [
            path
            for record in self.records(application)
            if record["state"] == "made"
            for path in Path(record["folder"]).glob(f"*{suffix}")
        ]

    def records(self, application: str) -> list[dict[str, Any]]:
        """Records of evidence of an application's alerts, with the folder each lies in."""
        documents = [
            {**json.loads(path.read_bytes()), "folder": str(path.parent)} for path in self.root.rglob("evidence.json")
        ]
        return [document for document in documents if document["alert"]["application"] == application]

    def evidence(self) -> list[Path]:
        """Pictures and clips that are kept on the device."""
        return [path for path in self.root.rglob("*") if EVIDENCE in path.parts and path.suffix in (".jpg", ".mp4")]


def run_site(
    root: Path,
    alerts: int,
    stack: ExitStack,
    applications: dict[str, dict[str, Any]],
    labels: tuple[str, str] = ("thing", "other"),
    **settings: Any,
) -> Site:
    """Start a site with every kind of receiver that is to be had on one machine; wait for alerts.

    Args:
        root: everything is written there.
        alerts: to wait for.
        stack: ends everything.
        applications: name → what its manifest has besides the rule.
        labels: what the model calls what it finds.
        settings: of the run.
    """
    webhook = WebhookLedger()
    stack.callback(webhook.close)
    broker = Broker(root)
    stack.callback(broker.close)
    subscriber = Subscriber(broker.port, "site/alerts")
    stack.callback(subscriber.close)
    taps = {"webhook": Tap(webhook.port), "MQTT": Tap(broker.port)}
    for tap in taps.values():
        stack.callback(tap.close)
    actions: dict[str, Action] = {
        "log": FileAction(type="file"),
        "hook": WebhookAction(type="webhook", url=f"http://127.0.0.1:{taps['webhook'].port}/", allow_private=True),
        "bus": MqttAction(type="mqtt", host="127.0.0.1", port=taps["MQTT"].port, topic="site/alerts", tls=False),
        "cloud": IotCoreAction(type="iot_core"),
    }
    insights = {"where": {"type": "heat_map"}, "how_many": {"type": "occupancy", "zone": ZONE}}
    apps = [
        _called(
            application(
                name,
                model(root),
                ["belt"],
                {"enters": {"type": "zone_entered", "zone": ZONE}},
                insights=insights,
                insights_interval_s=10,
                **more,
            ),
            labels,
        ).model_copy(update={"actions": actions})
        for name, more in applications.items()
    ]
    clip = footage(root / "marked.mp4")
    cameras = stack.enter_context(SimulatedCameras({"belt": clip}, log_file=root / "simulator.log"))
    run = root / "run"
    watched = stack.enter_context(running(apps, cameras.urls, run, **settings))
    site = Site(watched, taps, run)
    watched.wait_streaming({"belt"})
    until(lambda: len(watched.alerts()) >= alerts, "alerts are written", 60)
    until(lambda: len(webhook.ids()) >= alerts and len(subscriber.ids()) >= alerts, "alerts are received", 20)
    cloud = run / "iot-core.jsonl"
    until(lambda: cloud.exists() and cloud.read_bytes().count(b"insights") >= 1, "insights reach the cloud", 20)
    return site


def _called(manifest: Manifest, labels: tuple[str, str]) -> Manifest:
    models = {name: one.model_copy(update={"labels": labels}) for name, one in manifest.models.items()}
    return manifest.model_copy(update={"models": models})


@pytest.mark.timeout(150)
def test_with_default_settings_no_pixel_leaves(short_tmp: Path) -> None:
    with ExitStack() as stack:
        site = run_site(short_tmp, 4, stack, {"plain": {}, "asking": {"evidence": {"snapshot": True}}})
        until(lambda: [r for r in site.records("asking") if r["state"] == "made"], "evidence is judged", 40)
        records = site.records("asking")
        sent = list(site.sent())
        written = list(site.written())
    found = [(name, form) for name, content in sent if (form := contains_mark(content))]
    assert found == []
    received = {name for name, content in sent if len(content) > 200}
    assert {"webhook", "MQTT", "local messages", "cloud"} <= received
    names = {path.name for path, _ in written}
    assert {"iot-core.jsonl", "watched.jsonl", "outbox.db"} <= names
    assert any(name.startswith("journal-") for name in names)
    on_disk = [(path, form) for path, content in written if (form := contains_mark(content))]
    assert on_disk == []
    assert site.evidence() == []
    assert {why["code"] for record in records if record["state"] == "made" for why in record["shortfalls"]} == {"V903"}
    assert site.records("plain") == []
    bodies = b"".join(content for name, content in sent if name == "webhook").replace(b" ", b"")
    assert b'"rule":"enters"' in bodies
    assert b'"application":"plain"' in bodies
    assert b'"application":"asking"' in bodies


@pytest.mark.timeout(150)
def test_what_stays_on_the_device_shows_what_its_privacy_allows_and_nothing_of_it_leaves(short_tmp: Path) -> None:
    """The same alerts with and without privacy: the mark is in both, the bright "person" in the open one only.

    The face model that the device names is not there: the record says so, and people are covered all the same.
    """
    asked = {"evidence": {"snapshot": True, "clip": {"before_s": 1, "after_s": 1}}}
    applications = {"open": {**asked, "privacy": "none"}, "covered": {**asked, "privacy": "blur"}}
    settings = {"privacy_ceiling": Privacy.NONE, "face_model": "not_there", "model_directory": short_tmp / "models"}
    with ExitStack() as stack:
        site = run_site(short_tmp, 4, stack, applications, ("person", "other"), **settings)
        until(lambda: {len(site.of(name, ".mp4")) > 0 for name in applications} == {True}, "clips are made", 60)
        sent = list(site.sent())
        kept = {name: [site.of(name, suffix)[0] for suffix in (".jpg", ".mp4")] for name in applications}
        for path in (*kept["open"], *kept["covered"]):
            assert contains_mark(path.read_bytes()), f"positive control: {path}"
        assert all(_brightest(path) > 180 for path in kept["open"])
        assert all(_brightest(path) < 60 for path in kept["covered"])
        for name, code in (("open", set()), ("covered", {"V904"})):
            record = next(each for each in site.records(name) if each["folder"] == str(kept[name][0].parent))
            assert {why["code"] for why in record["shortfalls"] if why["what"] == "privacy"} == code
    found = [(name, form) for name, content in sent if (form := contains_mark(content))]
    assert found == []


def _brightest(path: Path) -> float:
    """Brightness where someone stands, in the picture of a file where it is highest; 0 where nobody does."""
    if path.suffix == ".jpg":
        pictures = [np.asarray(cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR), np.uint8)]
    else:
        pictures = [picture for _, picture in frames(path)]
    found = [0.0]
    for picture in pictures:
        width = picture.shape[1]
        height = width * HEIGHT // WIDTH  # words stand below the picture of a snapshot
        inside = picture[height * 4 // 10 : height * 6 // 10, width * 4 // 10 : width * 6 // 10]
        if (
            float(np.median(np.abs(inside.astype(float) - np.median(inside)))) < 12
        ):  # no mark behind: someone, or a fill
            found.append(float(np.median(inside)))
    return max(found)


@pytest.mark.timeout(150)
def test_a_picture_that_is_sent_on_purpose_is_found(short_tmp: Path) -> None:
    """Positive control of the wire: the same tap, the same receiver, one picture within an alert's JSON."""
    webhook = WebhookLedger()
    tap = Tap(webhook.port)
    try:
        picture = bytes(cv2.imencode(".jpg", mark())[1].tobytes())
        body = json.dumps({"alert_id": "a", "picture": base64.b64encode(picture).decode()}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{tap.port}/hook", data=body, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        until(lambda: any(contains_mark(content) for content in tap.sent()), "the picture is found", 10)
    finally:
        tap.close()
        webhook.close()
