"""Calls of one hook's functions, what came of them, and the figures: the same live and in a backtest."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from vedette.contracts.errors import HookError
from vedette.contracts.hook_event import HookEvent
from vedette.contracts.hook_messages import HookReply
from vedette.contracts.plan import HookPlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.alert_budget import AlertBudget
from vedette.core.hook_events import Cause, make_event
from vedette.hooks.state import dump_state
from vedette.ports.hooks import HookPosition, HookProcess, Picture

#: Calls whose times are kept for the figures.
_KEPT_TIMES: Final = 256


@dataclass(slots=True)
class CallFigures:
    """How calling goes, since the start.

    Attributes:
        calls: that returned.
        failures: that raised, or ended the process.
        alerts: raised and let through.
        suppressed: raised beyond the budget, ever.
        times_s: of the last calls.
    """

    calls: int = 0
    failures: int = 0
    alerts: int = 0
    suppressed: int = 0
    times_s: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_TIMES))

    def percentile_ms(self, share: float) -> float:
        """Time of a call that a share of the last ones did not exceed, milliseconds."""
        ordered = sorted(self.times_s)
        return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else 0.0


class HookCalls:
    """One hook's process, the state it last answered with, and how many alerts it may raise. For one thread.

    Args:
        hook: its plan.
        channels: receivers of its alerts.
        process: the code.
        alerts_per_minute: in the long run.
        wall_s: Unix time.
        monotonic: clock of the figures.
    """

    def __init__(
        self,
        hook: HookPlan,
        channels: tuple[str, ...],
        process: HookProcess,
        *,
        alerts_per_minute: float,
        wall_s: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hook = hook
        self._channels = channels
        self._process = process
        self._wall_s = wall_s
        self._monotonic = monotonic
        # Of their own, so that pictures and timers, which are now, take nothing from batches that are late.
        self._budgets = (AlertBudget(alerts_per_minute), AlertBudget(alerts_per_minute))
        self.state = "{}"
        self.figures = CallFigures()
        self.functions: frozenset[str] = frozenset()
        self.timers: tuple[float, ...] = ()

    def restore(self, position: HookPosition) -> None:
        """Go on from what was committed."""
        self.state = position.state
        self.figures.suppressed = position.suppressed
        for budget, state in zip(self._budgets, position.buckets, strict=False):
            budget.restore(state)

    def budgets(self) -> tuple[Any, ...]:
        """State of the budgets, for the commit."""
        return tuple(budget.state() for budget in self._budgets)

    def start(self) -> list[HookEvent]:
        """Start the process, load the code, call ``setup``; what it raised.

        Raises:
            HookError: it does not run.
        """
        now_s = self._wall_s()
        reply = self._process.start(self.state, now_s)
        self.functions, self.timers = frozenset(reply.functions), reply.timers
        return self._accept(reply, Cause(now_s))

    def tracks(self, app_camera: str, batch: TrackBatch) -> list[HookEvent]:
        """Call ``on_tracks``; what it raised.

        Raises:
            HookError: the call does not count. V802: the process lives; else it was ended.
        """
        return self._timed(lambda: self._process.tracks(app_camera, batch), Cause.of(batch))

    def frame(self, picture: Picture) -> list[HookEvent]:
        """Call ``on_frame``; what it raised.

        Raises:
            HookError: as ``tracks``.
        """
        return self._timed(lambda: self._process.frame(picture), Cause(picture.info.wall_s, picture.info))

    def timer(self, number: int, wall_s: float) -> list[HookEvent]:
        """Call a timer's function; what it raised.

        Raises:
            HookError: as ``tracks``.
        """
        return self._timed(lambda: self._process.timer(number, wall_s), Cause(wall_s))

    def _timed(self, call: Callable[[], HookReply], cause: Cause) -> list[HookEvent]:
        began_s = self._monotonic()
        try:
            events = self._accept(call(), cause)
        except HookError:
            self.figures.failures += 1
            raise
        self.figures.calls += 1
        self.figures.times_s.append(self._monotonic() - began_s)
        return events

    def _accept(self, reply: HookReply, cause: Cause) -> list[HookEvent]:
        """Take over state and alerts, both or none."""
        try:
            # Written anew: what cannot be read back, or nests too deep to be sent again, must never be kept.
            state = dump_state(json.loads(reply.state)) if reply.state is not None else self.state
            now_s = self._wall_s()
            events = [make_event(self._hook, self._channels, raised, cause, now_s) for raised in reply.alerts]
        except (ValueError, RecursionError) as error:
            self._process.close()
            raise HookError(
                f"hook {self._hook.key} answered with what it must not: {str(error)[:200]}; it was ended.", code="V808"
            ) from error
        self.state = state
        budget = self._budgets[cause.batch is None]
        admitted = [event for event in events if budget.admit(cause.wall_s)]
        self.figures.alerts += len(admitted)
        self.figures.suppressed += len(events) - len(admitted)
        return admitted
