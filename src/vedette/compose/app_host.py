"""The first process of ``vedette.AppHost``: wardens of hooks, hosts of Panorama code, their states, no native code."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from vedette.adapters.state.layout import StateLayout
from vedette.adapters.supervision import ChildSpec
from vedette.compose.plan_service import PlanService
from vedette.compose.processes import device_name
from vedette.contracts import topics
from vedette.contracts.config import AppHostConfig
from vedette.contracts.plan import HookPlan, PanoramaPlan, Plan
from vedette.ports.bus import Bus
from vedette.ports.outbox import channel_of

COMPONENT: Final = "vedette.AppHost"
#: Both kinds of children report life four times a second, except while a disk makes all of it wait.
SILENCE_S: Final = 30.0
START_S: Final = 20.0
#: Where memory is short, applications' own code is among the first to go.
GIVES_WAY: Final = 600
#: Libraries of inference are loaded before life is reported for the first time.
PANORAMA_START_S: Final = 60.0
STOP_S: Final = 3.0
#: Commands that run a warden and a host: no user's packages, no current directory on the path.
CHILD: Final = (sys.executable, "-s", "-P", "-m", "app_host.warden")
PANORAMA_CHILD: Final = (sys.executable, "-s", "-P", "-m", "app_host.panorama")
#: Before an application's name in the name of its host, and in the key of its state; no application is called so.
PANORAMA: Final = "panorama:"
#: States of Panorama code in which it does not do what it is for.
UNWELL: Final = frozenset({"RESTARTING", "FAILED", "REFUSED"})


class AppHostService(PlanService[AppHostConfig]):
    """Keeps a warden per application with hooks and a host per Panorama code, and tells how they are.

    Args:
        bus: Greengrass.
        child: command line of a warden.
        panorama_child: command line of a host.
        monotonic: clock of all intervals.
    """

    component = COMPONENT

    def __init__(
        self,
        bus: Bus,
        child: tuple[str, ...] = CHILD,
        panorama_child: tuple[str, ...] = PANORAMA_CHILD,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(bus, child, AppHostConfig, monotonic)
        self._panorama_child = panorama_child

    def _specs(self, config: AppHostConfig, plan: Plan) -> tuple[Sequence[ChildSpec], Iterable[str]]:
        """A warden per application with hooks, a host per Panorama code; a change of what they run starts them anew."""
        applications: dict[str, list[HookPlan]] = {}
        for hook in plan.hooks:
            applications.setdefault(hook.application, []).append(hook)
        types = {key: action.type for key, action in plan.actions.items()}
        specs = [
            ChildSpec(
                name=name,
                argv=self._child,
                spec={
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
                },
                silence_limit_s=SILENCE_S,
                start_limit_s=START_S,
                stop_limit_s=STOP_S,
                gives_way=GIVES_WAY,
            )
            for name, hooks in applications.items()
        ]
        specs += [self._host(config, code) for code in plan.panorama]
        return specs, [*(hook.key for hook in plan.hooks), *(PANORAMA + code.application for code in plan.panorama)]

    def _host(self, config: AppHostConfig, code: PanoramaPlan) -> ChildSpec:
        """A new value of a parameter port is told to the host that runs."""
        return ChildSpec(
            name=PANORAMA + code.application,
            argv=self._panorama_child,
            spec={
                "plan": code.model_copy(update={"values": {}}).model_dump(mode="json"),
                "state_directory": config.stateDirectory,
                "model_directory": config.modelDirectory or str(StateLayout(Path(config.stateDirectory)).models),
                "python": config.panoramaPython.get(code.application, "") or code.python,
                "device": device_name(),
                "region": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "",
                "trust": config.trustCode,
                "ceiling": config.allowNetwork.value,
                "view": config.allowView,
                "log_level": config.logLevel,
            },
            live={"values": dict(code.values)},
            silence_limit_s=SILENCE_S,
            start_limit_s=PANORAMA_START_S,
            stop_limit_s=STOP_S,
            gives_way=GIVES_WAY,
        )

    def _fresh_state(self) -> dict[str, Any]:
        return {"state": "STARTING", "code": "", "error": ""}

    def _on_message(self, name: str, message: dict[str, Any]) -> None:
        """From the supervisor's thread."""
        if name.startswith(PANORAMA):
            if isinstance(message.get("panorama"), dict):
                self._note(name, name, message["panorama"])
            return
        hooks = message.get("hooks")
        for hook, status in hooks.items() if isinstance(hooks, dict) else ():
            self._note(name, f"{name}/{hook}", status)

    def _note(self, name: str, key: str, status: dict[str, Any]) -> None:
        with self._lock:
            before = self._states.get(key)
            if before is None:
                return
            self._states[key] = status
            if (before.get("state"), before.get("code")) != (status.get("state"), status.get("code")):
                self._changed.add(name.removeprefix(PANORAMA))

    def _on_exit(self, name: str, reason: str) -> None:
        whose = "its host" if name.startswith(PANORAMA) else "its warden"
        with self._lock:
            for key, state in self._states.items():
                if key == name or key.startswith(f"{name}/"):
                    self._states[key] = state | {"state": "RESTARTING", "code": "V808", "error": f"{whose}: {reason}"}
            self._changed.add(name.removeprefix(PANORAMA))

    def _messages(self, states: dict[str, dict[str, Any]], names: set[str] | None) -> Iterable[tuple[str, Any]]:
        applications = sorted({_application(key) for key in states})
        for name in applications if names is None else [name for name in applications if name in names]:
            message: dict[str, Any] = {
                "application": name,
                "hooks": {key.partition("/")[2]: state for key, state in states.items() if key.startswith(f"{name}/")},
            }
            if PANORAMA + name in states:
                message["panorama"] = states[PANORAMA + name]
            yield topics.local_hooks(name), message

    def _summary(self, states: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {
            "hooks": {key: state for key, state in states.items() if not key.startswith(PANORAMA)},
            "panorama": {_application(key): state for key, state in states.items() if key.startswith(PANORAMA)},
            "problems": [
                f"Panorama code of {_application(key)} is {state['state']}: {state.get('code')} {state.get('error')}"
                for key, state in states.items()
                if key.startswith(PANORAMA) and state.get("state") in UNWELL
            ],
        }


def _application(key: str) -> str:
    return key.removeprefix(PANORAMA).partition("/")[0]
