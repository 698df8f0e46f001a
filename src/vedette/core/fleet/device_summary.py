"""One device of a fleet in a line, for lists. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from vedette.core.fleet.device_item import Item, retired_s, text, view
from vedette.core.fleet.device_state import standing


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSummary:
    """A device.

    Attributes:
        thing: its name.
        serial: its serial number.
        ring: of its fleet.
        site: where it is.
        version: of its components; empty until it has told.
        last_seen_s: seconds since 1970; None where it never told anything.
        conditions: what is wrong now; empty where all is well, or nothing is known.
        cameras_down: by its last message.
        core: HEALTHY or UNHEALTHY, as Greengrass says of deployments; empty where it knows no such device.
        retired: whether it was retired.
    """

    thing: str
    serial: str
    ring: str
    site: str
    version: str
    last_seen_s: float | None
    conditions: tuple[str, ...]
    cameras_down: int
    core: str
    retired: bool

    @property
    def unwell(self) -> bool:
        """Whether somebody should look at it."""
        return bool(self.conditions) or self.core == "UNHEALTHY"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "unwell": self.unwell}


def summary(item: Item, now_s: float, core: str = "") -> DeviceSummary:
    """A device in a line.

    Args:
        item: of the table of devices.
        now_s: seconds since 1970.
        core: what Greengrass says.
    """
    seen = view(item)
    return DeviceSummary(
        thing=text(item, "thing"),
        serial=text(item, "serial"),
        ring=seen.ring,
        site=text(item, "site"),
        version=seen.version,
        last_seen_s=seen.last_seen_s,
        conditions=tuple(one.value for one in standing(seen, now_s)),
        cameras_down=seen.cameras_down,
        core=core,
        retired=retired_s(item) is not None,
    )


def chosen(
    devices: Iterable[DeviceSummary], *, ring: str | None = None, site: str | None = None, unwell: bool = False
) -> list[DeviceSummary]:
    """Those of a ring, of a site, that are unwell; None and False take all."""
    return [
        one
        for one in devices
        if (ring is None or one.ring == ring) and (site is None or one.site == site) and (one.unwell or not unwell)
    ]


def ago(seconds: float) -> str:
    """A time that has passed, for people."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
