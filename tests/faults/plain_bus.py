"""A nucleus in the place of Greengrass, of one thread: hands messages to a broker and forgets them.

As on the classic nucleus a publish that returned says nothing of delivery, as on nucleus lite one without a connection
fails at once. The connection comes back by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

from vedette.contracts.errors import DeliveryError
from vedette.ports.bus import Bus


class PlainBus:
    """The part of ``vedette.ports.bus.Bus`` that the way to the cloud needs."""

    def __init__(self, port: int) -> None:
        from awscrt import mqtt5

        self._mqtt5 = mqtt5
        self._up = threading.Event()
        self._stopped = threading.Event()
        self._filters: list[str] = []
        self._heard: Callable[[str, bytes], None] = lambda _topic, _payload: None
        self.client = mqtt5.Client(
            mqtt5.ClientOptions(
                host_name="127.0.0.1",
                port=port,
                connect_options=mqtt5.ConnectPacket(client_id="thing", keep_alive_interval_sec=10),
                session_behavior=mqtt5.ClientSessionBehaviorType.CLEAN,
                offline_queue_behavior=mqtt5.ClientOperationQueueBehaviorType.FAIL_ALL_ON_DISCONNECT,
                min_reconnect_delay_ms=20,
                max_reconnect_delay_ms=100,
                ack_timeout_sec=2,
                on_publish_callback_fn=self._received,
                on_lifecycle_event_connection_success_fn=lambda _: self._connected(),
                on_lifecycle_event_disconnection_fn=lambda _: self._up.clear(),
                on_lifecycle_event_stopped_fn=lambda _: self._stopped.set(),
                disable_metrics=True,
            )
        )
        self.client.start()

    def as_bus(self) -> Bus:
        """For those who ask for a whole bus and use this part."""
        return cast(Bus, self)

    def publish_cloud(self, topic: str, payload: bytes) -> None:
        """Hand it over."""
        if not self._up.is_set():
            raise DeliveryError("no connection", code="V502")
        packet = self._mqtt5.PublishPacket(topic=topic, payload=payload, qos=self._mqtt5.QoS.AT_LEAST_ONCE)
        self.client.publish(packet).add_done_callback(lambda future: future.exception())

    def subscribe_cloud(self, topic: str, callback: Callable[[str, bytes], None]) -> None:
        """Now and after every reconnection."""
        self._heard = callback
        self._filters.append(topic)
        if self._up.is_set():
            self._subscribe()

    def wait_connected(self, timeout_s: float) -> bool:
        return self._up.wait(timeout_s)

    def close(self) -> None:
        self.client.stop()
        self._stopped.wait(5)

    def _connected(self) -> None:
        self._up.set()
        self._subscribe()

    def _subscribe(self) -> None:
        for topic in self._filters:
            wanted = self._mqtt5.Subscription(topic, self._mqtt5.QoS.AT_LEAST_ONCE)
            self.client.subscribe(self._mqtt5.SubscribePacket(subscriptions=[wanted])).add_done_callback(
                lambda future: future.exception()
            )

    def _received(self, event: Any) -> None:
        self._heard(event.publish_packet.topic, bytes(event.publish_packet.payload or b""))
