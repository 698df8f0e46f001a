"""JSON Schemas of everything that crosses a process or the network. The files beside this one are made from here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from vedette.contracts.alert import Alert, CloudAcknowledgement, CloudAlert, CloudTombstone
from vedette.contracts.application_test import ApplicationTest
from vedette.contracts.camera import CameraStatus
from vedette.contracts.comparison import ComparisonReport
from vedette.contracts.config import (
    AlertingConfig,
    AppHostConfig,
    ApplicationConfig,
    Attachments,
    CameraIngestConfig,
    CandidateConfig,
    DeviceAgentConfig,
    InferenceConfig,
)
from vedette.contracts.device_bundle import BundleManifest
from vedette.contracts.device_document import DeviceDocument, DeviceReport
from vedette.contracts.device_health import DeviceHealth
from vedette.contracts.device_job import DEVICE_JOB
from vedette.contracts.evidence import EvidenceRecord
from vedette.contracts.frames import FrameInfo
from vedette.contracts.health import AlertingHealth
from vedette.contracts.hook_event import HOOK_EVENT_KIND, HOOK_EVENT_VERSION, HookEvent
from vedette.contracts.insight import InsightReport
from vedette.contracts.manifest import Manifest
from vedette.contracts.model_card import ModelCard
from vedette.contracts.model_record import ModelRecord
from vedette.contracts.plan import Plan
from vedette.contracts.state import StateAnswer, StateRequest
from vedette.contracts.tracks import TRACK_BATCH_VERSION

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_MODELS: Final[Mapping[str, type[BaseModel]]] = {
    "manifest": Manifest,
    "application-test": ApplicationTest,
    "model-card": ModelCard,
    "model-record": ModelRecord,
    "alert": Alert,
    "cloud-alert": CloudAlert,
    "cloud-tombstone": CloudTombstone,
    "cloud-acknowledgement": CloudAcknowledgement,
    "insight-report": InsightReport,
    "camera-status": CameraStatus,
    "alerting-health": AlertingHealth,
    "device-health": DeviceHealth,
    "device-document": DeviceDocument,
    "device-report": DeviceReport,
    "evidence-record": EvidenceRecord,
    "plan": Plan,
    "attachments": Attachments,
    "state-answer": StateAnswer,
    "config-camera-ingest": CameraIngestConfig,
    "config-inference": InferenceConfig,
    "config-alerting": AlertingConfig,
    "config-app-host": AppHostConfig,
    "config-device-agent": DeviceAgentConfig,
    "device-bundle": BundleManifest,
    "config-application": ApplicationConfig,
    "config-candidate": CandidateConfig,
    "comparison-report": ComparisonReport,
}


def schema_names() -> tuple[str, ...]:
    """Names of all schemas; ``<name>.json`` is the file."""
    return tuple(sorted((*_MODELS, "device-job", "hook-event", "state-request", "track-batch")))


def schema(name: str) -> dict[str, Any]:
    """One schema, JSON Schema 2020-12.

    Raises:
        KeyError: no schema is called so.
    """
    if name == "track-batch":
        body = _track_batch()
    elif name == "hook-event":
        body = _hook_event()
    elif name == "device-job":
        body = DEVICE_JOB.json_schema()
    elif name == "state-request":
        body = TypeAdapter(StateRequest).json_schema()
    else:
        body = _MODELS[name].model_json_schema()
    _close(body)
    return {"$schema": DIALECT, "$id": f"urn:vedette:schema:{name}:v1", **body}


def _close(node: object) -> None:
    """Refuse names that do not match the pattern for names; pydantic states the pattern but leaves others open."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node.setdefault("additionalProperties", False)
        for value in node.values():
            _close(value)
    elif isinstance(node, list):
        for value in node:
            _close(value)


def schema_text(name: str) -> str:
    """One schema as it stands in its file."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def _hook_event() -> dict[str, Any]:
    """Of ``HookEvent.to_json``, which adds kind and version."""
    body = TypeAdapter(HookEvent).json_schema()
    kind = {"kind": {"const": HOOK_EVENT_KIND}, "v": {"const": HOOK_EVENT_VERSION}}
    return {
        "title": "HookEvent",
        "description": "What an application's own code raised, one line of the journal.",
        "type": "object",
        "additionalProperties": False,
        "properties": {**kind, **body["properties"]},
        "required": [*kind, *body["required"]],
    }


def _track_batch() -> dict[str, Any]:
    """Of ``TrackBatch.to_json``, whose short keys no model has."""
    frame = TypeAdapter(FrameInfo).json_schema()
    frame.pop("description", None)
    number = {"type": "number"}
    per_object = "One per object."
    properties: dict[str, Any] = {
        "v": {"const": TRACK_BATCH_VERSION},
        "pipeline": {"type": "string", "description": "<application>/<pipeline>"},
        "frame": {**frame, "additionalProperties": False, "description": "The picture; times in seconds."},
        "ids": {"type": "array", "items": {"type": "integer"}, "description": per_object},
        "boxes": {
            "type": "array",
            "items": {"type": "array", "items": number, "minItems": 4, "maxItems": 4},
            "description": "x1, y1, x2, y2 in pixels of the original picture, one per object.",
        },
        "labels": {"type": "array", "items": {"type": "string"}, "description": per_object},
        "scores": {
            "type": "array",
            "items": {"type": "number", "minimum": 0, "maximum": 1},
            "description": per_object,
        },
        "at": {"type": "number", "description": "Unix time at which the analysis ended."},
        "truncated": {"type": "boolean", "description": "Objects were left out because there were too many."},
        "spared": {"type": "boolean", "description": "Nothing had moved: the objects of the last picture looked at."},
        "next": {"type": "integer", "description": "Number the next new object would have got."},
        "attributes": {
            "type": "array",
            "description": "One list per object: name, value and confidence of each property that was looked at.",
            "items": {
                "type": "array",
                "items": {
                    "type": "array",
                    "prefixItems": [{"type": "string"}, {"type": "string"}, {"type": "number"}],
                    "minItems": 3,
                    "maxItems": 3,
                },
            },
        },
    }
    return {
        "title": "TrackBatch",
        "description": "All confirmed objects of one picture, one line of the journal.",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": [key for key in properties if key not in ("truncated", "spared", "next", "attributes")],
    }
