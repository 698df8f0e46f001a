"""A ring as the last count of its devices found it: one item a ring, whatever the number of devices."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from vedette.contracts.base import Contract
from vedette.contracts.device import ThingName
from vedette.contracts.fleet_metrics import Condition

#: Devices of a ring whose names are kept: an item of a table holds 400 KB, and so many need less than 300.
MAX_NAMED: Final = 1000


class RingSummary(Contract):
    """Devices of a ring, counted at one time."""

    counted_at: Annotated[int, Field(ge=0, description="When the count began, seconds since 1970.")]
    fleet_devices: Annotated[int, Field(ge=0, description="Of the whole fleet, which is counted at once.")] = 0
    devices: Annotated[int, Field(ge=0)] = 0
    online: Annotated[int, Field(ge=0, description="Have told how they are, or are connected, and are there.")] = 0
    unwell: Annotated[int, Field(ge=0, description="Have told, and report a problem or have fallen silent.")] = 0
    unhealthy: Annotated[int, Field(ge=0, description="Report a problem, of those online.")] = 0
    untold_devices: Annotated[
        int, Field(ge=0, description="Have never told anything and are not connected: not installed yet, as it seems.")
    ] = 0
    wrong: Annotated[
        dict[ThingName, tuple[Condition, ...]],
        Field(max_length=MAX_NAMED, description="What is wrong with which device, the first by name."),
    ] = Field(default_factory=dict)
    untold: Annotated[
        tuple[ThingName, ...],
        Field(max_length=MAX_NAMED, description="Names of those, the first ones."),
    ] = ()
