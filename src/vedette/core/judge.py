"""All rules of a device, fed batch by batch."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vedette.contracts.alert import Alert
from vedette.contracts.manifest import Count
from vedette.contracts.plan import RulePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.alerts import Cooldown, make_alert
from vedette.core.rules import RuleMachine, make_machine
from vedette.core.rules.clock import FORGET_S, StreamClock

_LOG = logging.getLogger(__name__)

STATE_VERSION: Final = 1
#: Reason given where the stream itself does not know of an interruption.
TOO_LATE: Final = "not analysed in time (overload or restart)"
#: Most rules whose state is kept while they are not there: an application that is replaced detaches for a moment.
MAX_PARKED: Final = 256
#: Most stretches kept until they are taken.
MAX_STRETCHES: Final = 1000

#: Fields of a rule that may change while it goes on: what it knows of a visit, a count, a line means the same whatever
#: they are. Everything else (line, zone, labels, type …) says what is known, and a change of it begins anew.
_GOES_ON: Final = frozenset(
    {
        *("title", "severity", "actions", "schedule", "cooldown_s"),
        *("for_s", "hold_s", "min_confidence", "above", "below"),
        *("within_m", "min_speed_mps", "reads", "again_s"),
    }
)

_Route = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """An alert and where it goes.

    Attributes:
        alert: what happened.
        actions: keys of ``Plan.actions``.
    """

    alert: Alert
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotAnalysed:
    """A stretch of a stream that no rule has seen.

    Attributes:
        camera: the device's name of the camera.
        pipeline: ``<application>/<pipeline>``.
        from_s: Unix time of the last picture before it.
        to_s: Unix time of the first picture after it.
        seconds: its length, by the monotonic clock where that went on.
        reason: for people.
    """

    camera: str
    pipeline: str
    from_s: float
    to_s: float
    seconds: float
    reason: str


class _Judged:
    """One rule on one camera."""

    def __init__(self, plan: RulePlan) -> None:
        self.plan = plan
        self.key = f"{plan.application}/{plan.name}@{plan.camera}"
        self.machine: RuleMachine = make_machine(plan)
        self.cooldown = Cooldown(plan.rule.cooldown_s)
        self.definition = _definition(plan)

    def judge(self, device: str, batch: TrackBatch) -> list[Verdict]:
        verdicts = []
        for event in self.machine.step(batch):
            held_back = self.cooldown.admit(self.machine.elapsed_s)
            if held_back is not None:
                verdicts.append(Verdict(make_alert(device, self.plan, event, held_back), self.plan.actions))
        return verdicts

    def state(self) -> dict[str, Any]:
        return {
            "definition": self.definition,
            "machine": self.machine.state(),
            "cooldown": self.cooldown.state(),
        }

    def restored(self, state: Mapping[str, Any]) -> _Judged:
        """This rule with that state; this rule, fresh, where the state is of another definition or unreadable."""
        fresh = _Judged(self.plan)
        try:
            if state["definition"] != self.definition:
                return fresh
            loaded = _Judged(self.plan)
            loaded.machine.restore(state["machine"])
            loaded.cooldown.restore(state["cooldown"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            _LOG.warning("rule %s starts fresh: its saved state cannot be read (%s)", self.key, error)
            return fresh
        return loaded


class Judge:
    """Turns track batches into alerts; pure, so that the same batches give the same alerts.

    Args:
        device: IoT thing name of the device, part of every alert's id.
        rules: what to judge.

    Raises:
        ValueError: a rule is there twice for a camera.
    """

    def __init__(self, device: str, rules: Sequence[RulePlan]) -> None:
        self._device = device
        self._rules: dict[str, _Judged] = {}
        self._streams: dict[_Route, StreamClock] = {}
        self._stretches: list[NotAnalysed] = []
        self._parked: dict[str, Any] = {}
        for plan in rules:
            rule = _Judged(plan)
            if rule.key in self._rules:
                raise ValueError(f"rule {rule.key} is there twice")
            self._rules[rule.key] = rule
            self._streams.setdefault((plan.pipeline, plan.camera), StreamClock(plan.fps))
        self._routes = self._by_route()

    def judge(self, batch: TrackBatch) -> list[Verdict]:
        """Judge one batch: the rules of its pipeline and camera, in the order they were given.

        A batch of a pipeline or camera without rules gives nothing, nor does one that was judged before.
        """
        route = (batch.pipeline, batch.frame.camera)
        stream = self._streams.get(route)
        if stream is None:
            return []
        self._watch(stream, batch)
        return [verdict for rule in self._routes[route] for verdict in rule.judge(self._device, batch)]

    def take_not_analysed(self) -> list[NotAnalysed]:
        """Stretches without analysis that were noticed since the last call."""
        taken, self._stretches = self._stretches, []
        return taken

    @property
    def suppressed(self) -> dict[str, int]:
        """Alerts the cool-down has suppressed, by ``<application>/<rule>@<camera>``."""
        return {key: rule.cooldown.suppressed for key, rule in self._rules.items()}

    def state(self) -> dict[str, Any]:
        """All that future alerts depend on, as JSON; to be committed together with the cursor."""
        return {
            "version": STATE_VERSION,
            "rules": {**self._still_parked(), **{key: rule.state() for key, rule in self._rules.items()}},
            "streams": [[*route, stream.state()] for route, stream in self._streams.items()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state()``, also of a judge with other rules.

        A rule that is about the same keeps its state, also with other limits, times, schedule, actions, title or
        severity: they hold from the next batch on. One that is new or about something else (line, zone, labels,
        type …) starts fresh, and so does one whose saved state cannot be read. The state of a rule that is not here
        is kept for a minute of the other rules' time, so that an application that is replaced by another version or
        started again goes on, too. Nothing raises: an alert too many or too few once is better than a device that
        does not start.
        """
        if not state:
            return
        rules, streams = state.get("rules"), state.get("streams")
        if state.get("version") != STATE_VERSION or not isinstance(rules, Mapping) or not isinstance(streams, list):
            _LOG.warning("all rules start fresh: their saved state is not of a version this release reads")
            return
        absent = [key for key in rules if key not in self._rules]
        self._parked = {key: rules[key] for key in absent[-MAX_PARKED:]}
        for key, rule in self._rules.items():
            saved = rules.get(key)
            self._rules[key] = rule.restored(saved) if isinstance(saved, Mapping) else _Judged(rule.plan)
        self._routes = self._by_route()
        for entry in streams:
            try:
                pipeline, camera, clock = entry
                if (pipeline, camera) in self._streams:
                    self._streams[pipeline, camera].restore(clock)
            except (TypeError, ValueError) as error:
                _LOG.warning("saved time of a stream cannot be read (%s)", error)

    def _by_route(self) -> dict[_Route, list[_Judged]]:
        routes: dict[_Route, list[_Judged]] = {}
        for rule in self._rules.values():
            routes.setdefault((rule.plan.pipeline, rule.plan.camera), []).append(rule)
        return routes

    def _still_parked(self) -> dict[str, Any]:
        """What is kept of rules that are not here, without those that would have forgotten the scene by now."""
        now_s = max((s.last_wall_s for s in self._streams.values() if s.last_wall_s is not None), default=None)
        if now_s is not None:
            self._parked = {key: s for key, s in self._parked.items() if abs(now_s - _last_wall_s(s)) <= FORGET_S}
        return self._parked

    def _watch(self, stream: StreamClock, batch: TrackBatch) -> None:
        """Note the stretch without analysis that ends with this batch, if one does."""
        before_s = stream.last_wall_s
        tick = stream.advance(batch.frame)
        if tick is None or before_s is None or not (tick.gap_s or tick.broken):
            return
        frame = batch.frame
        self._stretches.append(
            NotAnalysed(
                camera=frame.camera,
                pipeline=batch.pipeline,
                from_s=before_s,
                to_s=frame.wall_s,
                seconds=tick.gap_s,
                reason=frame.gap_reason or TOO_LATE,
            )
        )
        del self._stretches[:-MAX_STRETCHES]


def _last_wall_s(state: Any) -> float:
    """Unix time of the last picture that a rule has seen, by its state; NaN where that cannot be read."""
    try:
        return float(state["machine"]["clock"][3])
    except (KeyError, TypeError, ValueError, IndexError):
        return math.nan


def _definition(plan: RulePlan) -> str:
    """Hash of everything that decides what the rule's state means."""
    document: dict[str, Any] = {
        "pipeline": plan.pipeline,
        "camera": plan.camera,
        "ground": None if plan.ground is None else plan.ground.model_dump(mode="json"),
        "rule": plan.rule.model_dump(mode="json", exclude=set(_GOES_ON)),
    }
    if isinstance(plan.rule, Count):
        # Too many and too few are different conditions, however they are limited.
        document["limit"] = "below" if plan.rule.above is None else "above"
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]
