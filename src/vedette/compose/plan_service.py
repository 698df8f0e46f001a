"""What the first processes of components that follow the plan have in common: configuration and plan in, states out."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

from pydantic import ValidationError

from vedette.adapters.state.files import write_component_status
from vedette.adapters.state.layout import StateLayout
from vedette.adapters.state.log_levels import LEVEL
from vedette.adapters.state.plan_file import PlanFile
from vedette.adapters.supervision import ChildSpec, Supervisor
from vedette.contracts.config import ComponentConfig
from vedette.contracts.errors import DeliveryError, StorageError, VedetteError
from vedette.contracts.plan import Plan
from vedette.ports.bus import Bus

logger = logging.getLogger(__name__)

#: How often plan and configuration are looked at, and how often states are published.
LOOK_S: Final = 0.25
PUBLISH_S: Final = 1.0

Config = TypeVar("Config", bound=ComponentConfig)


class PlanService(ABC, Generic[Config]):
    """Keeps the children that the plan asks for, and tells how they are. No native code.

    Args:
        bus: Greengrass.
        child: command line of a child.
        config: type of the component's configuration.
        monotonic: clock of all intervals.
    """

    #: The component's name, as in its recipe.
    component: ClassVar[str]

    def __init__(
        self,
        bus: Bus,
        child: tuple[str, ...],
        config: type[Config],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._child = child
        self._config_type = config
        self._monotonic = monotonic
        self._supervisor = Supervisor(self._on_message, self._on_exit)
        self._lock = threading.Lock()
        self._states: dict[str, dict[str, Any]] = {}
        self._changed: set[str] = set()
        self._reconfigure = threading.Event()
        self._stopping = threading.Event()
        self._config: Config | None = None
        self._plan_file: PlanFile | None = None
        self._plan: Plan | None = None
        self._complained: set[str] = set()

    def run(self) -> None:
        """Serve until ``stop``. Nothing that goes wrong with a child, a plan or a configuration ends it."""
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
                self._tell(everything=due)
        finally:
            self._supervisor.stop()

    def stop(self) -> None:
        """End ``run``; from a signal handler too."""
        self._stopping.set()

    def pids(self) -> dict[str, int]:
        """Process number of each child."""
        return self._supervisor.pids()

    @abstractmethod
    def _specs(self, config: Config, plan: Plan) -> tuple[Sequence[ChildSpec], Iterable[str]]:
        """The children that are wanted, and the keys of the states that are told."""

    @abstractmethod
    def _fresh_state(self) -> dict[str, Any]:
        """The state of what has not told its own yet."""

    @abstractmethod
    def _messages(self, states: dict[str, dict[str, Any]], names: set[str] | None) -> Iterable[tuple[str, Any]]:
        """Topics and messages to publish: about these names, about everything where None."""

    @abstractmethod
    def _summary(self, states: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """What the component's status file says."""

    @abstractmethod
    def _on_message(self, name: str, message: dict[str, Any]) -> None:
        """A child has said something. From the supervisor's thread."""

    @abstractmethod
    def _on_exit(self, name: str, reason: str) -> None:
        """A child has ended. From the supervisor's thread."""

    def _configure(self) -> None:
        """Take over the configuration; one that cannot be used is reported, and the one before stays."""
        try:
            known = self._config_type.model_fields
            values = {key: value for key, value in self._bus.configuration().items() if key in known}
            config = self._config_type.model_validate(values)
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
        LEVEL.configure(config.logLevel, Path(config.stateDirectory), self.component)
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
        if self._config is None:
            return
        specs, keys = self._specs(self._config, self._plan or Plan())
        wanted = set(keys)
        with self._lock:
            self._states = {key: state for key, state in self._states.items() if key in wanted}
            for key in wanted:
                self._states.setdefault(key, self._fresh_state())
        self._supervisor.set_children(specs)

    def _tell(self, *, everything: bool) -> None:
        """States on local topics and in the state directory, at each change and once a second."""
        with self._lock:
            states = {key: dict(state) for key, state in sorted(self._states.items())}
            changed, self._changed = self._changed, set()
        with self._once("state cannot be published", DeliveryError):
            for topic, message in self._messages(states, None if everything else changed):
                self._bus.publish_local(topic, message)
        if (everything or changed) and self._config is not None:
            with self._once("state cannot be written", StorageError):
                write_component_status(Path(self._config.stateDirectory), self.component, self._summary(states))

    def _once(self, what: str, kind: type[VedetteError]) -> _Once:
        """States are for people to look at, nothing depends on them: what keeps them from being told is said once."""
        return _Once(self._complained, what, kind)


class _Once:
    """Logs an error of a kind when it begins, not as long as it lasts."""

    def __init__(self, complained: set[str], what: str, kind: type[VedetteError]) -> None:
        self._complained, self._what, self._kind = complained, what, kind

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> bool:
        if error is None:
            self._complained.discard(self._what)
            return False
        if not isinstance(error, self._kind):
            return False
        if self._what not in self._complained:
            self._complained.add(self._what)
            logger.warning("%s: %s", self._what, error)
        return True
