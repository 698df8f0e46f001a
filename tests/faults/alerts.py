"""Alerts of the size that the figures speak of."""

from __future__ import annotations

from typing import Final

from tests.outbox.samples import alert
from vedette.contracts.alert import Severity
from vedette.ports.outbox import NewAlert

#: Bytes of an alert as JSON, about.
ALERT_BYTES: Final = 600


def new_alert(number: int, *channels: str, severity: Severity = Severity.WARNING, camera: str = "gate") -> NewAlert:
    """Alert ``number``, its number in ``media_time_s``, about 600 bytes long."""
    return NewAlert(alert(number, camera=camera, severity=severity, message="m" * 290), channels)
