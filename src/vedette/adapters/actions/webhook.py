"""Alerts as signed HTTP POSTs.

``Vedette-Signature: t=<Unix time>,v1=<HMAC-SHA256 in hex>`` signs ``<t>.<body>`` with the secret's ``key``; a receiver
compares in constant time and refuses old time stamps. ``Idempotency-Key`` is the ``alert_id``: a repeat is possible
where this process ended between the receiver's answer and its own note of it, and has the same key.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from vedette.adapters.egress import HttpPoster
from vedette.contracts.errors import ConfigurationError, DeliveryError
from vedette.ports.action import ReceiverBusyError
from vedette.ports.outbox import OutboxRow

#: Answers that say nothing about the alert: wrong or expired credentials, a wait, too early, too many.
RETRIED: Final = frozenset({401, 403, 407, 408, 421, 425, 429})

GetSecret = Callable[[str], Mapping[str, str]]


class WebhookReceiver:
    """Implements ``vedette.ports.action.Action``.

    Args:
        poster: to the receiver's URL.
        url: for messages; credentials are not allowed in it.
        secret: name of the secret with ``key``; unsigned where None.
        get_secret: name → key-value pairs. May raise DeliveryError.
        wall_s: Unix time.
    """

    #: One at a time: the window of doubt is one alert.
    batch = 1
    together = False

    def __init__(
        self,
        poster: HttpPoster,
        url: str,
        *,
        secret: str | None = None,
        get_secret: GetSecret,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._poster = poster
        self._url = url
        self._secret = secret
        self._get_secret = get_secret
        self._wall_s = wall_s

    def deliver(self, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]) -> None:
        """POST each row; any 2xx is the receiver's word that it has the alert.

        Raises:
            DeliveryError: V501, the receiver will never take this alert (4xx); V502, it cannot now; V503, there is
                no key to sign with: nothing is ever sent unsigned instead.
        """
        for row in rows:
            try:
                answer = self._poster.post(row.body, self._headers(row))
            except ConfigurationError as error:  # the operator can mend it, so the alert waits
                raise DeliveryError(error.message, hint=error.hint, code="V502") from error
            self._judge(answer.status, answer.retry_after_s)
            done(row)

    def close(self) -> None:
        """Close the connection."""
        self._poster.close()

    def _headers(self, row: OutboxRow) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "vedette",
            "Idempotency-Key": row.alert_id,
        }
        if self._secret is not None:
            key = self._get_secret(self._secret).get("key", "")
            if not key:
                raise DeliveryError(
                    f"secret {self._secret!r} has no `key` to sign webhooks with.",
                    hint="Store it as a key-value pair called `key`.",
                    code="V503",
                )
            headers["Vedette-Signature"] = sign(key, int(self._wall_s()), row.body)
        return headers

    def _judge(self, status: int, retry_after_s: float | None) -> None:
        if 200 <= status < 300:
            return
        if 400 <= status < 500 and status not in RETRIED:
            raise DeliveryError(f"the receiver refused the alert with {status}.", code="V501", retryable=False)
        what = "redirects, which are not followed" if 300 <= status < 400 else f"answered {status}"
        message = f"the receiver {what}; the alert is kept and sent again."
        if retry_after_s is not None:
            raise ReceiverBusyError(message, retry_after_s=retry_after_s)
        raise DeliveryError(message, code="V502")


def sign(key: str, time_stamp: int, body: bytes) -> str:
    """Value of ``Vedette-Signature``."""
    digest = hmac.new(key.encode(), f"{time_stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={time_stamp},v1={digest}"
