"""LocalCore: a small Greengrass-compatible core for a laptop and for tests.

It reads the same recipes, starts the same processes and serves the same wire protocol as a nucleus, so that no
component needs to know where it runs. See ``docs/localcore.md``.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import JsonValue

from vedette.contracts.errors import CoreError
from vedette.local.artifacts import prepare_artifacts
from vedette.local.deployment import ComponentSpec, RecipeShelf, resolve
from vedette.local.engine import Engine
from vedette.local.iot import BrokerIot, FileIot
from vedette.local.layout import Layout
from vedette.local.listeners import Listeners, LocalMessage
from vedette.local.recipe import Recipe
from vedette.local.server import check_socket_path
from vedette.local.supervisor import SETTLED, ComponentState, ComponentStatus

__all__ = [
    "BrokerIot",
    "ComponentSpec",
    "ComponentState",
    "ComponentStatus",
    "FileIot",
    "LocalCore",
    "LocalCoreConfig",
    "LocalMessage",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LocalCoreConfig:
    """Everything LocalCore needs to know.

    Attributes:
        root: folder for everything it writes; one LocalCore at a time.
        thing_name: name of this device in the cloud.
        recipe_dirs: folders with recipes.
        artifact_sources: zip name to a source folder linked in its place, for development.
        artifact_dirs: folders of a build, ``<component>/<version>/<file>``.
        extra_recipes: recipes that are not files.
        secrets_file: for GetSecretValue; mode 0600.
        iot: where IoT Core messages go; None is a file ``iot-core.jsonl`` below the root.
        lite_quirks: behave as nucleus lite does where it differs.
        socket_path: of the IPC socket; ``<root>/ipc.socket`` where None.
        environment: added to every component's environment.
        stop_timeout_s: patience between SIGTERM and SIGKILL.
    """

    root: Path
    thing_name: str
    recipe_dirs: Sequence[Path] = ()
    artifact_sources: Mapping[str, Path] = field(default_factory=dict)
    artifact_dirs: Sequence[Path] = ()
    extra_recipes: Sequence[Recipe] = ()
    secrets_file: Path | None = None
    iot: FileIot | BrokerIot | None = None
    lite_quirks: bool = False
    socket_path: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_timeout_s: float = 10.0


class LocalCore:
    """A running core. Use as a context manager; methods may be called from any thread."""

    def __init__(self, config: LocalCoreConfig) -> None:
        """Checks what can be checked; nothing is started.

        Raises:
            CoreError: the socket's path is too long.
        """
        self.config = config
        self._layout = Layout(config.root.absolute())
        self._socket = config.socket_path or self._layout.root / "ipc.socket"
        check_socket_path(self._socket)
        self._recipes: dict[str, Recipe] = {}
        self._roots: dict[str, str | None] = {}
        self._extra: dict[tuple[str, str], Recipe] = {}
        self._sources: dict[str, Path] = {}
        self._deploying = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._engine: Engine | None = None
        self._lock_file: int | None = None
        self._listeners = Listeners()

    @property
    def socket_path(self) -> Path:
        """Of the IPC socket."""
        return self._socket

    def log_path(self, name: str) -> Path:
        """A component's log file."""
        return self._layout.log(name)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begins to listen; no component runs yet.

        Raises:
            CoreError: another LocalCore uses this root, or the bridge to IoT Core cannot be set up.
        """
        self._layout.make()
        self._lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vedette-core", daemon=True)
        self._thread.start()
        try:
            self._engine = Engine(self.config, self._layout, self._socket)
            self._call(self._engine.start())
        except BaseException:
            self.stop()
            raise

    def stop(self, last: Callable[[], None] | None = None) -> None:
        """Stops every component, dependants first, and the core. Nothing happens where it is stopped.

        Args:
            last: called when nothing runs any more and the root is still ours.
        """
        if self._loop is None or self._thread is None:
            return
        loop, self._loop = self._loop, None
        try:
            if self._engine is not None:
                asyncio.run_coroutine_threadsafe(self._engine.stop(), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()
            loop.close()
            self._listeners.close()
            if last is not None:
                last()
            if self._lock_file is not None:
                os.close(self._lock_file)
                self._lock_file = None

    def deploy(
        self,
        components: Mapping[str, ComponentSpec],
        *,
        extra_recipes: Sequence[Recipe] = (),
        artifact_sources: Mapping[str, Path] | None = None,
    ) -> None:
        """Brings components and all they depend on to what is asked; others stay as they are.

        Returns when everything is on its way; ``wait_for`` waits. A running component whose recipe stays the
        same is not restarted: it hears of changed configuration over IPC.

        Args:
            components: what to run.
            extra_recipes: recipes for this deployment and later ones, before those of the configuration; one of the
                same component and version takes the place of an earlier one.
            artifact_sources: source folders for this deployment and later ones, before those of the configuration.

        Raises:
            CoreError: a recipe, a dependency, an artefact or a variable is wrong; every process stays as it was.
        """
        with self._deploying:
            known = {**self._extra, **{(recipe.name, recipe.version): recipe for recipe in extra_recipes}}
            sources = {**self._sources, **(artifact_sources or {})}
            extra = (*known.values(), *self.config.extra_recipes)
            shelf = RecipeShelf(self.config.recipe_dirs, extra, lite_quirks=self.config.lite_quirks)
            roots = {**self._roots, **{name: spec.version for name, spec in components.items()}}
            recipes = resolve(shelf, roots)
            engine = self._running()
            for recipe in recipes.values():
                if self._recipes.get(recipe.name) == recipe:
                    continue
                prepare_artifacts(
                    recipe,
                    artifacts=self._layout.artifacts(recipe),
                    decompressed=self._layout.decompressed(recipe),
                    trees=self.config.artifact_dirs,
                    sources={**self.config.artifact_sources, **sources},
                )
            self._call(engine.apply(recipes, components, time.time()))
            self._recipes, self._roots = recipes, roots
            self._extra, self._sources = known, sources

    def remove(self, name: str) -> None:
        """Stops a component and forgets it; what only it needed goes as well. Its files stay.

        Raises:
            CoreError: it was never deployed, or another component needs it.
        """
        with self._deploying:
            if name not in self._roots:
                raise CoreError(f"component {name} is not deployed.", code="V602")
            roots = {root: version for root, version in self._roots.items() if root != name}
            known = RecipeShelf((), self._recipes.values(), lite_quirks=self.config.lite_quirks)
            kept = resolve(known, roots)
            if name in kept:
                users = ", ".join(sorted(other for other, recipe in kept.items() if name in recipe.dependencies))
                raise CoreError(f"component {name} is needed by {users}.", code="V602")
            self._call(self._running().forget([gone for gone in self._recipes if gone not in kept]))
            self._recipes, self._roots = kept, roots
            # Of what is gone nothing is remembered, so that adding and removing may go on for ever.
            self._extra = {key: recipe for key, recipe in self._extra.items() if recipe.name in kept}
            files = {artifact.file_name for recipe in kept.values() for artifact in recipe.manifest().artifacts}
            self._sources = {name: folder for name, folder in self._sources.items() if name in files}

    def states(self) -> dict[str, ComponentStatus]:
        """Every component's status."""
        return self._running().statuses()

    def wait_for(self, name: str, state: ComponentState, timeout_s: float) -> ComponentStatus:
        """Waits until a component is in a state.

        Raises:
            CoreError: V604, it settled in another state, or the time is over.
        """
        engine = self._running()
        deadline_s = time.monotonic() + timeout_s
        with engine.changed:
            while True:
                status = engine.statuses().get(name)
                if status is not None and status.state is state:
                    return status
                if status is not None and status.state in SETTLED:
                    raise CoreError(f"{name} is {status.state}: {status.reason or 'its work is done'}.", code="V604")
                if not engine.changed.wait(max(0.0, deadline_s - time.monotonic())):
                    found = status.state if status is not None else "not deployed"
                    reason = f" ({status.reason})" if status is not None and status.reason else ""
                    raise CoreError(f"{name} is {found}, not {state}, after {timeout_s:.0f} s{reason}.", code="V604")

    def configuration(self, name: str) -> JsonValue:
        """A component's whole configuration, ``accessControl`` included.

        Raises:
            CoreError: the component is not deployed.
        """
        return self._call(self._running().configuration(name))

    def publish_local(self, topic: str, payload: JsonValue | bytes) -> None:
        """Publishes to the components: bytes as a binary message, anything else as JSON."""
        self._call(self._running().publish_local(topic, payload))

    def subscribe_local(self, topic_filter: str, callback: Callable[[LocalMessage], None]) -> None:
        """Hears what components publish to each other; called in a thread of its own, in order."""
        self._call(self._running().subscribe_local(topic_filter, self._listeners.wrap(callback)))

    def publish_cloud(self, topic: str, payload: bytes) -> None:
        """Sends a message as the cloud would, through the bridge to IoT Core."""
        self._call(self._running().publish_cloud(topic, payload))

    def subscribe_cloud(self, topic_filter: str, callback: Callable[[LocalMessage], None]) -> None:
        """Hears what goes to and comes from IoT Core; called in a thread of its own, in order."""
        self._call(self._running().subscribe_cloud(topic_filter, self._listeners.wrap(callback)))

    def _running(self) -> Engine:
        if self._engine is None or self._loop is None:
            raise CoreError("LocalCore is not running.", code="V603")
        return self._engine

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            work.close()
            raise CoreError("LocalCore is not running.", code="V603")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _lock(self) -> None:
        path = self._layout.root / ".lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise CoreError(
                f"{self._layout.root} is in use by another LocalCore, such as another `vedette run`.",
                hint="End that one, or use another folder (--state).",
                code="V401",
            ) from None
        self._lock_file = descriptor
