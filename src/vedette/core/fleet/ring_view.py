"""What the devices of a ring are like, before a rollout and during it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from vedette.contracts.fleet_metrics import Condition
from vedette.contracts.rollout import MAX_UNWELL, RingCounts

_SUCCEEDED: Final = frozenset({"SUCCEEDED", "COMPLETED"})
_FAILED: Final = frozenset({"FAILED", "REJECTED", "TIMED_OUT", "CANCELED"})

#: What was wrong with each device of which anything was.
Unwell = Mapping[str, tuple[Condition, ...]]


@dataclass(frozen=True, slots=True)
class SeenDevice:
    """One device.

    Attributes:
        thing: its name.
        wrong: what is wrong with it; ``OFFLINE`` alone where it tells nothing.
        state: how it fares with the ring's newest deployment, AWS's word; empty where it is offline.
    """

    thing: str
    wrong: frozenset[Condition]
    state: str

    @property
    def offline(self) -> bool:
        """Whether it tells nothing."""
        return Condition.OFFLINE in self.wrong


def unwell(devices: Iterable[SeenDevice]) -> dict[str, tuple[Condition, ...]]:
    """What is wrong with which device, of ``MAX_UNWELL`` at most: one that is left out counts as well before."""
    found = {one.thing: tuple(sorted(one.wrong)) for one in devices if one.wrong}
    return dict(sorted(found.items())[:MAX_UNWELL])


def counted(devices: Iterable[SeenDevice], before: Unwell) -> RingCounts:
    """A ring in numbers.

    A device is newly unwell where anything is wrong with it that was not before. One that was offline before had told
    nothing, so nothing that it tells now is the change's doing.

    Args:
        devices: now.
        before: what was wrong before the ring was touched.
    """
    seen = tuple(devices)
    online = [one for one in seen if not one.offline]
    return RingCounts(
        devices=len(seen),
        offline=len(seen) - len(online),
        succeeded=sum(one.state in _SUCCEEDED for one in online),
        failed=sum(one.state in _FAILED for one in online),
        unhealthy=sum(bool(one.wrong) for one in online),
        newly_unwell=sum(_newly_unwell(one, before.get(one.thing, ())) for one in seen),
    )


def _newly_unwell(device: SeenDevice, before: tuple[Condition, ...]) -> bool:
    return Condition.OFFLINE not in before and bool(device.wrong - set(before))
