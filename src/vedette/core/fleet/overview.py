"""A fleet in a few lines: what each ring should run, and how its devices are. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vedette.contracts.fleet_metrics import Condition
from vedette.contracts.rollout import DesiredState, device_ring
from vedette.core.fleet.device_summary import DeviceSummary

#: Devices with something wrong that are named.
NAMED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RingOverview:
    """One ring, or one device that has something of its own.

    Attributes:
        ring: its name.
        desired: what it should run.
        devices: of it.
        online: of those that have told anything.
        waiting: registered, and never told anything.
        unwell: with something wrong; offline is counted by itself.
        offline: silent.
        failed: whose last deployment failed, as Greengrass says.
        versions: of the components, as devices tell, the most common first.
        trouble: devices with something wrong, and what.
    """

    ring: str
    desired: DesiredState
    devices: int
    online: int
    waiting: int
    unwell: int
    offline: int
    failed: int
    versions: tuple[tuple[str, int], ...]
    trouble: tuple[tuple[str, tuple[str, ...]], ...]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "ring": self.ring,
            "desired": self.desired.model_dump(mode="json"),
            "devices": self.devices,
            "online": self.online,
            "not_installed": self.waiting,
            "unwell": self.unwell,
            "offline": self.offline,
            "failed": self.failed,
            "versions": dict(self.versions),
            "trouble": {thing: list(what) for thing, what in self.trouble},
        }


def overview(states: Sequence[DesiredState], devices: Iterable[DeviceSummary]) -> tuple[RingOverview, ...]:
    """Each ring with its devices, in the order of the states.

    Args:
        states: what rings, and devices with something of their own, should run.
        devices: of the fleet.
    """
    by_ring: dict[str, list[DeviceSummary]] = {}
    for one in devices:
        by_ring.setdefault(one.ring, []).append(one)
        by_ring.setdefault(device_ring(one.thing), []).append(one)
    return tuple(_ring(state, by_ring.get(state.ring, [])) for state in states)


def _ring(state: DesiredState, members: list[DeviceSummary]) -> RingOverview:
    silent = [one for one in members if Condition.OFFLINE.value in one.conditions]
    waiting = [one for one in members if one.last_seen_s is None]
    failed = [one for one in members if one.core == "UNHEALTHY"]
    versions = Counter(one.version for one in members if one.version)
    wrong = [one for one in members if one.unwell]
    return RingOverview(
        ring=state.ring,
        desired=state,
        devices=len(members),
        online=len(members) - len(silent) - len(waiting),
        waiting=len(waiting),
        unwell=len(wrong),
        offline=len(silent),
        failed=len(failed),
        versions=tuple(versions.most_common()),
        trouble=tuple((one.thing, _wrong(one)) for one in sorted(wrong, key=lambda one: one.thing)[:NAMED]),
    )


def _wrong(one: DeviceSummary) -> tuple[str, ...]:
    return (*one.conditions, *(("deployment failed",) if one.core == "UNHEALTHY" else ()))
