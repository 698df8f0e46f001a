"""What the account knows of a device."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from vedette.contracts.account import DEFAULT_FLEET, RINGS, ShortName
from vedette.contracts.base import Contract

#: Name of a thing: part of topics, object keys and log streams, so it holds nothing that any of them could misread.
ThingName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
#: Serial number as it stands on the device.
Serial = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

#: Attributes of the item of a device that was retired: when, in milliseconds since 1970, and the fleet it was in. Such
#: an item has no ``fleet``, so that no index of a fleet holds it, no sweep counts it and no rollout asks for it.
RETIRED: Final = "retired_ms"
RETIRED_FLEET: Final = "retired_fleet"


class DeviceRecord(Contract):
    """A device as it was registered: one item of the table of devices, whose key is ``thing``.

    Other attributes of the item (last state, presence) belong to the functions that write them.
    """

    thing: ThingName
    serial: Serial
    fleet: ShortName = DEFAULT_FLEET
    ring: Annotated[ShortName, Field(description="Set once, at registration.")] = RINGS[-1]
    site: Annotated[ShortName, Field(description="Where it is; people subscribe to the alerts of sites.")] = "site"
