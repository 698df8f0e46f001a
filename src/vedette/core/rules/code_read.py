"""A code has been read: once for each pass, with the text that was read most often; or an object passed without one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from vedette.contracts.manifest import CodeRead
from vedette.contracts.plan import RulePlan
from vedette.core.rules.base import Event, Mark, RuleMachine, Scene, Sighting
from vedette.core.rules.clock import FORGET_S, SLACK_S
from vedette.core.rules.visits import polygon_array

#: An object unseen for so long has passed: what was read of it is all there will be, seconds of analysed time.
PASSED_S: Final = 1.5
#: An object that was seen in fewer pictures is not said to have no code: nobody had a chance to read it.
LEAST_LOOKS: Final = 3
#: Bounds of memory: objects on their way, texts of one object, texts remembered.
MAX_PASSES: Final = 512
MAX_TEXTS: Final = 8
MAX_REMEMBERED: Final = 1024
#: A text that is longer is matched by its beginning only: the pattern's time is bounded with it.
MATCHED: Final = 256


@dataclass(slots=True)
class Pass:
    """An object with a code on its way.

    Attributes:
        seen_s: analysed time of the last sighting.
        reads: text → how often it was read.
        mark: the picture in which the best text was last read, with the object; where unread ones are reported, the
            last one that shows it.
        reported: whether it was reported, or belongs to a pass that was.
        looks: pictures that show it where it counts.
    """

    seen_s: float
    reads: dict[str, int] = field(default_factory=dict)
    mark: Mark | None = None
    reported: bool = False
    looks: int = 0

    @property
    def best(self) -> str:
        """The text read most often; of equals the one read first."""
        return max(self.reads, key=lambda text: self.reads[text], default="")


class CodeReadMachine(RuleMachine):
    """Reports a pass in the picture in which one text has been read ``reads`` times, more often than any other.

    An object that has passed with fewer reads is reported then, as of its last read, where one text was read more often
    than any other. A text that was seen within ``again_s`` on the same camera belongs to the same pass: two readings
    of one parcel by two tracks are one alert.

    Where unread ones are asked for, it is the other way round: an object that has passed without any read is reported,
    as of the last picture that shows it. Of one that was there when pictures were missing, nothing is said.
    """

    def __init__(self, plan: RulePlan, rule: CodeRead) -> None:
        super().__init__(plan, rule)
        self._name = rule.attribute
        self._needed = rule.reads
        self._pattern = re.compile(rule.pattern) if rule.pattern is not None else None
        self._unread = rule.report == "unread"
        self._again_s = rule.again_s + SLACK_S
        self._zone = polygon_array(rule.zone)
        self._passes: dict[int, Pass] = {}
        self._texts: dict[str, float] = {}

    def _judge(self, scene: Scene) -> list[Event]:
        now_s = scene.tick.now_s
        events: list[Event] = []
        if self._unread and scene.tick.gap_s > 0:
            for known in self._passes.values():
                known.reported = True
        for sighting, found, inside in zip(scene.objects, scene.observed, scene.within(self._zone), strict=True):
            current = self._passes.pop(sighting.track_id, None) or Pass(now_s)
            current.seen_s = now_s
            self._passes[sighting.track_id] = current  # at the end: they stand in the order of their last sighting
            for text in [each.value for each in found if each.name == self._name and inside]:
                self._read(scene, current, sighting, text)
            if self._unread:
                current.looks += int(inside)
                if inside and not current.reads:
                    current.mark = scene.mark(sighting)
            elif current.reads.get(current.best, 0) >= self._needed:
                self._report(scene, current, events)
        self._tidy(scene, events)
        return events

    def _read(self, scene: Scene, current: Pass, sighting: Sighting, text: str) -> None:
        if self._pattern is not None and not self._pattern.fullmatch(text[:MATCHED]):
            return
        if text not in current.reads and len(current.reads) >= MAX_TEXTS:
            return
        current.reads[text] = current.reads.get(text, 0) + 1
        if text == current.best:
            told = tuple(pair for pair in sighting.attributes if pair[0] != self._name)
            read = Sighting(
                sighting.track_id, sighting.box, sighting.label, sighting.score, (*told, (self._name, text))
            )
            current.mark = scene.mark(read)
        if self._known(text, scene.tick.now_s):
            current.reported = current.reported or text == current.best
            self._remember(text, scene.tick.now_s)

    def _report(self, scene: Scene, current: Pass, events: list[Event]) -> None:
        """Report a pass whose text is clear; where none is, wait for more."""
        best, mark = current.best, current.mark
        others = [count for text, count in current.reads.items() if text != best]
        if current.reported or mark is None or current.reads[best] <= max(others, default=0):
            return
        current.reported = True
        if self._known(best, scene.tick.now_s):
            return
        self._remember(best, scene.tick.now_s)
        if self._armed_at(mark.moment):
            events.append(Event(mark.moment, mark.objects))

    def _miss(self, current: Pass, events: list[Event]) -> None:
        """Report a pass of which nothing was read."""
        mark = current.mark
        if current.reported or current.reads or mark is None or current.looks < LEAST_LOOKS:
            return
        current.reported = True
        if self._armed_at(mark.moment):
            events.append(Event(mark.moment, mark.objects))

    def _known(self, text: str, now_s: float) -> bool:
        seen_s = self._texts.get(text)
        return seen_s is not None and now_s - seen_s <= self._again_s

    def _remember(self, text: str, now_s: float) -> None:
        self._texts.pop(text, None)
        self._texts[text] = now_s
        while len(self._texts) > MAX_REMEMBERED:
            del self._texts[next(iter(self._texts))]

    def _tidy(self, scene: Scene, events: list[Event]) -> None:
        """Report what has passed with few reads, and forget it a while later."""
        now_s = scene.tick.now_s
        for current in self._passes.values():
            if now_s - current.seen_s < PASSED_S:
                break
            if self._unread:
                self._miss(current, events)
            elif not current.reported and current.reads:
                self._report(scene, current, events)
        while self._passes:
            oldest = next(iter(self._passes))
            if len(self._passes) <= MAX_PASSES and now_s - self._passes[oldest].seen_s <= FORGET_S:
                break
            del self._passes[oldest]

    def _forget(self) -> None:
        self._passes.clear()
        self._texts.clear()

    def _dump(self) -> Any:
        passes = [
            [
                number,
                each.seen_s,
                each.reads,
                None if each.mark is None else each.mark.dump(),
                each.reported,
                each.looks,
            ]
            for number, each in self._passes.items()
        ]
        return [passes, list(self._texts.items())]

    def _load(self, state: Any) -> None:
        passes, texts = state
        self._passes = {
            int(number): Pass(
                float(seen_s),
                {str(text): int(count) for text, count in reads.items()},
                None if mark is None else Mark.load(mark),
                bool(reported),
                int(looks),
            )
            for number, seen_s, reads, mark, reported, looks in passes
        }
        self._texts = {str(text): float(seen_s) for text, seen_s in texts}
