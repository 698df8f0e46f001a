"""Actions of a plan → what works off their queues.

What an action needs is imported when there is such an action: a worker without a PLC loads no Modbus.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vedette.adapters.actions.file import FileReceiver
from vedette.adapters.actions.mqtt import MqttReceiver
from vedette.adapters.actions.webhook import WebhookReceiver
from vedette.adapters.egress import HttpPoster, MqttConnection, MqttSettings
from vedette.adapters.secrets import SecretStore
from vedette.compose.lines import make_line, timing_of
from vedette.contracts.errors import ConfigurationError, DeliveryError
from vedette.contracts.manifest import Action as ActionPlan
from vedette.contracts.manifest import EmailAction, FileAction, MqttAction, SignalBase, SmsAction, WebhookAction
from vedette.pipeline.deliver import Delivery, DeliveryHealth
from vedette.pipeline.pictures import PictureTimes
from vedette.pipeline.signal import SignalDelivery
from vedette.ports.action import Action
from vedette.ports.outbox import Outbox, OutboxRow


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

    @property
    def ended(self) -> bool:
        """Whether it has stopped: it is in no call, and the outbox knows what it delivered."""
        ...

    def close(self) -> None:
        """Stop; idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What receivers find around them.

    Attributes:
        directory: the state directory.
        device: IoT thing name.
        secrets: for keys and passwords.
    """

    directory: Path
    device: str
    secrets: SecretStore


def open_channel(
    key: str, plan: ActionPlan, outbox: Outbox, surroundings: Surroundings, pictures: PictureTimes
) -> Channel:
    """Begin to deliver the alerts of one action.

    Args:
        key: ``<application>/<action>``.
        plan: any action but that of the cloud.
        outbox: what waits.
        surroundings: for the receiver.
        pictures: when pictures were taken, for signals.
    """
    if isinstance(plan, SignalBase):
        return SignalDelivery(outbox, key, make_line(plan, surroundings.secrets), timing_of(plan), pictures)
    return Delivery(outbox, key, make_receiver(key, plan, surroundings))


def make_receiver(key: str, plan: ActionPlan, surroundings: Surroundings) -> Action:
    """The receiver of one action. One that cannot be made keeps its alerts and says why at each attempt.

    Args:
        key: ``<application>/<action>``.
        plan: an action that is no signal; the cloud is no receiver but an ``Uplink``.
        surroundings: for the receiver.
    """
    secrets = surroundings.secrets
    try:
        if isinstance(plan, FileAction):
            return FileReceiver(plan.path, surroundings.directory)
        if isinstance(plan, WebhookAction):
            poster = HttpPoster(plan.url, allow_private=plan.allow_private, timeout_s=plan.timeout_s)
            return WebhookReceiver(poster, plan.url, secret=plan.secret, get_secret=secrets.get)
        if isinstance(plan, MqttAction):
            return MqttReceiver(_mqtt(key, plan, surroundings.device, secrets), plan.topic)
        if isinstance(plan, EmailAction):
            return _email(plan, surroundings)
        if isinstance(plan, SmsAction):
            return _sms(plan, secrets)
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
    together = False

    def __init__(self, why: str) -> None:
        self._why = why

    def deliver(self, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]) -> None:  # noqa: ARG002
        """Always fails, so that the alerts wait until the manifest was mended."""
        raise DeliveryError(self._why, code="V502")

    def close(self) -> None:
        """Nothing to close."""


def _mqtt(key: str, plan: MqttAction, device: str, secrets: SecretStore) -> Callable[[], MqttConnection]:
    turns = itertools.count()

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
            ),
            turn=next(turns),
        )

    return connect


def _email(plan: EmailAction, surroundings: Surroundings) -> Action:
    from vedette.adapters.actions.credentials import user_and_password
    from vedette.adapters.actions.mail import EmailReceiver
    from vedette.adapters.egress.smtp import PORTS, SmtpConversation, SmtpSettings, conversation

    name = (
        "".join(mark for mark in surroundings.device if mark.isascii() and (mark.isalnum() or mark == "-")) or "vedette"
    )

    def converse() -> AbstractContextManager[SmtpConversation]:
        username = password = ""
        if plan.secret is not None:
            username, password = user_and_password(surroundings.secrets.get(plan.secret), plan.secret)
        return conversation(
            SmtpSettings(
                host=plan.host,
                port=plan.port or PORTS[plan.tls],
                tls=plan.tls,
                ca_file=plan.ca_file,
                timeout_s=plan.timeout_s,
                local_name=name[:63],
                username=username,
                password=password,
            )
        )

    return EmailReceiver(plan, converse)


def _sms(plan: SmsAction, secrets: SecretStore) -> Action:
    from vedette.adapters.actions.sms import ModemGateway, SmsReceiver, WebGateway

    for number in plan.to:
        secrets.hide(number)
    if plan.gateway == "serial":
        return SmsReceiver(plan, ModemGateway(plan, secrets.get))
    poster = HttpPoster(plan.url or "", allow_private=plan.allow_private, timeout_s=plan.timeout_s, method=plan.method)
    return SmsReceiver(plan, WebGateway(plan, poster, secrets.get))
