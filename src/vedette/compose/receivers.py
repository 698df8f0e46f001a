"""Actions of a plan → receivers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from vedette.adapters.actions.file import FileReceiver
from vedette.adapters.actions.modbus import ModbusLine
from vedette.adapters.actions.mqtt import MqttReceiver
from vedette.adapters.actions.secrets import SecretStore
from vedette.adapters.actions.webhook import WebhookReceiver
from vedette.adapters.egress import HttpPoster, MqttConnection, MqttSettings
from vedette.adapters.egress.modbus import ModbusConnection, ModbusSettings
from vedette.contracts.errors import ConfigurationError, DeliveryError
from vedette.contracts.manifest import Action as ActionPlan
from vedette.contracts.manifest import FileAction, ModbusAction, MqttAction, SignalBase, WebhookAction
from vedette.core.signals import Timing
from vedette.pipeline.deliver import Delivery, DeliveryHealth
from vedette.pipeline.pictures import PictureTimes
from vedette.pipeline.signal import SignalDelivery
from vedette.ports.action import Action
from vedette.ports.outbox import Outbox, OutboxRow
from vedette.ports.signal import Line


class Channel(Protocol):
    """What works off the queue of one action."""

    def wake(self) -> None:
        """Something was committed."""
        ...

    def health(self) -> DeliveryHealth:
        """For the health report."""
        ...

    def stop(self) -> None:
        """Begin to stop; does not wait."""
        ...

    def close(self) -> None:
        """Stop; idempotent."""
        ...


def open_channel(
    key: str,
    plan: ActionPlan,
    outbox: Outbox,
    *,
    directory: Path,
    device: str,
    secrets: SecretStore,
    pictures: PictureTimes,
) -> Channel:
    """Begin to deliver the alerts of one action.

    Args:
        key: ``<application>/<action>``.
        plan: any action but that of the cloud.
        outbox: what waits.
        directory: the state directory.
        device: IoT thing name.
        secrets: for keys and passwords.
        pictures: when pictures were taken, for signals.
    """
    if isinstance(plan, SignalBase):
        return SignalDelivery(outbox, key, make_line(plan), timing_of(plan), pictures)
    return Delivery(outbox, key, make_receiver(key, plan, directory=directory, device=device, secrets=secrets))


def make_line(plan: SignalBase) -> Line:
    """What a signal's action switches."""
    assert isinstance(plan, ModbusAction)
    settings = ModbusSettings(plan.host, plan.port, plan.unit, plan.timeout_s)
    return ModbusLine(ModbusConnection(settings), plan)


def timing_of(plan: SignalBase) -> Timing:
    """When a signal is given."""
    return Timing(
        after_s=plan.after_s,
        late_s=plan.late_s,
        pulse_s=plan.pulse_s,
        again=plan.overlap == "again",
        gap_s=plan.gap_s,
    )


def make_receiver(key: str, plan: ActionPlan, *, directory: Path, device: str, secrets: SecretStore) -> Action:
    """The receiver of one action. One that cannot be made keeps its alerts and says why at each attempt.

    Args:
        key: ``<application>/<action>``.
        plan: a file, webhook or MQTT action; the cloud is no receiver but an ``Uplink``.
        directory: the state directory.
        device: IoT thing name.
        secrets: for keys and passwords.
    """
    try:
        if isinstance(plan, FileAction):
            return FileReceiver(plan.path, directory)
        if isinstance(plan, WebhookAction):
            poster = HttpPoster(plan.url, allow_private=plan.allow_private, timeout_s=plan.timeout_s)
            return WebhookReceiver(poster, plan.url, secret=plan.secret, get_secret=secrets.get)
        if isinstance(plan, MqttAction):
            return MqttReceiver(_mqtt(key, plan, device, secrets), plan.topic)
    except ConfigurationError as error:
        return Unusable(error.message)
    return Unusable(f"actions of the type {plan.type!r} are not delivered this way")


def make_report_file(path: str, directory: Path) -> Action:
    """The file that reports of insights go to; as with receivers, one that cannot be made says why at each attempt."""
    try:
        return FileReceiver(path, directory, id_field="report_id")
    except ConfigurationError as error:
        return Unusable(error.message)


class Unusable:
    """Takes the place of a receiver that cannot be made."""

    batch = 1

    def __init__(self, why: str) -> None:
        self._why = why

    def deliver(self, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]) -> None:  # noqa: ARG002
        """Always fails, so that the alerts wait until the manifest was mended."""
        raise DeliveryError(self._why, code="V502")

    def close(self) -> None:
        """Nothing to close."""


def _mqtt(key: str, plan: MqttAction, device: str, secrets: SecretStore) -> Callable[[], MqttConnection]:
    def connect() -> MqttConnection:
        pairs = secrets.get(plan.secret) if plan.secret is not None else {}
        # A client identifier is taken over by the next who uses it: it has to be this action's own.
        client = hashlib.sha256(f"{device} {key}".encode()).hexdigest()[:12]
        return MqttConnection(
            MqttSettings(
                host=plan.host,
                port=plan.port,
                tls=plan.tls,
                client_id=f"vedette-{client}",
                ca_file=plan.ca_file,
                username=pairs.get("username", ""),
                password=pairs.get("password", ""),
            )
        )

    return connect
