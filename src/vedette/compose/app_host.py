"""The first process of ``vedette.AppHost``: one warden per application with hooks, their states, no native code."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from vedette.adapters.state import PlanFile, StateLayout, write_component_status
from vedette.adapters.supervision import ChildSpec, Supervisor
from vedette.contracts import topics
from vedette.contracts.config import AppHostConfig
from vedette.contracts.errors import DeliveryError, StorageError, VedetteError
from vedette.contracts.plan import HookPlan, Plan
from vedette.ports.bus import Bus
from vedette.ports.outbox import channel_of

logger = logging.getLogger(__name__)

COMPONENT: Final = "vedette.AppHost"
#: How often plan and configuration are looked at, and how often states are published.
LOOK_S: Final = 0.25
PUBLISH_S: Final = 1.0
#: A warden reports life four times a second, except while a disk makes all of it wait.
SILENCE_S: Final = 30.0
START_S: Final = 20.0
STOP_S: Final = 3.0
#: Command that runs a warden: no user's packages, no current directory on the path.
CHILD: Final = (sys.executable, "-s", "-P", "-m", "app_host.warden")


class AppHostService:
    """Keeps a warden per application with hooks, and tells how their hooks are.

    Args:
        bus: Greengrass.
        child: command line of a warden.
        monotonic: clock of all intervals.
    """

    def __init__(
        self, bus: Bus, child: tuple[str, ...] = CHILD, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._bus = bus
        self._child = child
        self._monotonic = monotonic
        self._supervisor = Supervisor(self._on_message, self._on_exit)
        self._lock = threading.Lock()
        self._states: dict[str, dict[str, Any]] = {}
        self._changed: set[str] = set()
        self._reconfigure = threading.Event()
        self._stopping = threading.Event()
        self._config: AppHostConfig | None = None
        self._plan_file: PlanFile | None = None
        self._plan: Plan | None = None
        self._publishable = True

    def run(self) -> None:
        """Serve until ``stop``. Nothing that goes wrong with an application, a plan or a configuration ends it."""
        self._bus.on_configuration_change(self._reconfigure.set)
        self._configure()
        self._supervisor.start()
        self._bus.report_running()
        published_s = float("-inf")
        try:
            while not self._stopping.wait(LOOK_S):
                if self._reconfigure.is_set():
                    self._reconfigure.clear()
                    self._configure()
                self._look_at_plan()
                due = self._monotonic() - published_s >= PUBLISH_S
                if due:
                    published_s = self._monotonic()
                self._publish(everything=due)
        finally:
            self._supervisor.stop()

    def stop(self) -> None:
        """End ``run``; from a signal handler too."""
        self._stopping.set()

    def pids(self) -> dict[str, int]:
        """Process number of each application's warden."""
        return self._supervisor.pids()

    def _configure(self) -> None:
        """Take over the configuration; one that cannot be used is reported, and the one before stays."""
        try:
            known = AppHostConfig.model_fields
            config = AppHostConfig.model_validate({k: v for k, v in self._bus.configuration().items() if k in known})
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            logger.error("V103 configuration `%s`: %s. The configuration before stays in force.", field, first["msg"])
            return
        except VedetteError as error:
            logger.error("%s", error)
            self._reconfigure.set()
            return
        if config == self._config:
            return
        logging.getLogger().setLevel(config.logLevel)
        if self._config is None or config.stateDirectory != self._config.stateDirectory:
            self._plan_file, self._plan = PlanFile(StateLayout(Path(config.stateDirectory)).plan), None
        self._config = config
        self._set_children()

    def _look_at_plan(self) -> None:
        if self._plan_file is None or not self._plan_file.changed():
            return
        try:
            self._plan = self._plan_file.read()
        except StorageError as error:
            logger.error("%s", error)
            return
        self._set_children()

    def _set_children(self) -> None:
        """One warden per application that has hooks; a change of its hooks, code or receivers starts it anew."""
        config, plan = self._config, self._plan
        if config is None:
            return
        applications: dict[str, list[HookPlan]] = {}
        for hook in plan.hooks if plan is not None else ():
            applications.setdefault(hook.application, []).append(hook)
        specs = []
        for name, hooks in applications.items():
            assert plan is not None
            types = {key: action.type for key, action in plan.actions.items()}
            spec = {
                "hooks": [hook.model_dump(mode="json") for hook in hooks],
                "channels": {
                    hook.name: list(dict.fromkeys(channel_of(key, types.get(key, "")) for key in hook.actions))
                    for hook in hooks
                },
                "state_directory": config.stateDirectory,
                "trust": config.trustCode,
                "ceiling": config.allowNetwork.value,
                "alerts_per_minute": config.alertsPerMinute,
                "log_level": config.logLevel,
            }
            specs.append(
                ChildSpec(
                    name=name,
                    argv=self._child,
                    spec=spec,
                    silence_limit_s=SILENCE_S,
                    start_limit_s=START_S,
                    stop_limit_s=STOP_S,
                )
            )
        keys = {hook.key for hooks in applications.values() for hook in hooks}
        with self._lock:
            self._states = {key: state for key, state in self._states.items() if key in keys}
            for key in keys:
                self._states.setdefault(key, {"state": "STARTING", "code": "", "error": ""})
        self._supervisor.set_children(specs)

    def _on_message(self, name: str, message: dict[str, Any]) -> None:
        """From the supervisor's thread."""
        hooks = message.get("hooks")
        if not isinstance(hooks, dict):
            return
        with self._lock:
            for hook, status in hooks.items():
                key = f"{name}/{hook}"
                before = self._states.get(key)
                if before is None:
                    continue
                self._states[key] = status
                if (before.get("state"), before.get("code")) != (status.get("state"), status.get("code")):
                    self._changed.add(name)

    def _on_exit(self, name: str, reason: str) -> None:
        with self._lock:
            for key, state in self._states.items():
                if key.startswith(f"{name}/"):
                    self._states[key] = state | {
                        "state": "RESTARTING",
                        "code": "V808",
                        "error": f"its warden: {reason}",
                    }
            self._changed.add(name)

    def _publish(self, *, everything: bool) -> None:
        """States on local topics and in the state directory, at each change and once a second."""
        with self._lock:
            states = {key: dict(state) for key, state in sorted(self._states.items())}
            changed, self._changed = self._changed, set()
        names = {key.partition("/")[0] for key in states}
        try:
            for name in sorted(names if everything else names & changed):
                hooks = {key.partition("/")[2]: state for key, state in states.items() if key.startswith(f"{name}/")}
                self._bus.publish_local(topics.local_hooks(name), {"application": name, "hooks": hooks})
            self._publishable = True
        except DeliveryError as error:
            if self._publishable:  # said once; it is for people to look at, nothing depends on it
                logger.warning("state cannot be published: %s", error)
            self._publishable = False
        if (everything or changed) and self._config is not None:
            try:
                write_component_status(Path(self._config.stateDirectory), COMPONENT, {"hooks": states})
            except StorageError as error:
                logger.debug("%s", error)
