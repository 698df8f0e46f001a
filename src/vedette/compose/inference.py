"""The inference component's first process: one child per model, their states, no native code."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from vedette.adapters.state.layout import StateLayout
from vedette.adapters.supervision import ChildSpec
from vedette.compose.plan_service import PlanService
from vedette.contracts import topics
from vedette.contracts.config import InferenceConfig
from vedette.contracts.plan import Plan
from vedette.ports.bus import Bus

COMPONENT: Final = "vedette.Inference"
#: A child reports life five times a second unless an analysis hangs; this long without is a hang of the whole process.
SILENCE_S: Final = 2.0
START_S: Final = 15.0
#: The same for what gives way to everything else: on a busy device it may have to wait for long.
BACKGROUND_SILENCE_S: Final = 30.0
BACKGROUND_START_S: Final = 120.0
#: Where memory is short: what nobody waits for goes first; a model before cameras, which are many.
GIVES_WAY: Final = 300
BACKGROUND_GIVES_WAY: Final = 800
#: Command that runs a model's process: no user's packages, no current directory on the path.
CHILD: Final = (sys.executable, "-s", "-P", "-m", "inference.model")
#: Track batches waiting to be published; the oldest go first.
_TRACKS_LIMIT: Final = 200


class InferenceService(PlanService[InferenceConfig]):
    """Keeps one process per model of the plan, and tells how they are.

    Args:
        bus: Greengrass.
        child: command line of a model's process.
        monotonic: clock of all intervals.
    """

    component = COMPONENT

    def __init__(
        self, bus: Bus, child: tuple[str, ...] = CHILD, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(bus, child, InferenceConfig, monotonic)
        self._tracks: list[tuple[str, dict[str, Any]]] = []
        self._passed: dict[str, dict[str, Any]] = {}

    def _specs(self, config: InferenceConfig, plan: Plan) -> tuple[Sequence[ChildSpec], Iterable[str]]:
        """One process per model. Pipelines are not part of the specification: their change restarts nothing."""
        models = config.modelDirectory or str(StateLayout(Path(config.stateDirectory)).models)
        specs = [
            ChildSpec(
                name=model.key,
                argv=self._child,
                spec={
                    "key": model.key,
                    "state_directory": config.stateDirectory,
                    "model_directory": models,
                    "threads": 1 if model.background else config.threads or len(os.sched_getaffinity(0)),
                    "background": model.background,
                    "publish_tracks": config.publishTracks,
                    "dlr_python": config.dlrPython,
                    "gpu": config.gpu,
                    "gpu_memory_bytes": config.gpuMemoryMb << 20,
                    "engine_workspace_bytes": config.engineWorkspaceMb << 20,
                },
                silence_limit_s=BACKGROUND_SILENCE_S if model.background else SILENCE_S,
                start_limit_s=BACKGROUND_START_S if model.background else START_S,
                gives_way=BACKGROUND_GIVES_WAY if model.background else GIVES_WAY,
            )
            for model in plan.models
        ]
        return specs, [spec.name for spec in specs]

    def _fresh_state(self) -> dict[str, Any]:
        return {"state": "STARTING", "error": "", "code": "", "cameras": {}, "restarts": 0}

    def _on_message(self, name: str, message: dict[str, Any]) -> None:
        """From the supervisor's thread."""
        with self._lock:
            if name not in self._states:
                return
            if "tracks" in message:
                self._tracks.append((str(message["tracks"]), json.loads(message["batch"])))
                del self._tracks[:-_TRACKS_LIMIT]
            elif "passed" in message:
                self._passed[name] = {
                    "passed": str(message["passed"]),
                    "passed_run_s": float(message["run_s"]),
                    "passed_parts": [str(mark) for mark in message["parts"]],
                }
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
            # For the next process, once: it is not trusted again before it has run well itself.
            self._supervisor.set_live(name, self._passed.pop(name, {}))
            state = self._states.get(name)
            if state is not None:
                state |= {"state": "RESTARTING", "error": reason, "restarts": state["restarts"] + 1, "cameras": {}}
                self._changed.add(name)

    def _messages(self, states: dict[str, dict[str, Any]], names: set[str] | None) -> Iterable[tuple[str, Any]]:
        with self._lock:
            tracks, self._tracks = self._tracks, []
        for name, state in states.items():
            if names is None or name in names:
                yield topics.local_inference(name), {"model": name, **state}
        for camera, batch in tracks:
            yield topics.local_tracks(camera), batch

    def _summary(self, states: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {"models": states}
