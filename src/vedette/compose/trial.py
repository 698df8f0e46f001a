"""One test alert through one action, right now, without a queue."""

from __future__ import annotations

import contextlib
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vedette.compose.lines import make_line
from vedette.compose.receivers import Surroundings, make_receiver
from vedette.contracts.alert import Alert, Severity
from vedette.contracts.errors import DeliveryError
from vedette.contracts.manifest import (
    Action,
    EmailAction,
    FileAction,
    GpioAction,
    Manifest,
    ModbusAction,
    MqttAction,
    OpcUaAction,
    SignalBase,
    SmsAction,
    WebhookAction,
)
from vedette.pipeline.signal import NOTHING_HAPPENED
from vedette.ports.outbox import OutboxRow
from vedette.ports.signal import Line

#: Stands first in everything a person reads.
MARK: Final = "TEST"


def trial_alert(manifest: Manifest, action: str, device: str) -> Alert:
    """An alert that says of itself that it is none: its rule is called ``test``, its message begins with TEST."""
    return Alert(
        alert_id=uuid.uuid4().hex,
        device=device,
        application=manifest.name,
        camera=next(iter(manifest.cameras)),
        rule="test",
        severity=Severity.INFO,
        time=datetime.now(UTC),
        media_time_s=0.0,
        label="",
        track_ids=(),
        boxes=(),
        message=f"{MARK} of action {action}, sent by hand with `vedette action test`; nothing happened.",
    )


def send(key: str, plan: Action, alert: Alert, surroundings: Surroundings) -> str:
    """Send it; a pulse has ended, and a digest is not waited for.

    Args:
        key: ``<application>/<action>``.
        plan: any action but that of the cloud.
        alert: from ``trial_alert``.
        surroundings: for the receiver.

    Returns:
        What the receiver said, for people.

    Raises:
        DeliveryError: it does not have the alert, and why.
    """
    row = OutboxRow(1, key, alert.alert_id, f"{alert.application}/{alert.camera}", alert.model_dump_json().encode())
    if isinstance(plan, SignalBase):
        _switch(plan, make_line(plan, surroundings.secrets), row)
    else:
        if isinstance(plan, EmailAction):
            plan = plan.model_copy(update={"digest_s": 0.0})
        receiver = make_receiver(key, plan, surroundings)
        try:
            receiver.deliver([row], lambda _row: None)
        finally:
            receiver.close()
    return _said(plan, surroundings.directory)


def effect(plan: SignalBase) -> str:
    """What a signal's test switches, for the person who is asked."""
    match plan:
        case ModbusAction():
            number = int(plan.value is None or bool(plan.value)) if plan.write == "coil" else plan.value
            what = f"writes {number} to {plan.write} {plan.address} of {plan.host}:{plan.port} unit {plan.unit}"
        case OpcUaAction():
            value = "the alert" if plan.value_type == "alert" else plan.value if plan.value is not None else "true"
            what = f"writes {value} to {plan.node} of {plan.endpoint}"
        case GpioAction():
            name = plan.line_name if plan.line is None else plan.line
            what = f"makes line {name} of {plan.chip} active"
        case _:
            what = "switches it"
    if plan.pulse_s is None:
        return f"{what}; without `pulse_s` it stays so"
    return f"{what}, and puts it back to rest after {plan.pulse_s:g} s"


def _switch(plan: SignalBase, line: Line, row: OutboxRow) -> None:
    try:
        line.prepare()
        try:
            line.on(row)
            if plan.pulse_s is not None:
                time.sleep(plan.pulse_s)
        except DeliveryError as error:
            if plan.pulse_s is not None and error.code not in NOTHING_HAPPENED:
                with contextlib.suppress(DeliveryError):
                    line.off()
            raise
        except BaseException:  # Ctrl-C while it is on
            line.off()
            raise
        if plan.pulse_s is not None:
            line.off()
    finally:
        line.close()


def _said(plan: Action, directory: Path) -> str:
    match plan:
        case FileAction():
            return f"written to {directory / plan.path}"
        case WebhookAction():
            return "the receiver answered 2xx"
        case MqttAction():
            return f"the broker acknowledged it on {plan.topic}"
        case EmailAction():
            return f"the mail server took the message for {', '.join(plan.to)}"
        case SmsAction():
            count = len(plan.to)
            return f"the message was taken for {count} {'phone' if count == 1 else 'phones'}"
        case GpioAction():
            return "the line was switched and reads so"
        case _:
            return "the receiver confirmed the write"
