"""Where PublishToIoTCore goes: what every bridge to IoT Core can do, and which there are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vedette.local.bus import Subscription


@dataclass(frozen=True, slots=True)
class FileIot:
    """No broker: messages become JSON lines, and the ledger's acknowledgements come back.

    Attributes:
        path: the file; ``<path>.ledger`` beside it is the ledger (SQLite).
        max_bytes: size at which the file becomes ``<path>.1`` and a new one begins.
    """

    path: Path
    max_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class BrokerIot:
    """An MQTT broker with mutual TLS.

    Attributes:
        host: name in the broker's certificate.
        port: of the broker.
        ca_file: certificate of the authority (PEM).
        cert_file: this device's certificate (PEM).
        key_file: this device's private key (PEM).
        client_id: MQTT client identifier; the thing's name where None.
    """

    host: str
    port: int
    ca_file: Path
    cert_file: Path
    key_file: Path
    client_id: str | None = None


class IotBridge(Protocol):
    """A way to IoT Core and back. Everything is called in LocalCore's event loop."""

    async def start(self) -> None:
        """Begins; a broker that is not there is no error."""
        ...

    async def stop(self) -> None:
        """Ends, keeping what must be kept."""
        ...

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Hands one message over.

        Raises:
            IpcError: ServiceError, at once, where it cannot be handed over; nothing is kept for later.
        """
        ...

    async def subscribe(self, subscription: Subscription[bytes], qos: int) -> None:
        """Starts delivery to one subscriber.

        Raises:
            IpcError: ServiceError, where the broker refuses it.
        """
        ...

    def unsubscribe(self, subscription: Subscription[bytes]) -> None:
        """Ends delivery to one subscriber."""
        ...
