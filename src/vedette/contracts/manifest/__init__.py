"""``vedette.yaml``: what an application is. Data first; the JSON Schema of this package is exported."""

from __future__ import annotations

from vedette.contracts.manifest.actions import (
    Action,
    FileAction,
    IotCoreAction,
    ModbusAction,
    MqttAction,
    SignalBase,
    WebhookAction,
)
from vedette.contracts.manifest.application import Manifest
from vedette.contracts.manifest.attributes import AttributeBase, AttributeStage, ClassifierAttribute, CodesAttribute
from vedette.contracts.manifest.cameras import AbstractCamera, GroundPlane
from vedette.contracts.manifest.models import BUILT_IN, Channels, Model, ModelFamily, ModelInput, Provider
from vedette.contracts.manifest.parameters import Parameter, ParameterValue
from vedette.contracts.manifest.pipelines import Pipeline, Tracker
from vedette.contracts.manifest.rules import (
    Anchor,
    CodeRead,
    Count,
    CountChanged,
    Dwell,
    LineCrossed,
    NothingSeen,
    Proximity,
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
    "CodeRead",
    "CodesAttribute",
    "Count",
    "CountChanged",
    "Dwell",
    "FileAction",
    "GroundPlane",
    "IotCoreAction",
    "LineCrossed",
    "Manifest",
    "ModbusAction",
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
    "Proximity",
    "Rule",
    "RuleBase",
    "Schedule",
    "SignalBase",
    "Tiles",
    "Tracker",
    "WebhookAction",
    "Weekday",
    "ZoneEntered",
    "ZoneLeft",
    "ZoneOccupied",
]
