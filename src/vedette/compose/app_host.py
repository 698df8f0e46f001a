"""The first process of ``vedette.AppHost``: one warden per application with hooks, their states, no native code."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from vedette.adapters.supervision import ChildSpec
from vedette.compose.plan_service import PlanService
from vedette.contracts import topics
from vedette.contracts.config import AppHostConfig
from vedette.contracts.plan import HookPlan, Plan
from vedette.ports.bus import Bus
from vedette.ports.outbox import channel_of

COMPONENT: Final = "vedette.AppHost"
#: A warden reports life four times a second, except while a disk makes all of it wait.
SILENCE_S: Final = 30.0
START_S: Final = 20.0
STOP_S: Final = 3.0
#: Command that runs a warden: no user's packages, no current directory on the path.
CHILD: Final = (sys.executable, "-s", "-P", "-m", "app_host.warden")


class AppHostService(PlanService[AppHostConfig]):
    """Keeps a warden per application with hooks, and tells how their hooks are.

    Args:
        bus: Greengrass.
        child: command line of a warden.
        monotonic: clock of all intervals.
    """

    component = COMPONENT

    def __init__(
        self, bus: Bus, child: tuple[str, ...] = CHILD, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(bus, child, AppHostConfig, monotonic)

    def _specs(self, config: AppHostConfig, plan: Plan) -> tuple[Sequence[ChildSpec], Iterable[str]]:
        """One warden per application that has hooks; a change of its hooks, code or receivers starts it anew."""
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
            )
            for name, hooks in applications.items()
        ]
        return specs, [hook.key for hook in plan.hooks]

    def _fresh_state(self) -> dict[str, Any]:
        return {"state": "STARTING", "code": "", "error": ""}

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

    def _messages(self, states: dict[str, dict[str, Any]], names: set[str] | None) -> Iterable[tuple[str, Any]]:
        applications = sorted({key.partition("/")[0] for key in states})
        for name in applications if names is None else [name for name in applications if name in names]:
            hooks = {key.partition("/")[2]: state for key, state in states.items() if key.startswith(f"{name}/")}
            yield topics.local_hooks(name), {"application": name, "hooks": hooks}

    def _summary(self, states: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {"hooks": states}
