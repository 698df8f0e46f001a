"""The schema files are those of the code, accept what the code writes, refuse what it refuses."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml

from tests.cloud.models import DETECTOR
from tests.conftest import REPOSITORY
from tests.core.test_device_job import UPDATE
from tests.local.fake_machine import ingredients
from tests.state.test_plan import app, cam
from vedette.cli.manifest_tables import fields_without_meaning, manifest_tables
from vedette.contracts.alert import Alert, CloudAcknowledgement, CloudAlert, CloudTombstone
from vedette.contracts.application_test import ApplicationTest
from vedette.contracts.camera import CameraState, CameraStatus
from vedette.contracts.comparison import ComparisonReport
from vedette.contracts.config import Attachments
from vedette.contracts.device_document import DeviceDocument, DeviceReport, DiagnosticsReport, Refusal
from vedette.contracts.device_job import RebootJob
from vedette.contracts.evidence import EvidenceRecord, Shortfall
from vedette.contracts.frames import FrameInfo
from vedette.contracts.health import AlertingHealth, ReceiverHealth
from vedette.contracts.hook_event import HookEvent
from vedette.contracts.insight import HeatMapValues, InsightReport, QueueValues, Waits
from vedette.contracts.manifest import ClipSettings, Evidence
from vedette.contracts.model_card import ModelCard, Target
from vedette.contracts.model_record import ModelRecord, ModelState, release_key
from vedette.contracts.privacy import Privacy
from vedette.contracts.schemas import schema_names, schema_text
from vedette.contracts.state import AttachRequest, StateAnswer, StatusRequest
from vedette.contracts.tracks import TrackBatch
from vedette.core.device_health import device_health, fitted
from vedette.core.plan import make_plan

FOLDER = REPOSITORY / "src" / "vedette" / "contracts" / "schema"


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    document = json.loads((FOLDER / f"{name}.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document, format_checker=jsonschema.FormatChecker())


COMPARED = ComparisonReport.model_validate(
    {
        "time": "2026-11-27T10:00:00Z",
        "device": "edge-1",
        "rollout_id": "20261127-shop",
        "application": "shop",
        "version": "1.5.0",
        "done": True,
        "frames": 2000,
        "labels": {"person": {"running_objects": 31, "running_seen": 30.2, "new_objects": 33, "new_seen": 30.9}},
        "golden": {"total": 2, "failed": 1, "failures": ["one.yaml: missing leaves on hall at 3.0 s"]},
        "notes": ["labels that only the new version has are not compared: dog"],
    }
)

ALERT = Alert.model_validate(
    {
        "alert_id": "0" * 32,
        "device": "edge-1",
        "application": "shop",
        "camera": "hall",
        "rule": "leaves",
        "severity": "critical",
        "time": "2026-03-01T10:00:00.250+01:00",
        "media_time_s": 12.5,
        "label": "person",
        "track_ids": [7],
        "boxes": [[1.0, 2.0, 3.5, 4.0]],
        "confidence": 0.9,
        "direction": "left_to_right",
    }
)
BATCH = TrackBatch(
    pipeline="shop/main",
    frame=FrameInfo("hall", "e1", 3, 1.5, 0.5, 1.7e9, 640, 360),
    track_ids=(1, 2),
    boxes=((0.0, 0.0, 5.0, 5.0), (1.0, 1.0, 2.0, 2.0)),
    labels=("person", "car"),
    scores=(0.5, 0.25),
    analysed_wall_s=1.7e9,
    truncated=True,
)
EVENT = HookEvent(
    application="shop",
    hook="greeter",
    camera="cam-1",
    app_camera="hall",
    severity="info",
    message="hello",
    channels=("shop/file",),
    track_ids=(7,),
    boxes=((1.0, 2.0, 3.5, 4.0),),
    count=1,
)
HEALTH = AlertingHealth(
    time=ALERT.time,
    device="device-7",
    judged=10,
    alerts=1,
    lag_s=0.01,
    durable=True,
    volatile=0,
    receivers={"app/log": ReceiverHealth(pending=0)},
    evicted={},
    dead_letters=0,
    salvaged=0,
    not_analysed_s=0.0,
    unjudged=0,
    outbox_bytes=4096,
)
REPORT = InsightReport(
    report_id="1" * 32,
    device="edge-1",
    application="shop",
    pipeline="main",
    camera="hall",
    device_camera="cam-1",
    start=ALERT.time,
    end=ALERT.time + timedelta(seconds=60),
    analysed_s=59.8,
    values={
        "paths": HeatMapValues(analysed_s=59.8, grid=(4, 2), cells=(12, -6, 3)),
        "till": QueueValues(analysed_s=59.8, mean_length=1.25, max_length=3, waits=Waits(count=0)),
    },
)
PLAN = make_plan([app()], [cam()], 3)

#: schema → JSON that the code writes
REAL: dict[str, list[str]] = {
    "application-test": [
        ApplicationTest.model_validate(
            {
                "api": "vedette-test/v1",
                "clips": {"hall": {"file": "a.mp4", "sha256": "0" * 64, "start": ALERT.time}},
                "alerts": [{"rule": "leaves", "camera": "hall", "at_s": 3, "direction": "left_to_right"}],
                "none": [{"rule": "leaves", "from_s": 10}],
            }
        ).model_dump_json(exclude_none=True),
        *[json.dumps(yaml.safe_load(f.read_text())) for f in sorted((REPOSITORY / "examples").glob("*/tests/*.yaml"))],
    ],
    "model-card": [json.dumps(DETECTOR), ModelCard.model_validate(DETECTOR).model_dump_json(exclude_none=True)],
    "model-record": [
        ModelRecord(
            model="parts",
            release=release_key("1.0.0", Target.X86_64),
            version="1.0.0",
            target=Target.X86_64,
            state=ModelState.RELEASED,
            updated_at=ALERT.time,
        ).model_dump_json(),
    ],
    "alert": [ALERT.model_dump_json(), ALERT.model_dump_json(exclude_none=True)],
    "cloud-alert": [CloudAlert(epoch="e", seq=1, alert_id=ALERT.alert_id, alert=ALERT).model_dump_json()],
    "cloud-tombstone": [CloudTombstone(epoch="e", from_seq=1, through_seq=2, tombstone="evicted").model_dump_json()],
    "cloud-acknowledgement": [CloudAcknowledgement(epoch="e", through_seq=0).model_dump_json()],
    "insight-report": [REPORT.model_dump_json(exclude_none=True), REPORT.model_dump_json()],
    "camera-status": [CameraStatus(camera="hall", state=CameraState.STREAMING).model_dump_json()],
    "alerting-health": [HEALTH.model_dump_json()],
    "device-document": [
        DeviceDocument.model_validate(
            {
                "revision": 4,
                "cameras": {
                    "hall": {"url": "rtsp://10.0.0.7/s", "secret": "vedette/camera/device-7/hall", "max_fps": 5}
                },
                "paused": {"hall": "anna"},
                "parameters": {"shop": {"patience_s": 30, "labels": ["person", "car"]}},
                "log_level": {"*": "DEBUG", "vedette.Alerting": "ERROR"},
                "diagnostics": {"id": "a", "asked_at": ALERT.time, "bucket": "b", "region": "eu-central-1"},
            }
        ).model_dump_json(),
        DeviceDocument().model_dump_json(),
    ],
    "device-report": [
        DeviceReport(
            version=7,
            refused=(Refusal(entry="cameras/hall", reason="no"),),
            paused=("hall",),
            diagnostics=DiagnosticsReport(id="a", state="KEPT", where="/x"),
        ).model_dump_json(),
    ],
    "device-health": [
        fitted(device_health(HEALTH, {}, version="1.0", now_s=0.0, machine={"temperature_c": 41.5})).decode()
    ],
    "plan": [PLAN.model_dump_json(), PLAN.model_dump_json(exclude_none=True)],
    "attachments": [Attachments(applications=(app(),)).model_dump_json()],
    "state-request": [AttachRequest(application=app()).model_dump_json(), StatusRequest().model_dump_json()],
    "state-answer": [StateAnswer(ok=True, plan=PLAN).model_dump_json()],
    "track-batch": [BATCH.to_json().decode()],
    "hook-event": [EVENT.to_json().decode()],
    "manifest": [app().manifest.model_dump_json(exclude_none=True)]
    + [json.dumps(yaml.safe_load(f.read_text())) for f in sorted((REPOSITORY / "examples").glob("*/vedette.yaml"))],
    "config-camera-ingest": [json.dumps({"cameras": [{"name": "hall", "url": "a.mp4"}], "stateDirectory": "/s"})],
    "config-inference": [json.dumps({"threads": 2}), "{}"],
    "evidence-record": [
        EvidenceRecord(
            alert=ALERT,
            camera="gate",
            asked=Evidence(clip=ClipSettings()),
            asked_at=ALERT.time,
            privacy=Privacy.BLUR,
            shortfalls=(Shortfall(why="the camera was interrupted", code="V901"),),
        ).model_dump_json(exclude_none=True)
    ],
    "config-alerting": [json.dumps({"outboxMaxBytes": 1 << 20})],
    "config-app-host": [json.dumps({"trustCode": True, "allowNetwork": "never"})],
    "config-application": [json.dumps({"bindings": {"hall": ["cam-1"]}})],
    "config-candidate": [json.dumps({"bindings": {"hall": ["cam-1"]}, "task": {"rollout_id": "20261127-shop"}})],
    "comparison-report": [COMPARED.model_dump_json(), COMPARED.model_dump_json(exclude_none=True)],
    "config-device-agent": [json.dumps({"bootIdFile": "/proc/sys/kernel/random/boot_id"}), "{}"],
    "device-bundle": [ingredients("lite", "").manifest.model_dump_json()],
    "device-job": [UPDATE.model_dump_json(), RebootJob().model_dump_json()],
}

#: schema, path of a value, what it becomes
BROKEN: list[tuple[str, tuple[str | int, ...], Any]] = [
    ("application-test", ("clips", "hall", "sha256"), "abc"),
    ("application-test", ("alerts", 0, "at_s"), -1),
    ("application-test", ("none", 0, "until_s"), 3),
    ("model-card", ("targets", 0), "jetson"),
    ("model-card", ("inputs", "images", "shape"), []),
    ("model-record", ("state",), "DONE"),
    ("evidence-record", ("privacy",), "some"),
    ("evidence-record", ("shortfalls", 0, "why"), 5),
    ("alert", ("alert_id",), "xyz"),
    ("alert", ("severity",), "urgent"),
    ("alert", ("boxes", 0), [1, 2, 3]),
    ("alert", ("extra",), 1),
    ("cloud-alert", ("seq",), 0),
    ("cloud-tombstone", ("from_seq",), "1"),
    ("cloud-acknowledgement", ("through_seq",), -1),
    ("insight-report", ("values", "paths", "type"), "picture"),
    ("insight-report", ("values", "till", "waits", "count"), -1),
    ("insight-report", ("track_ids",), [1]),
    ("camera-status", ("state",), "FINE"),
    ("alerting-health", ("receivers", "app/log", "pending"), -1),
    ("device-health", ("alerting", "pending"), -1),
    ("device-document", ("cameras", "hall"), {"name": "hall", "url": "rtsp://10.0.0.7/s"}),
    ("device-document", ("log_level", "*"), "LOUD"),
    ("device-document", ("log_level", "other"), "INFO"),
    ("device-report", ("version",), -1),
    ("plan", ("streams", 0, "fps"), 0),
    ("attachments", ("applications", 0, "bindings"), {"a b": []}),
    ("state-request", ("op",), "reboot"),
    ("state-answer", ("ok",), "yes"),
    ("track-batch", ("v",), 2),
    ("hook-event", ("kind",), "rule"),
    ("hook-event", ("track_ids", 0), "a"),
    ("track-batch", ("boxes", 0), [1, 2, 3, 4, 5]),
    ("track-batch", ("scores", 0), 1.5),
    ("track-batch", ("frame", "camera"), 5),
    ("manifest", ("api",), "vedette/v2"),
    ("manifest", ("rules", "my rule"), {"type": "nothing_seen", "for_s": 1}),
    ("manifest", ("rules", "empty", "for_s"), -1),
    ("manifest", ("rules", "empty", "colour"), "red"),
    ("manifest", ("models", "people", "family"), "unknown"),
    ("config-camera-ingest", ("cameras", 0, "name"), "a b"),
    ("config-inference", ("threads",), -1),
    ("config-alerting", ("outboxMaxBytes",), 1),
    ("config-app-host", ("allowNetwork",), "yes"),
    ("config-application", ("bindings", "hall"), 5),
    ("config-candidate", ("task", "rollout_id"), "x"),
    ("config-candidate", ("task",), None),
    ("comparison-report", ("labels", "person", "running_objects"), -1),
    ("comparison-report", ("device",), "a/b"),
    ("config-device-agent", ("bootIdFile",), ""),
    ("device-bundle", ("nucleus",), "heavy"),
    ("device-bundle", ("device", "thing"), "a/b"),
    ("device-job", ("operation",), "shell"),
    ("device-job", ("version",), "1; reboot"),
    ("device-job", ("key",), "../x"),
]


@pytest.mark.parametrize("name", schema_names())
def test_the_file_is_what_the_code_says(name: str) -> None:
    """After a wanted change: vedette schema export src/vedette/contracts/schema"""
    assert (FOLDER / f"{name}.json").read_text("utf-8") == schema_text(name)


def test_there_is_no_file_without_code() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(schema_names())


def test_every_schema_has_real_and_broken_examples() -> None:
    assert set(REAL) == set(schema_names()) == {name for name, _, _ in BROKEN}


@pytest.mark.parametrize("name", schema_names())
def test_what_the_code_writes_is_accepted(name: str) -> None:
    for text in REAL[name]:
        errors = [error.message for error in validator(name).iter_errors(json.loads(text))]
        assert errors == []


@pytest.mark.parametrize(("name", "path", "value"), BROKEN)
def test_what_is_broken_is_refused(name: str, path: tuple[str | int, ...], value: Any) -> None:
    document = json.loads(REAL[name][0])
    here = document
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    assert not validator(name).is_valid(document)


def test_every_object_refuses_unknown_fields() -> None:
    def walk(node: Any, where: str) -> None:
        if isinstance(node, dict):
            if node.get("type") == "object" and "properties" in node:
                assert node.get("additionalProperties") is False, where
            for key, value in node.items():
                walk(value, f"{where}/{key}")
        elif isinstance(node, list):
            for index, value in enumerate(node):
                walk(value, f"{where}/{index}")

    for name in schema_names():
        walk(json.loads((FOLDER / f"{name}.json").read_bytes()), name)


# --- docs/manifest.md ---

DOCUMENT = (REPOSITORY / "docs" / "manifest.md").read_text("utf-8")


def test_the_tables_of_the_document_are_those_of_the_schema() -> None:
    """After a wanted change: `make schema`."""
    _, _, tables = DOCUMENT.partition("<!-- tables: made by `vedette schema tables` -->\n\n")
    assert tables == manifest_tables()


def test_every_field_is_named_and_explained() -> None:
    assert fields_without_meaning() == []
    document = json.loads((FOLDER / "manifest.json").read_bytes())
    for part in (document, *document["$defs"].values()):
        for field in part.get("properties", {}):
            assert f"`{field}`" in DOCUMENT or f"`{field}:" in DOCUMENT, field


def test_the_example_of_the_document_is_right(tmp_path: Any) -> None:
    from vedette.adapters.manifest import check_manifest

    example = re.search(r"```yaml\n(.*?)```", DOCUMENT, re.S)
    assert example is not None
    (tmp_path / "vedette.yaml").write_text(example[1])
    assert check_manifest(tmp_path) == []
