"""Alerts as mail."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from vedette.adapters.actions.recipients import Recipients
from vedette.adapters.egress.smtp import BUSY_S, Refusal, SmtpConversation
from vedette.contracts.alert import Alert, Severity
from vedette.contracts.errors import ConfigurationError, DeliveryError
from vedette.contracts.manifest import EmailAction
from vedette.core.messages import body, subject, worst_severity
from vedette.ports.action import NotYetError
from vedette.ports.outbox import OutboxRow

#: Messages in one conversation, and alerts in one message.
BATCH: Final = 20
DIGEST: Final = 100
#: No line of a message holds anything but 7 bit ASCII, whatever cameras and rules are called.
_POLICY: Final = SMTP.clone(cte_type="7bit", max_line_length=78)

Converse = Callable[[], AbstractContextManager[SmtpConversation]]


class EmailReceiver:
    """Implements ``vedette.ports.action.Action``.

    A message counts as delivered when the server has taken it for every recipient. Its ``Message-ID`` is the
    ``alert_id``'s, so a repeat (this process ended, or the answer was lost, after the server had taken it) is
    recognised by whoever sorts mail.

    Args:
        plan: recipients and words.
        converse: opens a conversation with the server; may raise DeliveryError or ConfigurationError.
    """

    def __init__(
        self, plan: EmailAction, converse: Converse, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.batch = DIGEST if plan.digest_s else BATCH
        self.together = bool(plan.digest_s)
        self._plan = plan
        self._converse = converse
        self._monotonic = monotonic
        self._recipients = Recipients(plan.to, f"mail server {plan.host}", monotonic=monotonic)
        self._first = (-1, 0.0)  # row a digest begins with, and when it was first seen
        self._last = -1  # row the digest under way ends with, so that a repeat holds the same

    def deliver(self, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]) -> None:
        """Send a message for each row, or one for all that came within ``digest_s``.

        Raises:
            NotYetError: a digest waits for what else comes.
            DeliveryError: V501, V504, the server refuses the message, or a recipient, for good; V502, it cannot take it
                now; V503, there is no login to be had.
        """
        groups = [self._digest(rows)] if self.together else [[row] for row in rows]
        try:
            with self._converse() as conversation:
                for group in groups:
                    self._send(conversation, group, done)
        except ConfigurationError as error:  # the operator can mend it, so the alert waits
            raise DeliveryError(error.message, hint=error.hint, code="V502") from error

    def close(self) -> None:
        """Nothing stays open between messages."""

    def _send(
        self, conversation: SmtpConversation, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]
    ) -> None:
        message = make_message(self._plan, rows)
        missing = self._recipients.missing(str(message["Message-ID"]))
        if missing:
            refused = conversation.send(self._plan.sender, missing, message.as_bytes(policy=_POLICY))
            self._recipients.have(one for one in missing if one not in refused)
            for name, refusal in refused.items():
                told = self._recipients.never if refusal.for_good else self._recipients.away
                told(name, _said(name, refusal))
        try:
            self._recipients.settle(BUSY_S)
        except DeliveryError as error:
            if not error.retryable and self._recipients.somebody:
                for row in rows[:-1]:  # those of a digest are with the others; the last one stands for all
                    done(row)
            raise
        for row in rows:
            done(row)

    def _digest(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        """The rows of the next digest, once it is time for it."""
        now_s = self._monotonic()
        if self._first[0] != rows[0].row_id:
            self._first, self._last = (rows[0].row_id, now_s), -1
        if self._last < 0:
            left_s = self._first[1] + self._plan.digest_s - now_s
            if left_s > 0 and len(rows) < self.batch:
                raise NotYetError("a digest waits for what else comes.", again_s=left_s)
            self._last = rows[-1].row_id
        return [row for row in rows if row.row_id <= self._last]


def make_message(plan: EmailAction, rows: Sequence[OutboxRow]) -> EmailMessage:
    """The message about alerts; made of the same rows it is the same, byte for byte."""
    alerts = [Alert.model_validate_json(row.body) for row in rows]
    made_s = max((row.created_wall_s for row in rows), default=0.0) or alerts[-1].time.timestamp()
    name = rows[0].alert_id
    if len(rows) > 1:
        name = hashlib.sha256(" ".join(row.alert_id for row in rows).encode()).hexdigest()[:32]
    message = EmailMessage(policy=_POLICY)
    message["From"] = plan.sender
    message["To"] = ", ".join(plan.to)
    message["Subject"] = subject(alerts, plan.subject_prefix)
    message["Date"] = format_datetime(datetime.fromtimestamp(made_s, UTC))
    message["Message-ID"] = f"<{name}@{plan.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    if worst_severity(alerts) is Severity.CRITICAL:
        message["Importance"] = "high"
    message.set_content(body(alerts, plan.timezone), charset="utf-8", cte="quoted-printable")
    return message


def _said(name: str, refusal: Refusal) -> str:
    return f"refuses {name}: {refusal.words}"
