"""``vedette.yaml``: what an application is. Data first; the JSON Schema of this package is exported."""

from __future__ import annotations

from vedette.contracts.manifest.actions import Action, FileAction, IotCoreAction, MqttAction, WebhookAction
from vedette.contracts.manifest.application import AbstractCamera, Manifest
from vedette.contracts.manifest.models import Model, ModelFamily, Provider
from vedette.contracts.manifest.pipelines import Pipeline, Tracker
from vedette.contracts.manifest.rules import (
    Anchor,
    Count,
    CountChanged,
    Dwell,
    LineCrossed,
    NothingSeen,
    Rule,
    RuleBase,
    Schedule,
    Weekday,
    ZoneEntered,
    ZoneLeft,
    ZoneOccupied,
)

__all__ = [
    "AbstractCamera",
    "Action",
    "Anchor",
    "Count",
    "CountChanged",
    "Dwell",
    "FileAction",
    "IotCoreAction",
    "LineCrossed",
    "Manifest",
    "Model",
    "ModelFamily",
    "MqttAction",
    "NothingSeen",
    "Pipeline",
    "Provider",
    "Rule",
    "RuleBase",
    "Schedule",
    "Tracker",
    "WebhookAction",
    "Weekday",
    "ZoneEntered",
    "ZoneLeft",
    "ZoneOccupied",
]
