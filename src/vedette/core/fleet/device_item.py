"""A device's item in the table of devices, as DynamoDB gives it. Pure.

Attributes beside those of the registration: ``last_seen_ms`` and ``health_ms`` (of the newest message), ``version``,
``conditions`` (separated by commas), ``cameras_down``, ``health`` (the message), and of the connection ``connected``,
``connection_version``, ``connection_ms``. Numbers ending in ``_ms`` are milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from vedette.contracts.device import RETIRED
from vedette.contracts.device_health import DeviceHealth
from vedette.contracts.fleet_metrics import Condition
from vedette.core.fleet.device_state import DeviceView
from vedette.core.fleet.presence import Presence

Item = Mapping[str, Mapping[str, Any]]

_CONDITIONS: Final = {condition.value: condition for condition in Condition}


def whose(item: Item) -> dict[str, str]:
    """What an event says of the device: thing, fleet, ring, site."""
    return {name: str(item[name]["S"]) for name in ("thing", "fleet", "ring", "site") if name in item}


def conditions_of(item: Item) -> tuple[Condition, ...]:
    """What was wrong by the newest message; conditions that a newer release wrote are left out."""
    names = text(item, "conditions").split(",")
    return tuple(_CONDITIONS[name] for name in names if name in _CONDITIONS)


def presence_of(item: Item) -> Presence | None:
    """The newest event of the connection."""
    if "connection_ms" not in item:
        return None
    return Presence(
        connected=bool(item["connected"]["BOOL"]),
        version=int(item["connection_version"]["N"]),
        at_ms=int(item["connection_ms"]["N"]),
    )


def view(item: Item) -> DeviceView:
    """What is counted of the device."""
    presence = presence_of(item)
    return DeviceView(
        ring=text(item, "ring"),
        version=text(item, "version"),
        last_seen_s=seconds(item, "last_seen_ms"),
        connected=presence.connected if presence is not None else None,
        connection_s=presence.at_ms / 1000 if presence is not None else 0.0,
        conditions=conditions_of(item),
        cameras_down=int(item.get("cameras_down", {}).get("N", "0")),
    )


def health_of(item: Item) -> DeviceHealth | None:
    """The newest message; None where none came, or a newer release's that is not understood."""
    try:
        return DeviceHealth.model_validate_json(text(item, "health"))
    except ValidationError:
        return None


def retired_s(item: Item) -> float | None:
    """When the device was retired, seconds since 1970; None where it was not."""
    return seconds(item, RETIRED)


def text(item: Item, name: str) -> str:
    """A text; empty where there is none."""
    return str(item.get(name, {}).get("S", ""))


def seconds(item: Item, name: str) -> float | None:
    """An attribute of milliseconds, in seconds; None where there is none."""
    value = item.get(name, {}).get("N")
    return None if value is None else int(value) / 1000
