"""Metrics of the fleet in the account. None is by device, so their number does not grow with the fleet."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

#: Dimensions.
FLEET: Final = "Fleet"
RING: Final = "Ring"
VERSION: Final = "Version"

#: Versions that are counted by themselves, the most common ones; what else runs is counted as ``OTHER_VERSIONS``.
MAX_VERSIONS: Final = 5
OTHER_VERSIONS: Final = "other"
#: How often the devices are counted into the metrics, minutes.
SWEEP_MINUTES: Final = 5
#: How often they are counted for rollouts: how old what a rollout knows of a ring may be, minutes.
COUNT_MINUTES: Final = 1


class Condition(StrEnum):
    """What may be wrong with a device."""

    OFFLINE = "offline"
    CAMERA_DOWN = "camera_down"
    MODEL_SLOW = "model_slow"
    MODEL_DEGRADED = "model_degraded"
    DISK_LOW = "disk_low"
    HOT = "hot"
    OUTBOX_GROWING = "outbox_growing"


class FleetMetric(StrEnum):
    """What is counted: devices, except ``CamerasDown``, which counts cameras."""

    DEVICES = "Devices"
    UNWELL = "DevicesUnwell"
    OFFLINE = "DevicesOffline"
    CAMERAS_DOWN = "CamerasDown"
    MODELS_SLOW = "DevicesModelSlow"
    MODELS_DEGRADED = "DevicesModelDegraded"
    DISK_LOW = "DevicesDiskLow"
    HOT = "DevicesHot"
    OUTBOX_GROWING = "DevicesOutboxGrowing"


#: Metric that counts a condition.
METRIC_OF: Final[dict[Condition, FleetMetric]] = {
    Condition.OFFLINE: FleetMetric.OFFLINE,
    Condition.CAMERA_DOWN: FleetMetric.CAMERAS_DOWN,
    Condition.MODEL_SLOW: FleetMetric.MODELS_SLOW,
    Condition.MODEL_DEGRADED: FleetMetric.MODELS_DEGRADED,
    Condition.DISK_LOW: FleetMetric.DISK_LOW,
    Condition.HOT: FleetMetric.HOT,
    Condition.OUTBOX_GROWING: FleetMetric.OUTBOX_GROWING,
}
#: What is counted by ring and by version too: enough to see that a new version harms.
BY_PART: Final = (FleetMetric.DEVICES, FleetMetric.UNWELL)


def metric_count(rings: int) -> int:
    """The most metrics that a fleet can have."""
    return len(FleetMetric) + len(BY_PART) * (rings + MAX_VERSIONS + 1)
