"""A connection to an MQTT broker of the site, over the AWS common runtime."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vedette.adapters.egress.rules import Resolve, check_broker, resolve
from vedette.contracts.errors import ConfigurationError, DeliveryError

MQTT_KEEP_ALIVE_S: Final = 10
MQTT_PING_TIMEOUT_MS: Final = 5_000
MQTT_CONNACK_TIMEOUT_MS: Final = 5_000
MQTT_ACK_TIMEOUT_S: Final = 10
#: First and longest pause between attempts: a broker that is back is connected to within two seconds.
MQTT_RECONNECT_MS: Final = (200, 1_500)
#: First and longest pause of who is thrown out again and again: two clients with one identifier that come back at once
#: would do that to each other for ever. The pause doubles, and begins anew after a connection that lasted longer.
MQTT_THROWN_OUT_S: Final = (2.0, 30.0)
#: Not every broker says why it closes a connection: so many in a row that lasted no longer, seconds, mean the same.
#: A broker that restarts refuses some in between.
MQTT_SHORT: Final = (3, 5.0)
#: Away for so long, a broker may have another address by now, seconds.
MQTT_LOOK_UP_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """A broker.

    Attributes:
        ca_file: certificate authority (PEM); the system's where None.
        username: empty where the broker asks for none.
    """

    host: str
    port: int
    tls: bool
    client_id: str
    ca_file: str | None = None
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


class MqttConnection:
    """A connection to a broker that comes back by itself. MQTT 5, clean sessions: the outbox remembers, not the broker.

    Args:
        settings: the broker.
        resolver: name → addresses.
        turn: which of several addresses is connected to, counted round; with TLS the name is, whose addresses are tried
            one after the other.

    Raises:
        ConfigurationError: V105, the address is not allowed; V103, the certificate authority cannot be read.
        DeliveryError: V502, the name cannot be resolved at the moment.
    """

    def __init__(self, settings: MqttSettings, *, resolver: Resolve = resolve, turn: int = 0) -> None:
        from awscrt import mqtt5

        self.where = f"MQTT broker {settings.host}:{settings.port}"
        self.problem = "not connected yet"
        self._name = settings.client_id
        self._connected = threading.Event()
        self._stopped = threading.Event()
        self._up_s = float("-inf")
        self._away_since_s = time.monotonic()
        self._by_name = settings.tls
        self._pause_s = 0.0
        self._short = 0
        self._again_s: float | None = None
        self._client = mqtt5.Client(self._options(settings, _host(settings, resolver, turn)))
        self._client.start()

    def publish(self, topic: str, payload: bytes) -> Future[Any]:
        """Publish with QoS 1; the future has the broker's answer (``puback``) or a failure."""
        from awscrt import mqtt5

        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE)
        return self._client.publish(packet)  # type: ignore[no-any-return]  # awscrt has no types

    def wait_connected(self, timeout_s: float) -> bool:
        """Whether there is a connection, waiting for one."""
        end_s = time.monotonic() + timeout_s
        if self._again_s is not None:
            # It is needed by whoever asks, and not before: no thread of its own ends the pause.
            self._connected.wait(max(0.0, min(timeout_s, self._again_s - time.monotonic())))
            if time.monotonic() < self._again_s or not self._stopped.wait(max(0.0, end_s - time.monotonic())):
                return False
            self._again_s = None
            self._stopped.clear()
            self._client.start()
        return self._connected.wait(max(0.0, end_s - time.monotonic()))

    @property
    def outdated(self) -> bool:
        """Whether it should be made anew: away for so long that the broker may have another address by now."""
        waits = self._by_name or self._again_s is not None or self._connected.is_set()
        return not waits and time.monotonic() - self._away_since_s >= MQTT_LOOK_UP_S

    def close(self) -> None:
        """Disconnect; idempotent."""
        if self._client is not None:
            self._client.stop()
            self._stopped.wait(MQTT_CONNACK_TIMEOUT_MS / 1000)
            self._client = None

    def _options(self, settings: MqttSettings, host: str) -> Any:
        from awscrt import mqtt5

        return mqtt5.ClientOptions(
            host_name=host,
            port=settings.port,
            tls_ctx=_tls(settings) if settings.tls else None,
            connect_options=mqtt5.ConnectPacket(
                client_id=settings.client_id,
                keep_alive_interval_sec=MQTT_KEEP_ALIVE_S,
                username=settings.username or None,
                password=settings.password.encode() if settings.password else None,
            ),
            session_behavior=mqtt5.ClientSessionBehaviorType.CLEAN,
            offline_queue_behavior=mqtt5.ClientOperationQueueBehaviorType.FAIL_ALL_ON_DISCONNECT,
            retry_jitter_mode=mqtt5.ExponentialBackoffJitterMode.FULL,
            min_reconnect_delay_ms=MQTT_RECONNECT_MS[0],
            max_reconnect_delay_ms=MQTT_RECONNECT_MS[1],
            min_connected_time_to_reset_reconnect_delay_ms=1000,
            ping_timeout_ms=MQTT_PING_TIMEOUT_MS,
            connack_timeout_ms=MQTT_CONNACK_TIMEOUT_MS,
            ack_timeout_sec=MQTT_ACK_TIMEOUT_S,
            on_lifecycle_event_connection_success_fn=lambda _: self._up(),
            on_lifecycle_event_connection_failure_fn=self._failed,
            on_lifecycle_event_disconnection_fn=self._disconnected,
            on_lifecycle_event_stopped_fn=lambda _: self._stopped.set(),
            disable_metrics=True,
        )

    def _up(self) -> None:
        self.problem = ""
        self._up_s = time.monotonic()
        self._connected.set()

    def _failed(self, event: Any) -> None:
        self._short = 0
        self._down(event.exception)

    def _disconnected(self, event: Any) -> None:
        from awscrt import mqtt5

        self._away_since_s = time.monotonic()
        lasted_s, (most, short_s) = self._away_since_s - self._up_s, MQTT_SHORT
        self._short = self._short + 1 if lasted_s <= short_s else 0
        said = event.disconnect_packet
        if said is not None and said.reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER:
            self._thrown_out(lasted_s, f"another client connects with the same identifier, {self._name}")
        elif self._short >= most:
            question = f"does another client have the same identifier, {self._name}?"
            self._thrown_out(lasted_s, f"the broker ends each connection soon after it was made: {question}")
        else:
            self._down(event.exception)

    def _thrown_out(self, lasted_s: float, why: str) -> None:
        first_s, longest_s = MQTT_THROWN_OUT_S
        self._pause_s = first_s if lasted_s > longest_s else min(max(first_s, 2 * self._pause_s), longest_s)
        self._again_s = time.monotonic() + self._pause_s
        self._down(why)
        if (client := self._client) is not None:
            client.stop()

    def _down(self, error: Any) -> None:
        self.problem = str(error)
        self._connected.clear()


def _host(settings: MqttSettings, resolver: Resolve, turn: int) -> str:
    """What the client connects to: the name where TLS verifies it, else the address that was checked."""
    try:
        addresses: Sequence[str] = check_broker(
            settings.host, settings.port, tls=settings.tls, resolver=resolver
        ).addresses
    except OSError as error:
        raise DeliveryError(
            f"MQTT broker {settings.host}: its name cannot be resolved ({error.strerror or error}).", code="V502"
        ) from error
    return settings.host if settings.tls else addresses[turn % len(addresses)]


def _tls(settings: MqttSettings) -> Any:
    from awscrt import io

    options = io.TlsContextOptions()
    if settings.ca_file is not None:
        try:
            options.override_default_trust_store(Path(settings.ca_file).read_bytes())
        except OSError as error:
            raise ConfigurationError(
                f"ca_file {settings.ca_file} of the MQTT broker {settings.host}: {error.strerror or error}.",
                hint="Give a PEM file that the component's user can read.",
                code="V103",
            ) from error
    return io.ClientTlsContext(options)
