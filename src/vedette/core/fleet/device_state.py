"""Which device is unwell, and how many are. Pure; the thresholds are here and nowhere else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vedette.contracts.device_health import DeviceHealth
from vedette.contracts.fleet_metrics import (
    BY_PART,
    FLEET,
    MAX_VERSIONS,
    METRIC_OF,
    OTHER_VERSIONS,
    RING,
    VERSION,
    Condition,
    FleetMetric,
)

#: A device tells how it is once a minute; five messages that do not come are no coincidence.
OFFLINE_S: Final = 300.0
#: A connection that ends is often back at once; one that stays away for so long is not.
DISCONNECTED_S: Final = 120.0
#: Age of a picture when its objects were known, 99th percentile: alerts are meant to come within a second.
SLOW_MS: Final = 1_000.0
#: Room for evidence and for the outbox of a long outage.
DISK_SHARE: Final = 0.10
DISK_BYTES: Final = 1 << 30
#: Processors of the devices slow down some degrees above.
HOT_C: Final = 85.0
#: Alerts that wait for longer do so for another reason than a short outage.
OUTBOX_AGE_S: Final = 600.0
_DEGRADED: Final = frozenset({"DEGRADED", "RESTARTING", "FAILED", "REFUSED"})


def conditions(health: DeviceHealth) -> tuple[Condition, ...]:
    """What is wrong with a device by its own account, in a fixed order."""
    models, alerting, disk = health.models.values(), health.alerting, health.disk
    wrong = {
        Condition.CAMERA_DOWN: health.cameras_down > 0 or "vedette.CameraIngest" in health.silent,
        Condition.MODEL_SLOW: any(model.age_p99_ms is not None and model.age_p99_ms > SLOW_MS for model in models),
        Condition.MODEL_DEGRADED: any(model.state in _DEGRADED for model in models)
        or "vedette.Inference" in health.silent,
        Condition.DISK_LOW: not alerting.durable
        or (disk is not None and (disk.free_share < DISK_SHARE or disk.free_bytes < DISK_BYTES)),
        Condition.HOT: health.temperature_c is not None and health.temperature_c >= HOT_C,
        Condition.OUTBOX_GROWING: alerting.oldest_age_s is not None and alerting.oldest_age_s > OUTBOX_AGE_S,
    }
    return tuple(condition for condition, is_so in wrong.items() if is_so)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView:
    """What the table knows of a device.

    Attributes:
        ring: of its fleet.
        version: of its components; empty until it has told.
        last_seen_s: when its last message came, seconds since 1970; None where none ever came.
        connected: whether its connection stands; None where none was ever seen.
        connection_s: when that began, seconds since 1970.
        conditions: what was wrong by its last message.
        cameras_down: by its last message.
    """

    ring: str
    version: str = ""
    last_seen_s: float | None = None
    connected: bool | None = None
    connection_s: float = 0.0
    conditions: tuple[Condition, ...] = ()
    cameras_down: int = 0


def standing(device: DeviceView, now_s: float) -> tuple[Condition, ...]:
    """What is wrong with a device now.

    A device that was registered and has never told anything is not installed yet: nothing is wrong with it. What an
    offline device said before is out of date, so it is offline and nothing else.
    """
    if device.last_seen_s is None:
        return ()
    gone = device.connected is False and max(device.connection_s, device.last_seen_s) <= now_s - DISCONNECTED_S
    if gone or device.last_seen_s < now_s - OFFLINE_S:
        return (Condition.OFFLINE,)
    return device.conditions


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of a metric.

    Attributes:
        metric: its name.
        value: devices, or cameras.
        dimensions: name → value.
    """

    metric: FleetMetric
    value: int
    dimensions: tuple[tuple[str, str], ...]


class Tally:
    """Counts a fleet, one device after the other, in memory that does not grow with them.

    Args:
        fleet: its name.
        rings: all of them, so that an empty one is counted as 0 and not as unknown.
    """

    def __init__(self, fleet: str, rings: Iterable[str]) -> None:
        self._fleet = fleet
        self._rings = tuple(rings)
        self._totals: Counter[FleetMetric] = Counter()
        self._parts: Counter[tuple[str, str, FleetMetric]] = Counter()
        self._versions: Counter[str] = Counter()

    def add(self, device: DeviceView, now_s: float) -> None:
        """Count a device.

        Args:
            device: what the table knows.
            now_s: seconds since 1970.
        """
        wrong = standing(device, now_s)
        self._totals[FleetMetric.DEVICES] += 1
        self._totals[FleetMetric.UNWELL] += bool(wrong)
        for condition in wrong:
            cameras = max(1, device.cameras_down) if condition is Condition.CAMERA_DOWN else 1
            self._totals[METRIC_OF[condition]] += cameras
        parts = [(RING, device.ring)] if device.ring in self._rings else []
        if device.version:
            self._versions[device.version] += 1
            parts.append((VERSION, device.version))
        for name, value in parts:
            self._parts[name, value, FleetMetric.DEVICES] += 1
            self._parts[name, value, FleetMetric.UNWELL] += bool(wrong)

    def figures(self) -> tuple[Figure, ...]:
        """Everything counted: at most ``metric_count(rings)`` values, however many devices and versions there are."""
        fleet = (FLEET, self._fleet)
        found = [Figure(metric, self._totals[metric], (fleet,)) for metric in FleetMetric]
        for ring in self._rings:
            found += [Figure(m, self._parts[RING, ring, m], (fleet, (RING, ring))) for m in BY_PART]
        ordered = sorted(self._versions, key=lambda version: (-self._versions[version], version))
        for version in ordered[:MAX_VERSIONS]:
            found += [Figure(m, self._parts[VERSION, version, m], (fleet, (VERSION, version))) for m in BY_PART]
        others = ordered[MAX_VERSIONS:]
        if others:
            other = (fleet, (VERSION, OTHER_VERSIONS))
            found += [Figure(m, sum(self._parts[VERSION, v, m] for v in others), other) for m in BY_PART]
        return tuple(found)
