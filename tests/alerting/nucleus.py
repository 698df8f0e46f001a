"""A nucleus for tests: LocalCore's socket and operations in a thread, without processes, recipes or a broker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from vedette.local.access import parse_access_control
from vedette.local.bus import Bus, Subscription
from vedette.local.operations import CoreOperations, Identity
from vedette.local.server import IpcError, IpcServer
from vedette.local.settings import Settings

TOKEN = "token-of-the-component"


class MemoryIot:
    """IoT Core messages in a list; ``online`` False refuses like lite without a broker."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []
        self.online = True
        self.on_publish: Callable[[str, bytes], None] | None = None
        self.bus: Bus[bytes] = Bus()

    async def start(self) -> None:
        return None

    async def stop(self) -> None:
        return None

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        if not self.online:
            raise IpcError("ServiceError", None)
        self.published.append((topic, payload))
        if self.on_publish is not None:
            self.on_publish(topic, payload)

    async def subscribe(self, subscription: Subscription[bytes], qos: int) -> None:
        self.bus.add(subscription)

    def unsubscribe(self, subscription: Subscription[bytes]) -> None:
        self.bus.remove(subscription)


class Nucleus:
    """Serves one component's IPC on a socket in ``folder``.

    Args:
        folder: for the socket and the configuration.
        access: the recipe's accessControl section.
        configuration: the component's.
        secrets_file: JSON of name → key-value pairs.
    """

    def __init__(
        self,
        folder: Path,
        *,
        access: dict[str, Any] | None = None,
        configuration: dict[str, Any] | None = None,
        secrets_file: Path | None = None,
        lite: bool = False,
        component: str = "vedette.Test",
    ) -> None:
        self.socket = folder / "ipc.sock"
        self.component = component
        self.iot = MemoryIot()
        self.states: list[str] = []
        self.lite = lite
        self.settings = Settings(folder / "settings.json")
        self.settings.apply_defaults(configuration or {})
        self.operations = CoreOperations(reports=self, iot=self.iot, secrets_file=secrets_file, lite=lite)
        self.operations.components[component] = Identity(
            TOKEN, self.settings, parse_access_control(access or {}, where="test")
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: IpcServer | None = None
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        return {"AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(self.socket), "SVCUID": TOKEN}

    def reported(self, component: str, state: str) -> None:
        self.states.append(state)

    def start(self) -> None:
        self._server = IpcServer(self.socket, self.operations, lite=self.lite)
        self._run(self._server.start())

    def stop(self) -> None:
        """The nucleus goes away; its components stay."""
        if self._server is not None:
            self._run(self._server.stop())
            self._server = None

    def configure(self, values: dict[str, Any]) -> None:
        async def merge() -> None:
            paths = self.settings.merge(values, time_s=4e9)
            self.operations.notify_configuration(self.component, paths)

        self._run(merge())

    def cloud_says(self, topic: str, payload: bytes) -> None:
        """A message from IoT Core; may be called from ``on_publish``."""
        if threading.current_thread() is self._thread:
            self._loop.call_soon(self.iot.bus.publish, topic, payload)
            return

        async def publish() -> None:
            self.iot.bus.publish(topic, payload)

        self._run(publish())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)


__all__ = ["TOKEN", "MemoryIot", "Nucleus"]
