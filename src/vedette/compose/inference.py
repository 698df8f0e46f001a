"""The inference component's first process: one child per model, their states, no native code."""

from __future__ import annotations

import json
import logging
import os
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
from vedette.contracts.config import InferenceConfig
from vedette.contracts.errors import DeliveryError, StorageError, VedetteError
from vedette.contracts.plan import Plan
from vedette.ports.bus import Bus

logger = logging.getLogger(__name__)

COMPONENT: Final = "vedette.Inference"
#: How often plan and configuration are looked at, and how often states are published.
LOOK_S: Final = 0.25
PUBLISH_S: Final = 1.0
#: A child reports life five times a second unless an analysis hangs; this long without is a hang of the whole process.
SILENCE_S: Final = 2.0
START_S: Final = 15.0
#: Command that runs a model's process: no user's packages, no current directory on the path.
CHILD: Final = (sys.executable, "-s", "-P", "-m", "inference.model")


class InferenceService:
    """Keeps one process per model of the plan, and tells how they are.

    Args:
        bus: Greengrass.
        child: command line of a model's process.
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
        self._tracks: list[tuple[str, dict[str, Any]]] = []
        self._reconfigure = threading.Event()
        self._stopping = threading.Event()
        self._config: InferenceConfig | None = None
        self._plan_file: PlanFile | None = None
        self._plan: Plan | None = None
        self._publishable = True

    def run(self) -> None:
        """Serve until ``stop``. Nothing that goes wrong with a model, a plan or a configuration ends it."""
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
        """Process number of each model's process."""
        return self._supervisor.pids()

    def _configure(self) -> None:
        """Take over the configuration; one that cannot be used is reported, and the one before stays."""
        try:
            known = InferenceConfig.model_fields
            config = InferenceConfig.model_validate({k: v for k, v in self._bus.configuration().items() if k in known})
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
        """One process per model. Pipelines are not part of the specification: their change restarts nothing."""
        config, plan = self._config, self._plan
        if config is None:
            return
        models = config.modelDirectory or str(StateLayout(Path(config.stateDirectory)).models)
        specs = [
            ChildSpec(
                name=model.key,
                argv=self._child,
                spec={
                    "key": model.key,
                    "state_directory": config.stateDirectory,
                    "model_directory": models,
                    "threads": config.threads or len(os.sched_getaffinity(0)),
                    "publish_tracks": config.publishTracks,
                },
                silence_limit_s=SILENCE_S,
                start_limit_s=START_S,
            )
            for model in (plan.models if plan is not None else ())
        ]
        names = {spec.name for spec in specs}
        with self._lock:
            self._states = {name: state for name, state in self._states.items() if name in names}
            for name in names:
                self._states.setdefault(name, _state("STARTING"))
        self._supervisor.set_children(specs)

    def _on_message(self, name: str, message: dict[str, Any]) -> None:
        """From the supervisor's thread."""
        with self._lock:
            if name not in self._states:
                return
            if "tracks" in message:
                self._tracks.append((str(message["tracks"]), json.loads(message["batch"])))
                del self._tracks[:-_TRACKS_LIMIT]
            elif "stalled" in message:
                self._states[name] |= {"state": "RESTARTING", "error": str(message["stalled"]), "code": "V302"}
                self._changed.add(name)
            elif "state" in message:
                before = self._states[name]
                fresh = {key: message.get(key, "") for key in ("state", "error", "code", "cameras")}
                self._states[name] = before | fresh | {"cameras": fresh["cameras"] or {}}
                if (before["state"], before["code"]) != (fresh["state"], fresh["code"]):
                    self._changed.add(name)

    def _on_exit(self, name: str, reason: str) -> None:
        with self._lock:
            state = self._states.get(name)
            if state is not None:
                state |= {"state": "RESTARTING", "error": reason, "restarts": state["restarts"] + 1, "cameras": {}}
                self._changed.add(name)

    def _publish(self, *, everything: bool) -> None:
        """States on local topics and in the state directory, at each change and once a second."""
        with self._lock:
            names = sorted(self._states if everything else self._changed)
            states = {name: dict(self._states[name]) for name in names if name in self._states}
            all_states = {name: dict(state) for name, state in self._states.items()}
            tracks, self._tracks = self._tracks, []
            self._changed.clear()
        messages = [(topics.local_inference(name), {"model": name, **state}) for name, state in states.items()]
        messages += [(topics.local_tracks(camera), batch) for camera, batch in tracks]
        try:
            for topic, message in messages:
                self._bus.publish_local(topic, message)
            self._publishable = True
        except DeliveryError as error:
            if self._publishable:  # said once; it is for people to look at, nothing depends on it
                logger.warning("state cannot be published: %s", error)
            self._publishable = False
        if states and self._config is not None:
            try:
                write_component_status(Path(self._config.stateDirectory), COMPONENT, {"models": all_states})
            except StorageError as error:
                logger.warning("%s", error)


#: Track batches waiting to be published; the oldest go first.
_TRACKS_LIMIT: Final = 200


def _state(state: str) -> dict[str, Any]:
    return {"state": state, "error": "", "code": "", "cameras": {}, "restarts": 0}
