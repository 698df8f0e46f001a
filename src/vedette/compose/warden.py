"""The warden of one application: a thread for each of its hooks, each with a confined process."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from vedette.adapters.state.layout import StateLayout
from vedette.adapters.supervision import ChildLink
from vedette.compose.hosted_hook import HostedHook, HostSettings
from vedette.compose.processes import BEAT_S, serve_child
from vedette.contracts.base import Contract
from vedette.contracts.config import NetworkCeiling
from vedette.contracts.plan import HookPlan

log = logging.getLogger(__name__)

#: How often everything known is told.
STATUS_S: Final = 1.0
#: Time the threads have to commit before the process goes.
END_S: Final = 0.8


class WardenSpec(Contract):
    """What a warden is told on its standard input."""

    hooks: tuple[HookPlan, ...]
    channels: Annotated[dict[str, tuple[str, ...]], Field(description="Hook → receivers of its alerts.")]
    state_directory: str
    trust: bool = False
    ceiling: NetworkCeiling = NetworkCeiling.WITHOUT_PICTURES
    alerts_per_minute: int = 30
    log_level: str = "INFO"


class Warden:
    """Serves until its supervisor hangs up.

    Args:
        link: to the supervisor.
    """

    def __init__(self, link: ChildLink) -> None:
        self._link = link
        self._spec = WardenSpec.model_validate(link.spec)
        settings = HostSettings(
            StateLayout(Path(self._spec.state_directory)),
            trust=self._spec.trust,
            ceiling=self._spec.ceiling,
            alerts_per_minute=self._spec.alerts_per_minute,
        )
        self._hooks = [
            HostedHook(hook, tuple(self._spec.channels.get(hook.name, ())), settings) for hook in self._spec.hooks
        ]

    def run(self) -> None:
        """Serve."""
        for hook in self._hooks:
            hook.start()
        told_s = float("-inf")
        while not self._link.closed.wait(BEAT_S):
            hung = [hook for hook in self._hooks if hook.hung()]
            if hung:
                self._link.stalled(f"the thread of hook {hung[0].hook.key} hangs")
                continue
            progress = sum(hook.progress for hook in self._hooks)
            if time.monotonic() - told_s < STATUS_S:
                self._link.beat(progress)
                continue
            told_s = time.monotonic()
            statuses: dict[str, Any] = {hook.hook.name: hook.status() for hook in self._hooks}
            self._link.beat(progress, hooks=statuses)
        for hook in self._hooks:
            hook.stop()
        deadline_s = time.monotonic() + END_S
        for hook in self._hooks:
            hook.join(max(0.0, deadline_s - time.monotonic()))


def main() -> None:
    """Entry point of the process; started by ``vedette.AppHost``'s supervisor, never by hand."""
    serve_child(lambda link: Warden(link).run())
