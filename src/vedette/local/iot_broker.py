"""IoT Core as an MQTT broker with mutual TLS, through the MQTT client of the AWS Common Runtime.

As nucleus lite does, a publish without a connection fails at once: nothing is kept for later, so the sender's
outbox is the only one. The connection itself comes back in the background.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from awscrt import io, mqtt5

from vedette.contracts.errors import CoreError
from vedette.local.bus import Bus, Subscription
from vedette.local.iot import BrokerIot
from vedette.local.server import IpcError

logger = logging.getLogger(__name__)

MIN_RECONNECT_MS: Final = 500
MAX_RECONNECT_MS: Final = 2000
ACK_TIMEOUT_S: Final = 5
KEEP_ALIVE_S: Final = 15
PING_TIMEOUT_MS: Final = 3000
CONNACK_TIMEOUT_MS: Final = 5000
MAX_WAITING: Final = 1000


class BrokerBridge:
    """One MQTT connection for all components.

    Args:
        settings: broker and certificates.
        thing_name: client identifier where the settings name none.
        lite: imitate nucleus lite (subscribing without a connection fails as well).

    Raises:
        CoreError: a certificate or key cannot be used.
    """

    def __init__(self, settings: BrokerIot, thing_name: str, *, lite: bool) -> None:
        self._lite = lite
        self._where = f"{settings.host}:{settings.port}"
        self._bus: Bus[bytes] = Bus()
        self._wanted: dict[str, int] = {}
        self._connected = False
        self._stopped = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._answers: set[asyncio.Future[Any]] = set()
        self._client = mqtt5.Client(self._options(settings, thing_name))

    def _options(self, settings: BrokerIot, thing_name: str) -> Any:
        for file in (settings.ca_file, settings.cert_file, settings.key_file):
            if not file.is_file():
                raise CoreError(f"{file}: no such file; the broker connection needs it.", code="V603")
        try:
            tls = io.TlsContextOptions.create_client_with_mtls_from_path(
                str(settings.cert_file), str(settings.key_file)
            )
            tls.override_default_trust_store_from_path(None, str(settings.ca_file))
            context = io.ClientTlsContext(tls)
        except Exception as error:  # noqa: BLE001 - awscrt raises its errors as bare RuntimeError and others
            raise CoreError(f"{settings.cert_file}: certificate or key is not usable ({error}).", code="V603") from None
        return mqtt5.ClientOptions(
            host_name=settings.host,
            port=settings.port,
            tls_ctx=context,
            connect_options=mqtt5.ConnectPacket(
                client_id=settings.client_id or thing_name, keep_alive_interval_sec=KEEP_ALIVE_S
            ),
            session_behavior=mqtt5.ClientSessionBehaviorType.CLEAN,
            offline_queue_behavior=mqtt5.ClientOperationQueueBehaviorType.FAIL_ALL_ON_DISCONNECT,
            retry_jitter_mode=mqtt5.ExponentialBackoffJitterMode.FULL,
            min_reconnect_delay_ms=MIN_RECONNECT_MS,
            max_reconnect_delay_ms=MAX_RECONNECT_MS,
            min_connected_time_to_reset_reconnect_delay_ms=1000,
            ping_timeout_ms=PING_TIMEOUT_MS,
            connack_timeout_ms=CONNACK_TIMEOUT_MS,
            ack_timeout_sec=ACK_TIMEOUT_S,
            on_publish_callback_fn=self._from_network(self._received),
            on_lifecycle_event_connection_success_fn=self._from_network(self._up),
            on_lifecycle_event_connection_failure_fn=self._from_network(self._failed),
            on_lifecycle_event_disconnection_fn=self._from_network(self._down),
            on_lifecycle_event_stopped_fn=self._from_network(lambda _: self._stopped.set()),
            disable_metrics=True,
        )

    def _from_network(self, handler: Callable[[Any], None]) -> Callable[[Any], None]:
        """A callback for the client's own thread that carries the event into the loop."""

        def carry(event: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(handler, event)

        return carry

    def _up(self, _: Any) -> None:
        self._connected = True
        logger.info("connected to the broker %s", self._where)
        for topic_filter, qos in self._wanted.items():
            self._client.subscribe(_subscription(topic_filter, qos)).add_done_callback(
                lambda future, name=topic_filter: _log_failure(future, name)
            )

    def _failed(self, event: Any) -> None:
        logger.warning("no connection to the broker %s: %s", self._where, event.exception)

    def _down(self, event: Any) -> None:
        self._connected = False
        logger.warning("connection to the broker %s lost: %s", self._where, event.exception)
        # What was given to the client after the connection broke and before this is known would wait for the next one.
        for answer in self._answers:
            if not answer.done():
                answer.set_exception(ConnectionError(str(event.exception)))

    def _received(self, event: Any) -> None:
        packet = event.publish_packet
        self._bus.publish(packet.topic, bytes(packet.payload or b""))

    async def start(self) -> None:
        """Begins to connect; does not wait for it."""
        self._client.start()

    async def stop(self) -> None:
        """Disconnects."""
        self._client.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), CONNACK_TIMEOUT_MS / 1000)

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Publishes and waits for the broker's acknowledgement (QoS 1)."""
        if not self._connected:
            raise IpcError("ServiceError", f"no connection to the broker {self._where}")
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS(qos))
        answer = await self._await(self._client.publish(packet))
        reason = getattr(answer.puback, "reason_code", None)
        if reason is not None and int(reason) >= 0x80:
            raise IpcError("ServiceError", f"the broker refused the message (reason {int(reason)})")

    async def subscribe(self, subscription: Subscription[bytes], qos: int) -> None:
        """Subscribes now where there is a connection, and at each new connection."""
        topic_filter = subscription.topic_filter
        if not self._connected and self._lite:
            raise IpcError("ServiceError", f"no connection to the broker {self._where}")
        self._bus.add(subscription)
        self._wanted[topic_filter] = max(qos, self._wanted.get(topic_filter, 0))
        if not self._connected:
            return
        try:
            answer = await self._await(self._client.subscribe(_subscription(topic_filter, self._wanted[topic_filter])))
            if any(int(code) >= 0x80 for code in answer.reason_codes):
                raise IpcError("ServiceError", f"the broker refused the subscription to {topic_filter}")
        except BaseException:
            self.unsubscribe(subscription)
            raise

    def unsubscribe(self, subscription: Subscription[bytes]) -> None:
        """Ends delivery to one subscriber, and the broker's when it was the last."""
        self._bus.remove(subscription)
        topic_filter = subscription.topic_filter
        if topic_filter in self._wanted and not self._bus.wants(topic_filter):
            del self._wanted[topic_filter]
            if self._connected:
                packet = mqtt5.UnsubscribePacket(topic_filters=[topic_filter])
                self._client.unsubscribe(packet).add_done_callback(lambda future: future.exception())

    async def _await(self, future: Future[Any]) -> Any:
        if len(self._answers) >= MAX_WAITING:
            raise IpcError("ServiceError", "too many messages wait for the broker")
        answer: asyncio.Future[Any] = self._loop.create_future()  # the client's own must never be cancelled
        self._answers.add(answer)
        future.add_done_callback(self._from_network(lambda done: _hand_over(done, answer)))
        try:
            return await answer
        except Exception as error:  # noqa: BLE001 - the client's errors are of many types; each means not delivered
            raise IpcError("ServiceError", f"the broker {self._where} did not take it: {error}") from None
        finally:
            self._answers.discard(answer)


def _hand_over(done: Future[Any], answer: asyncio.Future[Any]) -> None:
    error = done.exception()
    if answer.done():  # nobody waits any more
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(done.result())


def _subscription(topic_filter: str, qos: int) -> Any:
    return mqtt5.SubscribePacket(subscriptions=[mqtt5.Subscription(topic_filter=topic_filter, qos=mqtt5.QoS(qos))])


def _log_failure(future: Future[Any], topic_filter: str) -> None:
    error = future.exception()
    if error is not None:
        logger.warning("subscription to %s was not renewed: %s", topic_filter, error)
