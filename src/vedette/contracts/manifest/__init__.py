"""``vedette.yaml``: what an application is. Data first; the JSON Schema of this package is exported."""

from __future__ import annotations

from vedette.contracts.manifest.actions import (
    Action,
    EmailAction,
    FileAction,
    GpioAction,
    IotCoreAction,
    ModbusAction,
    MqttAction,
    OpcUaAction,
    SignalBase,
    SmsAction,
    WebhookAction,
)
from vedette.contracts.manifest.application import Manifest
from vedette.contracts.manifest.attributes import (
    AttributeBase,
    AttributeStage,
    ClassifierAttribute,
    CodesAttribute,
    ColourAttribute,
    DetectorAttribute,
)
from vedette.contracts.manifest.cameras import AbstractCamera, GroundPlane
from vedette.contracts.manifest.colours import ColourRange, SafetyColour
from vedette.contracts.manifest.evidence import ClipSettings, Evidence, UploadSettings
from vedette.contracts.manifest.hooks import Hook, NetworkPeer
from vedette.contracts.manifest.insights import (
    Crossings,
    DwellTimes,
    HeatMap,
    Insight,
    InsightBase,
    Occupancy,
    Queue,
)
from vedette.contracts.manifest.models import BUILT_IN, Channels, Model, ModelFamily, ModelInput, Moving, Provider
from vedette.contracts.manifest.parameters import Parameter, ParameterValue
from vedette.contracts.manifest.pipelines import Pipeline, Tracker
from vedette.contracts.manifest.rules import (
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
from vedette.contracts.manifest.watching import Anchor, Watching

__all__ = [
    "BUILT_IN",
    "AbstractCamera",
    "Action",
    "Anchor",
    "AttributeBase",
    "AttributeStage",
    "Channels",
    "ClassifierAttribute",
    "ClipSettings",
    "CodeRead",
    "CodesAttribute",
    "ColourAttribute",
    "ColourRange",
    "Count",
    "CountChanged",
    "Crossings",
    "DetectorAttribute",
    "Dwell",
    "DwellTimes",
    "EmailAction",
    "Evidence",
    "FileAction",
    "GpioAction",
    "GroundPlane",
    "HeatMap",
    "Hook",
    "Insight",
    "InsightBase",
    "IotCoreAction",
    "LineCrossed",
    "Manifest",
    "ModbusAction",
    "Model",
    "ModelFamily",
    "ModelInput",
    "Motion",
    "Moving",
    "MqttAction",
    "NetworkPeer",
    "NothingSeen",
    "Occupancy",
    "OpcUaAction",
    "Parameter",
    "ParameterValue",
    "Pipeline",
    "Provider",
    "Proximity",
    "Queue",
    "Rule",
    "RuleBase",
    "SafetyColour",
    "Schedule",
    "SignalBase",
    "SmsAction",
    "Tiles",
    "Tracker",
    "UploadSettings",
    "Watching",
    "WebhookAction",
    "Weekday",
    "ZoneEntered",
    "ZoneLeft",
    "ZoneOccupied",
]
