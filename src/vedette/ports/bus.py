"""What a component asks of Greengrass. The one implementation uses the unmodified ``awsiotsdk``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Bus(Protocol):
    """Inter-process communication with the nucleus, real or local."""

    def configuration(self) -> dict[str, Any]:
        """The component's whole configuration, without ``accessControl``."""
        ...

    def on_configuration_change(self, callback: Callable[[], None]) -> None:
        """Call back (from another thread) when any part of the configuration changed."""
        ...

    def publish_local(self, topic: str, message: dict[str, Any]) -> None:
        """Publish JSON to other components."""
        ...

    def subscribe_local(self, topic: str, callback: Callable[[str, dict[str, Any]], None]) -> None:
        """Receive JSON from other components."""
        ...

    def publish_cloud(self, topic: str, payload: bytes) -> None:
        """Publish to IoT Core with QoS 1. Returning does NOT mean delivered.

        Raises:
            DeliveryError: V502, the nucleus could not take it.
        """
        ...

    def subscribe_cloud(self, topic: str, callback: Callable[[str, bytes], None]) -> None:
        """Receive from IoT Core."""
        ...

    def secret(self, name: str) -> dict[str, str]:
        """A secret's key-value pairs.

        Raises:
            DeliveryError: V503, not available.
        """
        ...

    def report_running(self) -> None:
        """Tell the nucleus that the component works."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...
