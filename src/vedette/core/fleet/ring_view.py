"""What the devices of a ring are like, before a rollout and during it. Pure.

Two sources, neither of which grows with the ring: the last count of the devices (``RingSummary``), and the counters of
the job by which AWS IoT carries the ring's deployment out (``JobCounts``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vedette.contracts.fleet_metrics import Condition
from vedette.contracts.ring_summary import MAX_NAMED, RingSummary
from vedette.contracts.rollout import MAX_UNWELL, RingCounts
from vedette.core.fleet.device_state import DeviceView, standing

#: What was wrong with each device of which anything was.
Unwell = Mapping[str, tuple[Condition, ...]]

_SUCCEEDED: Final = frozenset({"SUCCEEDED", "COMPLETED"})
_FAILED: Final = frozenset({"FAILED", "REJECTED", "TIMED_OUT", "CANCELED"})


class RingTally:
    """Counts a ring, one device after the other, in memory that does not grow with them.

    The first by name are those that are named: whoever counts does so in the order of names.
    """

    def __init__(self) -> None:
        self._devices = self._online = self._unwell = self._unhealthy = self._untold_devices = 0
        self._wrong: dict[str, tuple[Condition, ...]] = {}
        self._untold: list[str] = []

    def add(self, thing: str, device: DeviceView, now_s: float) -> None:
        """Count a device.

        Args:
            thing: its name.
            device: what the table knows.
            now_s: seconds since 1970.
        """
        wrong = tuple(sorted(standing(device, now_s)))
        offline = Condition.OFFLINE in wrong
        untold = device.last_seen_s is None and not device.connected
        self._devices += 1
        self._online += not offline and not untold
        self._unwell += bool(wrong)
        self._unhealthy += bool(wrong) and not offline
        self._untold_devices += untold
        if wrong and len(self._wrong) < MAX_NAMED:
            self._wrong[thing] = wrong
        if untold and len(self._untold) < MAX_NAMED:
            self._untold.append(thing)

    def summary(self, counted_at: int, fleet_devices: int) -> RingSummary:
        """What was counted.

        Args:
            counted_at: when the count began, seconds since 1970.
            fleet_devices: in all rings.
        """
        return RingSummary(
            counted_at=counted_at,
            fleet_devices=fleet_devices,
            devices=self._devices,
            online=self._online,
            unwell=self._unwell,
            unhealthy=self._unhealthy,
            untold_devices=self._untold_devices,
            wrong=self._wrong,
            untold=tuple(self._untold),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts:
    """Devices by what they made of the ring's newest deployment.

    Attributes:
        succeeded: run it.
        failed: failed, refused it, did not answer in time, or had it taken away.
        in_progress: are at it.
        queued: have not heard of it.
    """

    succeeded: int = 0
    failed: int = 0
    in_progress: int = 0
    queued: int = 0

    @property
    def answered(self) -> int:
        """Devices that have heard of it, and so were there."""
        return self.succeeded + self.failed + self.in_progress


def job_counts(details: Mapping[str, object]) -> JobCounts:
    """Of AWS IoT's ``jobProcessDetails``.

    Things that were removed from the group are nobody's business any more, and are left out.
    """

    def of(*names: str) -> int:
        found = (details.get(f"numberOf{name}Things") for name in names)
        return sum(value for value in found if isinstance(value, int))

    return JobCounts(
        succeeded=of("Succeeded"),
        failed=of("Failed", "Rejected", "TimedOut", "Canceled"),
        in_progress=of("InProgress"),
        queued=of("Queued"),
    )


def one_device(state: str | None) -> JobCounts:
    """Of one device's own deployment, which has no job.

    Args:
        state: AWS's word; None for a device that Greengrass has never seen.
    """
    return JobCounts(
        succeeded=state in _SUCCEEDED,
        failed=state in _FAILED,
        in_progress=state == "IN_PROGRESS",
        queued=state == "QUEUED",
    )


def unwell(summary: RingSummary) -> dict[str, tuple[Condition, ...]]:
    """What is wrong with which device, of ``MAX_UNWELL`` at most: one that is left out counts as well before.

    A device that has never told anything is as one that is offline: nothing that it tells later is a change's doing.
    """
    silent = dict.fromkeys(summary.untold, (Condition.OFFLINE,))
    return dict([*summary.wrong.items(), *silent.items()][:MAX_UNWELL])


def counted(summary: RingSummary | None, job: JobCounts, before: Unwell) -> RingCounts:
    """A ring in numbers.

    A device is newly unwell where anything is wrong with it that was not before. One that was offline before had told
    nothing, so nothing that it tells now is the change's doing. Of more unwell devices than are named, those without a
    name count as newly unwell.

    A device that never told how it is counts as online once Greengrass has heard from it. Greengrass counts devices and
    does not say which: only answers beyond the number of those that have told are taken for those of others.

    Args:
        summary: the last count; None where the ring was never counted, of which is known only that it is no empty ring.
        job: of the newest deployment.
        before: what was wrong before the ring was touched.
    """
    # Of an uncounted ring one device is taken for granted: an empty ring may pass, an unknown one may not.
    known = summary or RingSummary(counted_at=0, devices=1, untold_devices=1)
    devices = max(known.devices, job.answered)
    untold = known.untold_devices + devices - known.devices
    online = known.online + min(untold, max(0, job.answered - (known.devices - known.untold_devices)))
    unnamed = known.unwell - len(known.wrong)
    newly = sum(_newly_unwell(wrong, before.get(thing, ())) for thing, wrong in known.wrong.items())
    return RingCounts(
        devices=devices,
        offline=devices - online,
        # One that took it and is gone says nothing; one that refused it has said so.
        succeeded=min(job.succeeded, online),
        failed=job.failed,
        unhealthy=known.unhealthy,
        newly_unwell=newly + unnamed,
    )


def _newly_unwell(now: tuple[Condition, ...], before: tuple[Condition, ...]) -> bool:
    return Condition.OFFLINE not in before and not set(now) <= set(before)
