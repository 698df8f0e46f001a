"""The part of LocalCore that lives in its event loop: components, their configuration, the IPC server."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from vedette.contracts.errors import CoreError
from vedette.local.access import check_filter, check_topic, parse_access_control
from vedette.local.bus import Subscription
from vedette.local.deployment import ComponentSpec
from vedette.local.iot import BrokerIot, FileIot, IotBridge
from vedette.local.iot_file import FileBridge
from vedette.local.layout import Layout, component_environment, make_job
from vedette.local.listeners import LocalMessage
from vedette.local.operations import CoreOperations, Identity
from vedette.local.recipe import CORE_COMPONENTS, Recipe
from vedette.local.server import IpcError, IpcServer
from vedette.local.settings import KeyPath, Settings
from vedette.local.supervisor import ComponentRunner, ComponentState, ComponentStatus

if TYPE_CHECKING:
    from vedette.local.core import LocalCoreConfig

logger = logging.getLogger(__name__)


class Engine:
    """Everything that runs. Apart from ``statuses`` and ``changed``, for the event loop's thread only.

    Args:
        config: as given to LocalCore.
        layout: the folders.
        socket: path of the IPC socket.
    """

    def __init__(self, config: LocalCoreConfig, layout: Layout, socket: Path) -> None:
        self._config = config
        self._layout = layout
        self._socket = socket
        self._lite = config.lite_quirks
        self._recipes: dict[str, Recipe] = {}
        self._runners: dict[str, ComponentRunner] = {}
        self._moved = asyncio.Event()
        self._shown: dict[str, ComponentStatus] = {}
        #: Notified at each change of a status.
        self.changed = threading.Condition()

    async def start(self) -> None:
        """Connects to IoT Core and listens."""
        self._iot = self._bridge()
        self._operations = CoreOperations(self, self._iot, self._config.secrets_file, self._lite)
        self._server = IpcServer(self._socket, self._operations, lite=self._lite)
        await self._iot.start()
        await self._server.start()

    def _bridge(self) -> IotBridge:
        settings = self._config.iot or FileIot(self._layout.root / "iot-core.jsonl")
        if isinstance(settings, BrokerIot):
            from vedette.local.iot_broker import BrokerBridge  # loads native code that a file does not need

            return BrokerBridge(settings, self._config.thing_name, lite=self._lite)
        return FileBridge(settings, self._config.thing_name)

    async def stop(self) -> None:
        """Stops everything."""
        await self._stop_all(list(self._runners))
        if hasattr(self, "_server"):
            await self._server.stop()
            await self._iot.stop()

    def statuses(self) -> dict[str, ComponentStatus]:
        """Every component's status; from any thread."""
        with self.changed:
            return dict(self._shown)

    def reported(self, component: str, state: str) -> None:
        """Takes a component's UpdateState."""
        runner = self._runners.get(component)
        if runner is not None:
            runner.reported(state)

    async def apply(self, recipes: Mapping[str, Recipe], specs: Mapping[str, ComponentSpec], now_s: float) -> None:
        """Makes the configuration and the running components match a deployment.

        Raises:
            CoreError: a variable or the access control of a component is wrong; nothing has changed then.
        """
        drafts = {name: self._draft(recipe, specs.get(name), now_s) for name, recipe in recipes.items()}
        started = [
            self._runner(recipe, drafts[name][0])
            for name, recipe in recipes.items()
            if self._must_start(recipe, deployed=name in specs)
        ]
        for name, (identity, changed) in drafts.items():  # no await from draft to here: nothing can come between
            identity.settings.commit()
            known = name in self._operations.components
            self._operations.components[name] = identity
            if known:
                self._operations.notify_configuration(name, changed)
        await self.forget([name for name in self._runners if name not in recipes])
        await self.retire([runner.name for runner in started if runner.name in self._runners])
        self._recipes = dict(recipes)
        for runner in started:
            self._runners[runner.name] = runner
        self._show()
        for runner in started:
            runner.start()

    def _must_start(self, recipe: Recipe, *, deployed: bool) -> bool:
        """Whether a component is new, changed, or broken and given another chance by a deployment."""
        runner = self._runners.get(recipe.name)
        if runner is None or self._recipes.get(recipe.name) != recipe:
            return True
        return deployed and runner.status.state is ComponentState.BROKEN

    def _draft(self, recipe: Recipe, spec: ComponentSpec | None, now_s: float) -> tuple[Identity, list[KeyPath]]:
        """What a component would be after a deployment, and which of its values would change."""
        defaults = recipe.configuration.default_configuration
        known = self._operations.components.get(recipe.name)
        settings = (known.settings if known else Settings(self._layout.settings(recipe.name))).draft()
        changed = settings.apply_defaults(defaults)
        if spec is not None and (spec.configuration_merge or spec.reset):
            changed += settings.deploy(spec.configuration_merge, reset=spec.reset, defaults=defaults, now_s=now_s)
        root = settings.get()
        section = root.get("accessControl") if isinstance(root, dict) else None
        policy = parse_access_control(section, where=recipe.name, lite=self._lite)
        token = known.token if known else secrets.token_urlsafe(24)
        return Identity(token, settings, policy), list(dict.fromkeys(changed))

    def _runner(self, recipe: Recipe, identity: Identity) -> ComponentRunner:
        environment = component_environment(
            socket=self._socket,
            token=identity.token,
            thing_name=self._config.thing_name,
            extra=self._config.environment,
        )
        self._layout.work(recipe.name).mkdir(exist_ok=True)
        job = make_job(
            recipe, self._layout, identity.settings, environment, thing_name=self._config.thing_name, lite=self._lite
        )
        lifecycle = recipe.manifest().lifecycle
        if lifecycle.shutdown or lifecycle.recover:
            logger.warning("%s: shutdown and recover scripts are not run, as on nucleus lite", recipe.name)
        return ComponentRunner(
            recipe.name,
            recipe.version,
            job,
            ready=lambda: self._dependencies_ready(recipe),
            changed=self._show,
            lite=self._lite,
            stop_timeout_s=self._config.stop_timeout_s,
        )

    async def _dependencies_ready(self, recipe: Recipe) -> None:
        """Waits until each dependency runs or is done; a SOFT one may also be broken."""
        for name, dependency in recipe.dependencies.items():
            while name not in CORE_COMPONENTS:
                runner = self._runners.get(name)
                state = runner.status.state if runner is not None else ComponentState.FINISHED
                if state in (ComponentState.RUNNING, ComponentState.FINISHED, ComponentState.STOPPING):
                    break
                if state is ComponentState.BROKEN:
                    if dependency.dependency_type == "SOFT":
                        break
                    raise CoreError(f"its dependency {name} is broken", code="V602")
                if self._runners[recipe.name].is_stopping:
                    return
                await self._moved.wait()

    async def retire(self, names: Sequence[str]) -> None:
        """Stops components whose recipe is about to be replaced."""
        await self._stop_all(names)
        for name in names:
            self._runners.pop(name, None)
            self._recipes.pop(name, None)
        self._show()

    async def forget(self, names: Sequence[str]) -> None:
        """Stops components, takes their tokens back and forgets them."""
        await self.retire(names)
        for name in names:
            self._operations.components.pop(name, None)
            self._server.drop(name)

    async def _stop_all(self, names: Sequence[str]) -> None:
        """Stops dependants before what they depend on; those that do not depend on each other stop together."""
        left = [name for name in names if name in self._runners]
        while left:
            needed = {
                dependency for name in left if name in self._recipes for dependency in self._recipes[name].dependencies
            }
            batch = [name for name in left if name not in needed] or left
            await asyncio.gather(*(self._runners[name].stop() for name in batch))
            left = [name for name in left if name not in batch]

    def _show(self) -> None:
        with self.changed:
            self._shown = {name: runner.status for name, runner in self._runners.items()}
            self.changed.notify_all()
        self._moved.set()
        self._moved.clear()

    async def configuration(self, name: str) -> JsonValue:
        """A component's whole configuration."""
        identity = self._operations.components.get(name)
        if identity is None:
            raise CoreError(f"component {name} is not deployed.", code="V602")
        return identity.settings.get()

    async def publish_local(self, topic: str, payload: JsonValue | bytes) -> None:
        """Publishes to the components."""
        message: dict[str, Any] = (
            {"binaryMessage": {"message": base64.b64encode(payload).decode()}}
            if isinstance(payload, bytes)
            else {"jsonMessage": {"message": payload}}
        )
        self._operations.bus.publish(check_topic(topic), message, publisher=self)

    async def subscribe_local(self, topic_filter: str, hear: Callable[[LocalMessage], None]) -> None:
        """Hears what components publish to each other."""

        def deliver(topic: str, message: dict[str, Any]) -> None:
            if "binaryMessage" in message:
                hear(LocalMessage(topic, base64.b64decode(message["binaryMessage"]["message"]), False))
            else:
                hear(LocalMessage(topic, json.dumps(message["jsonMessage"]["message"]).encode(), True))

        self._operations.bus.add(Subscription(check_filter(topic_filter), deliver, self))

    async def publish_cloud(self, topic: str, payload: bytes) -> None:
        """Publishes through the bridge to IoT Core."""
        try:
            await self._iot.publish(check_topic(topic), payload, 1)
        except IpcError as error:
            raise CoreError(f"{error.message}.", code="V502") from None

    async def subscribe_cloud(self, topic_filter: str, hear: Callable[[LocalMessage], None]) -> None:
        """Hears what the bridge to IoT Core carries."""

        def deliver(topic: str, payload: bytes) -> None:
            hear(LocalMessage(topic, payload, False))

        try:
            await self._iot.subscribe(Subscription(check_filter(topic_filter), deliver, self), 1)
        except IpcError as error:
            raise CoreError(f"{error.message}.", code="V502") from None
