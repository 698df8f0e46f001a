"""Alerts of the size that the figures speak of."""

from __future__ import annotations

import hashlib
from typing import Final

from tests.outbox.samples import alert
from vedette.contracts.alert import Severity
from vedette.ports.outbox import NewAlert

#: Bytes of an alert as JSON.
ALERT_BYTES: Final = 600
_WORDS: Final = (
    *(
        "person",
        "vehicle",
        "forklift",
        "pallet",
        "gate",
        "door",
        "dock",
        "left",
        "right",
        "entered",
        "crossed",
        "stayed",
    ),
    *(
        "helmet",
        "vest",
        "zone",
        "line",
        "night",
        "shift",
        "belt",
        "stopped",
        "count",
        "above",
        "limit",
        "before",
        "near",
    ),
    *("wall", "corner", "north", "south", "east", "west", "lane", "truck", "box", "label", "torn", "wet", "after"),
)


def new_alert(number: int, *channels: str, severity: Severity = Severity.WARNING, camera: str = "gate") -> NewAlert:
    """Alert ``number``, its number in ``media_time_s``, of 600 bytes; its text is unlike that of others."""
    plain = alert(number, camera=camera, severity=severity)
    room = ALERT_BYTES - len(plain.model_dump_json(exclude_none=True))
    digest = hashlib.shake_128(f"{camera}-{number}".encode()).digest(80)
    text = " ".join(_WORDS[byte % len(_WORDS)] for byte in digest)[:room]
    return NewAlert(plain.model_copy(update={"message": text}), channels)


def number_of(media_time_s: float) -> int:
    """Which alert it is."""
    return round(media_time_s)
