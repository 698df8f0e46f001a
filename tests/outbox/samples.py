"""Alerts for the tests of the outbox and of the actions."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from vedette.contracts.alert import Alert, Severity
from vedette.ports.outbox import NewAlert, OutboxRow


def alert(number: int, *, camera: str = "gate", severity: Severity = Severity.WARNING, message: str = "") -> Alert:
    """Alert ``number`` of a camera; its id is that of no other."""
    return Alert(
        alert_id=hashlib.sha256(f"{camera}-{number}".encode()).hexdigest()[:32],
        device="thing",
        application="app",
        camera=camera,
        rule="crossing",
        severity=severity,
        time=datetime.fromtimestamp(1.7e9 + number, UTC),
        media_time_s=float(number),
        label="person",
        track_ids=(number,),
        boxes=((1.0, 2.0, 3.0, 4.0),),
        message=message,
    )


def new(number: int, *channels: str, camera: str = "gate", severity: Severity = Severity.WARNING) -> NewAlert:
    return NewAlert(alert(number, camera=camera, severity=severity), channels)


def row(number: int, channel: str = "app/hook", *, camera: str = "gate", seq: int = 0, epoch: str = "e") -> OutboxRow:
    """A row as the outbox hands it out."""
    one = alert(number, camera=camera)
    body = one.model_dump_json(exclude_none=True).encode()
    return OutboxRow(number, channel, one.alert_id, f"app/{camera}", body, epoch if seq else "", seq, 0.0)
