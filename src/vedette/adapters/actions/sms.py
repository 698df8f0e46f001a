"""Alerts as short messages to phones. No number of a phone stands in any message of ours."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import urlencode

from vedette.adapters.actions.credentials import lacking, user_and_password
from vedette.adapters.actions.recipients import Recipients
from vedette.adapters.actions.webhook import RETRIED
from vedette.adapters.egress.http import HttpPoster
from vedette.adapters.egress.modem import Modem, WrongPinError
from vedette.contracts.alert import Alert
from vedette.contracts.errors import ConfigurationError, DeliveryError
from vedette.contracts.manifest import SmsAction
from vedette.core.messages import short_text
from vedette.core.sms import cut
from vedette.core.templates import fill
from vedette.ports.action import ReceiverBusyError
from vedette.ports.outbox import OutboxRow

#: Between two tries for those who could not be reached.
PAUSE_S: Final = 10.0
#: The gateway is at fault, not a number, where this many in a row cannot be reached.
IN_A_ROW: Final = 2

GetSecret = Callable[[str], Mapping[str, str]]


class Gateway(Protocol):
    """What sends a text to one phone."""

    def send(self, number: str, text: str, alert: Alert) -> None:
        """Raises DeliveryError: V504 where this number never will get it."""
        ...

    def close(self) -> None:
        """Idempotent."""
        ...


class SmsReceiver:
    """Implements ``vedette.ports.action.Action``.

    Args:
        plan: recipients and words.
        gateway: on its way.
    """

    #: One at a time: the window of doubt is one message.
    batch = 1
    together = False

    def __init__(self, plan: SmsAction, gateway: Gateway) -> None:
        self._plan = plan
        self._gateway = gateway
        self._recipients = Recipients(plan.to, "the short message to")

    def deliver(self, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]) -> None:
        """Send each alert to every phone that has not got it yet.

        Raises:
            DeliveryError: V504, some phones never will get it; V502, V503, V506: not now.
        """
        for row in rows:
            self._send(row)
            done(row)

    def close(self) -> None:
        """Let go of the gateway."""
        self._gateway.close()

    def _send(self, row: OutboxRow) -> None:
        alert = Alert.model_validate_json(row.body)
        text = short_text(alert, self._plan.timezone)
        failures = 0
        try:
            for number in self._recipients.missing(row.alert_id):
                try:
                    self._gateway.send(number, text, alert)
                except DeliveryError as error:
                    if not error.retryable:
                        self._recipients.never(number, f"{masked(number)} is refused: {error.message}")
                        continue
                    failures += 1
                    if failures >= IN_A_ROW or error.code != "V502" or isinstance(error, ReceiverBusyError):
                        raise
                    self._recipients.away(number, f"{masked(number)} is not sent: {error.message}")
                    continue
                self._recipients.have([number])
                failures = 0
        finally:
            self._gateway.close()
        self._recipients.settle(PAUSE_S)


class WebGateway:
    """A web service that sends short messages.

    Args:
        plan: what is sent to it.
        poster: to its URL.
        get_secret: name → key-value pairs.
    """

    def __init__(self, plan: SmsAction, poster: HttpPoster, get_secret: GetSecret) -> None:
        self._plan = plan
        self._poster = poster
        self._get_secret = get_secret

    def send(self, number: str, text: str, alert: Alert) -> None:
        """One request.

        Raises:
            DeliveryError: V504, the service refuses it for good (4xx); V502, not now; V503, there is no secret.
        """
        text = "".join(cut(text, self._plan.parts))
        values = {"to": number, "text": text, "alert_id": alert.alert_id, "severity": alert.severity.value}
        fields = fill(self._plan.body or {}, values)
        if self._plan.encoding == "json":
            content, kind = json.dumps(fields, ensure_ascii=False).encode(), "application/json"
        else:
            content, kind = urlencode(fields).encode(), "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind, "User-Agent": "vedette", "Idempotency-Key": _key(alert.alert_id, number)}
        try:
            answer = self._poster.post(content, {**headers, **self._login()})
        except ConfigurationError as error:  # the operator can mend it, so the alert waits
            raise ReceiverBusyError(error.message, retry_after_s=PAUSE_S) from error
        if 200 <= answer.status < 300:
            return
        message = f"the gateway answers {answer.status}"
        if 400 <= answer.status < 500 and answer.status not in RETRIED:
            raise DeliveryError(message, code="V504", retryable=False)
        if answer.retry_after_s is not None or answer.status in RETRIED:
            raise ReceiverBusyError(f"{message}.", retry_after_s=answer.retry_after_s or PAUSE_S)
        raise DeliveryError(message, code="V502")

    def close(self) -> None:
        """Close the connection."""
        self._poster.close()

    def _login(self) -> dict[str, str]:
        if self._plan.secret is None:
            return {}
        pairs = self._get_secret(self._plan.secret)
        if self._plan.header is not None:
            if not pairs.get("value"):
                raise lacking(self._plan.secret, "`value`")
            return {self._plan.header: pairs["value"]}
        username, password = user_and_password(pairs, self._plan.secret)
        both = f"{username}:{password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(both).decode()}"}


class ModemGateway:
    """A modem at a serial device; opened for one alert, let go in between.

    Args:
        plan: the device.
        get_secret: name → key-value pairs, with ``pin``.
    """

    def __init__(self, plan: SmsAction, get_secret: GetSecret) -> None:
        self._plan = plan
        self._get_secret = get_secret
        self._modem: Modem | None = None
        self._reference = 0
        self._wrong_pin: str | None = None

    def send(self, number: str, text: str, alert: Alert) -> None:  # noqa: ARG002
        """One message, in as many parts as are allowed.

        Raises:
            DeliveryError: see ``Modem``.
        """
        try:
            if self._modem is None:
                self._modem = Modem(self._plan.device or "", self._plan.baud, self._plan.mode, self._pin)
            self._reference = (self._reference + 1) % 256
            self._modem.send(
                number, text, parts=self._plan.parts, reference=self._reference, timeout_s=self._plan.timeout_s
            )
        except WrongPinError:
            self._wrong_pin = self._pin()
            raise
        except DeliveryError as error:
            if error.retryable:
                self.close()
            raise

    def close(self) -> None:
        """Let go of the device."""
        if self._modem is not None:
            self._modem.close()
            self._modem = None

    def _pin(self) -> str | None:
        if self._plan.secret is None:
            return None
        pin = self._get_secret(self._plan.secret).get("pin")
        if pin is not None and pin == self._wrong_pin:
            raise DeliveryError("the SIM has refused this PIN before; it is not tried again.", code="V506")
        return pin


def masked(number: str) -> str:
    """A number as it may be shown: country and the last two digits."""
    return f"{number[:3]}…{number[-2:]}"


def _key(alert_id: str, number: str) -> str:
    """What a repeat of this alert to this phone is recognised by."""
    return hashlib.sha256(f"{alert_id} {number}".encode()).hexdigest()[:32]
