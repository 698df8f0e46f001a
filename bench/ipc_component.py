"""A component of the measurement ``localcore``: says so many messages one after another, or counts what it hears.

``python ipc_component.py speaker|hearer``; unmodified AWS SDK. Orders arrive as JSON on ``probe/ROLE/do``
(``{"count": n, "bytes": m}``), answers leave on ``probe/ROLE/done``.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import BinaryMessage, JsonMessage, PublishMessage

TOPIC = "allowed/measured"


class Component:
    """One of the two."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._client = GreengrassCoreIPCClientV2()
        self._heard = 0
        self._wanted = 0

    def run(self) -> None:
        """Until the process is ended."""
        if self._role == "hearer":
            self._subscribe(TOPIC, self._hear)
        self._subscribe(f"probe/{self._role}/do", self._ordered)
        self._client.update_state(state="RUNNING")
        self._say({"ready": True})
        threading.Event().wait()

    def _subscribe(self, topic: str, hear: Any) -> None:
        self._client.subscribe_to_topic(
            topic=topic, on_stream_event=hear, on_stream_error=lambda _: True, on_stream_closed=lambda: None
        )

    def _say(self, value: dict[str, Any]) -> None:
        message = PublishMessage(json_message=JsonMessage(message={**value, "cpu_s": time.process_time()}))
        self._client.publish_to_topic(topic=f"probe/{self._role}/done", publish_message=message)

    def _ordered(self, event: Any) -> None:
        order = event.json_message.message
        if self._role == "hearer":
            self._heard, self._wanted = 0, order["count"]
            self._say({"listening": True})
            return
        message = PublishMessage(binary_message=BinaryMessage(message=b"x" * order["bytes"]))
        begun_s = time.monotonic()
        for _ in range(order["count"]):
            self._client.publish_to_topic(topic=TOPIC, publish_message=message)
        self._say({"seconds": time.monotonic() - begun_s})

    def _hear(self, _: Any) -> None:
        self._heard += 1
        if self._heard == self._wanted:
            self._say({"heard": self._heard})


if __name__ == "__main__":
    Component(sys.argv[1]).run()
