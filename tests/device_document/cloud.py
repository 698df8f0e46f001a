"""An account's shadow of one device, and the way between, on which messages are lost, repeated and overtaken."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from vedette.contracts import topics
from vedette.contracts.errors import CoreError, DeliveryError
from vedette.core.shadow import compact, difference, merged

THING = "SN-1"


class ConflictError(Exception):
    """Somebody else was faster."""


class FakeCloud:
    """The shadow, and what is under way to the device.

    Attributes:
        online: whether anything gets through.
        deaf: answers longer than this do not reach the device, as with nucleus lite.
    """

    def __init__(self) -> None:
        self.version = 0
        self.state: dict[str, dict[str, Any]] | None = None
        self.flight: list[tuple[str, bytes]] = []
        self.online = True
        self.deaf = 1 << 20
        self.asked = 0
        self.reports = 0

    def update(self, sections: dict[str, Any], version: int | None = None, token: str = "") -> int:
        before = self.state or {}
        if version is not None and version != (self.version if self.state is not None else 0):
            raise ConflictError
        self.version += 1
        self.state = {**before, **{part: merged(before.get(part, {}), value) for part, value in sections.items()}}
        delta = difference(self.state.get("desired", {}), self.state.get("reported", {}))
        if delta:
            self._send("update/delta", {"version": self.version, "state": delta, "metadata": {}, "clientToken": token})
        return self.version

    def delete(self) -> None:
        self.state = None
        self._send("delete/accepted", {"version": self.version})

    @property
    def desired(self) -> dict[str, Any]:
        return (self.state or {}).get("desired", {})

    @property
    def reported(self) -> dict[str, Any]:
        return dict((self.state or {}).get("reported", {}).get("device", {}))

    def _send(self, what: str, document: dict[str, Any]) -> None:
        payload = compact(document)
        if self.online and len(payload) <= self.deaf:
            self.flight.append((what, payload))

    def receive(self, topic: str, payload: bytes) -> None:
        """A message of the device's."""
        request = json.loads(payload)
        token = {"clientToken": request["clientToken"]}
        if topic == topics.shadow(THING, "get"):
            self.asked += 1
            if self.state is None:
                self._send("get/rejected", {"code": 404, "message": "No shadow exists with name: 'vedette'", **token})
            else:
                self._send("get/accepted", {"version": self.version, "state": self.state, "metadata": {}, **token})
        else:
            assert topic == topics.shadow(THING, "update")
            assert set(request["state"]) == {"reported"}
            self.reports += 1
            self.update(request["state"], token=request["clientToken"])


class FakeBus:
    """Greengrass with only the way to the account."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud
        self.subscribed: dict[str, Callable[[str, bytes], None]] = {}

    def publish_cloud(self, topic: str, payload: bytes) -> None:
        if not self.cloud.online:
            raise DeliveryError("no uplink")
        self.cloud.receive(topic, payload)

    def subscribe_cloud(self, topic: str, callback: Callable[[str, bytes], None]) -> None:
        if not self.cloud.online:
            raise CoreError("no uplink", code="V603")
        self.subscribed[topic] = callback

    def deliver(self, what: str, payload: bytes) -> None:
        topic = topics.shadow(THING, what)
        if topic in self.subscribed:
            self.subscribed[topic](topic, payload)
