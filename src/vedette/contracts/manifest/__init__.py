"""``vedette.yaml``: what an application is. Data first; the JSON Schema of this package is exported."""

from __future__ import annotations

from vedette.contracts.manifest.actions import Action, FileAction, IotCoreAction, MqttAction, WebhookAction
from vedette.contracts.manifest.application import AbstractCamera, Manifest
from vedette.contracts.manifest.attributes import AttributeBase, AttributeStage, ClassifierAttribute, CodesAttribute
from vedette.contracts.manifest.models import BUILT_IN, Channels, Model, ModelFamily, ModelInput, Provider
from vedette.contracts.manifest.parameters import Parameter, ParameterValue
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
from vedette.contracts.manifest.views import Motion, Tiles

__all__ = [
    "BUILT_IN",
    "AbstractCamera",
    "Action",
    "Anchor",
    "AttributeBase",
    "AttributeStage",
    "Channels",
    "ClassifierAttribute",
    "CodesAttribute",
    "Count",
    "CountChanged",
    "Dwell",
    "FileAction",
    "IotCoreAction",
    "LineCrossed",
    "Manifest",
    "Model",
    "ModelFamily",
    "ModelInput",
    "Motion",
    "MqttAction",
    "NothingSeen",
    "Parameter",
    "ParameterValue",
    "Pipeline",
    "Provider",
    "Rule",
    "RuleBase",
    "Schedule",
    "Tiles",
    "Tracker",
    "WebhookAction",
    "Weekday",
    "ZoneEntered",
    "ZoneLeft",
    "ZoneOccupied",
]
