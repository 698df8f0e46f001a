"""What all rule machines share: events, state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from vedette.contracts.alert import Direction
from vedette.contracts.manifest import RuleBase
from vedette.contracts.plan import RulePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.rules.clock import StreamClock
from vedette.core.rules.scene import MAX_OBJECTS, Mark, Moment, Scene, Sighting
from vedette.core.rules.selection import Selection
from vedette.core.rules.watcher import Watcher
from vedette.core.schedule import armed

__all__ = ["MAX_OBJECTS", "Event", "Mark", "Moment", "RuleMachine", "Scene", "Sighting"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something a rule is about has happened.

    Attributes:
        moment: the picture in which it happened; for what takes time, the picture in which it had taken long enough.
        objects: what took part, as in that picture, at most ``MAX_OBJECTS``.
        count: where the rule counts.
        direction: where the rule is about a line.
        duration_s: how long the condition had held, where the rule is about time.
        distance_m: where the rule is about a distance.
    """

    moment: Moment
    objects: tuple[Sighting, ...]
    count: int | None = None
    direction: Direction | None = None
    duration_s: float | None = None
    distance_m: float | None = None


class RuleMachine(ABC):
    """Judges one rule on one camera, batch by batch. No clock, no timer: batches drive everything.

    Fed with the same batches from the same state, it gives the same events. A batch that was judged before is left
    alone, so that feeding one twice is harmless.
    """

    def __init__(self, plan: RulePlan, rule: RuleBase) -> None:
        self.plan = plan
        self._schedule = rule.schedule
        self._hold_s = rule.hold_s
        self._clock = StreamClock(plan.fps)
        self._watcher = Watcher(rule.anchor, self._select(rule))

    @property
    def elapsed_s(self) -> float:
        """Seconds since the machine's first batch, gaps included."""
        return self._clock.elapsed_s

    def step(self, batch: TrackBatch) -> list[Event]:
        """Judge one batch; events in the order of their track numbers."""
        frame = batch.frame
        tick = self._clock.advance(frame)
        if tick is None:
            return []
        if tick.broken:
            self._forget()
        return self._judge(self._watcher.look(batch, tick, armed=armed(self._schedule, frame.wall_s)))

    def state(self) -> dict[str, Any]:
        """All that the future depends on, as small JSON."""
        return {"clock": self._clock.state(), "selection": self._watcher.state(), "rule": self._dump()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from ``state()`` of a machine of the same rule.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is not such a state; start a fresh machine then.
        """
        self._clock.restore(state["clock"])
        self._watcher.restore(state["selection"])
        self._load(state["rule"])

    def _select(self, rule: RuleBase) -> Selection:
        """Which objects the machine is shown."""
        return Selection(rule.labels, rule.min_confidence, rule.where)

    def _armed_at(self, moment: Moment) -> bool:
        return armed(self._schedule, moment.wall_s)

    @abstractmethod
    def _judge(self, scene: Scene) -> list[Event]: ...

    @abstractmethod
    def _forget(self) -> None: ...

    @abstractmethod
    def _dump(self) -> Any: ...

    @abstractmethod
    def _load(self, state: Any) -> None: ...
