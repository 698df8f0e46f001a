"""Alerts published to an MQTT broker of the site with QoS 1."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final

from vedette.adapters.egress import MqttConnection
from vedette.contracts.errors import DeliveryError
from vedette.ports.action import AwayError
from vedette.ports.outbox import OutboxRow

#: Publishes on their way at a time.
BATCH: Final = 500
CONNECT_WAIT_S: Final = 2.0
ACK_WAIT_S: Final = 12.0
#: Of the reason codes of MQTT 5 (section 3.4.2.1) the one that is about the message itself; all others say that the
#: broker is not willing or not able now, which must not cost an alert.
PAYLOAD_FORMAT_INVALID: Final = 153


class MqttReceiver:
    """Implements ``vedette.ports.action.Action``.

    Args:
        connect: makes the connection, at the first alert; may raise DeliveryError or ConfigurationError.
        topic: where alerts are published.
    """

    batch = BATCH
    together = False

    def __init__(self, connect: Callable[[], MqttConnection], topic: str) -> None:
        self._connect = connect
        self._topic = topic
        self._connection: MqttConnection | None = None

    def deliver(self, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]) -> None:
        """Publish all rows in order; each is done when the broker has acknowledged it and every row before it.

        Raises:
            DeliveryError: V501, the broker finds this message malformed; V502, anything else.
        """
        if self._connection is None:
            self._connection = self._connect()
        connection = self._connection
        if not connection.wait_connected(CONNECT_WAIT_S):
            if connection.outdated:
                self.close()
            raise AwayError(f"{connection.where} cannot be reached: {connection.problem}.", code="V502")
        futures = [connection.publish(self._topic, row.body) for row in rows]
        deadline_s = time.monotonic() + ACK_WAIT_S
        for row, future in zip(rows, futures, strict=True):
            try:
                puback = future.result(max(0.0, deadline_s - time.monotonic())).puback
            except FutureTimeoutError as error:
                raise DeliveryError(f"{connection.where} does not acknowledge.", code="V502") from error
            except Exception as error:  # awscrt has no error tree of its own
                raise DeliveryError(f"{connection.where} did not take the alert: {error}.", code="V502") from error
            _judge(connection.where, puback)
            done(row)

    def close(self) -> None:
        """Disconnect; idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _judge(where: str, puback: Any) -> None:
    code = int(puback.reason_code)
    if code < 128:  # also 16, nobody has subscribed: the broker has it
        return
    name = getattr(puback.reason_code, "name", str(code))
    poison = code == PAYLOAD_FORMAT_INVALID
    raise DeliveryError(
        f"{where} refused the alert: {name}.",
        hint="" if poison else "It is kept and sent again; check the broker's access rules.",
        code="V501" if poison else "V502",
        retryable=not poison,
    )
