"""One alarm for each condition and fleet, whatever the number of devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.alarm import UNKNOWN, WRONG, alarm
from infra.constructs.fleet_metric import fleet_metric
from infra.settings import Fleet, Settings
from vedette.contracts.fleet_metrics import METRIC_OF, SWEEP_MINUTES, Condition, FleetMetric


@dataclass(frozen=True, slots=True)
class _Watched:
    """A condition.

    Attributes:
        text: what is so, for people.
        rounds: of the sweep in a row in which it has to be so.
        anchor: of the runbook.
    """

    text: str
    rounds: int
    anchor: str


_CONDITIONS: Final[dict[Condition, _Watched]] = {
    Condition.OFFLINE: _Watched("Devices are offline", 1, "device-offline"),
    Condition.CAMERA_DOWN: _Watched("Cameras are down", 2, "camera-down"),
    Condition.MODEL_SLOW: _Watched("Inference is slow", 3, "inference-slow"),
    Condition.MODEL_DEGRADED: _Watched("Models do not run, or not where they should", 2, "model-degraded"),
    Condition.DISK_LOW: _Watched("Disks are full, or nearly", 1, "disk-low"),
    Condition.HOT: _Watched("Devices are hot", 2, "device-hot"),
    Condition.OUTBOX_GROWING: _Watched("Alerts wait for their receivers", 2, "outbox-growing"),
}
#: Rounds that may be missing before somebody is told.
_MISSING_ROUNDS: Final = 3


def fleet_alarms(
    scope: Construct, fleet: Fleet, *, settings: Settings, operators: sns.ITopic
) -> list[cloudwatch.Alarm]:
    """All alarms of a fleet."""
    prefix = fleet.name.title().replace("-", "")
    alarms = [
        alarm(
            scope,
            f"{prefix}{condition.value.title().replace('_', '')}",
            fleet_metric(METRIC_OF[condition], fleet.name),
            settings=settings,
            operators=operators,
            text=f"{watched.text} in the fleet {fleet.name}.",
            runbook=watched.anchor,
            # No figure says nothing about devices: they stay as they were, and the alarm on the sweep tells.
            missing=UNKNOWN,
            rounds=watched.rounds,
        )
        for condition, watched in _CONDITIONS.items()
    ]
    missing = alarm(
        scope,
        f"{prefix}SweepMissing",
        fleet_metric(FleetMetric.DEVICES, fleet.name, statistic="SampleCount"),
        settings=settings,
        operators=operators,
        text=f"The fleet {fleet.name} has not been counted for {_MISSING_ROUNDS * SWEEP_MINUTES} minutes; its other "
        "alarms mean nothing.",
        runbook="sweep-missing",
        # A fleet without devices is counted as 0; no figure at all means that nobody counts.
        missing=WRONG,
        below=1,
        rounds=_MISSING_ROUNDS,
    )
    return [*alarms, missing]
