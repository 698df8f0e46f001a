"""What all insight machines share: what they watch, analysed time, whose figures are withheld."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Final

from vedette.contracts.insight import InsightValues
from vedette.contracts.manifest import InsightBase
from vedette.contracts.tracks import TrackBatch
from vedette.core.rules.clock import Tick
from vedette.core.rules.scene import Scene
from vedette.core.rules.selection import Selection
from vedette.core.rules.watcher import Watcher

#: Different objects told apart within one interval; beyond, they are many.
MAX_PEOPLE: Final = 1024


class InsightMachine(ABC):
    """Sums up one insight on one camera over the interval going on. No clock: it is told how time passes.

    What a picture shows holds until the next one: ``hold`` passes the analysed time in between, ``see`` takes the
    next picture in, ``close`` ends an interval. Figures of an interval start from nothing; who is in a zone, and since
    when, goes on.
    """

    def __init__(self, insight: InsightBase) -> None:
        self._min_people = insight.min_people
        self._watcher = Watcher(insight.anchor, Selection(insight.labels, insight.min_confidence, insight.where))
        self._analysed_s = 0.0

    def hold(self, seconds: float) -> None:
        """Analysed time passes, everything is as in the last picture."""
        if seconds > 0.0:
            self._analysed_s += seconds
            self._hold(seconds)

    def see(self, batch: TrackBatch, tick: Tick) -> None:
        """The next picture."""
        if tick.broken:
            self._forget()
        self._see(self._watcher.look(batch, tick))

    def close(self) -> InsightValues:
        """The figures of the interval, which ends."""
        values = self._close(round(self._analysed_s, 3))
        self._analysed_s = 0.0
        return values

    def state(self) -> dict[str, Any]:
        """All that the future depends on, as small JSON."""
        return {"analysed_s": self._analysed_s, "selection": self._watcher.state(), "own": self._dump()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from ``state()`` of a machine of the same insight.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is not such a state; start a fresh machine then.
        """
        self._analysed_s = float(state["analysed_s"])
        self._watcher.restore(state["selection"])
        self._load(state["own"])

    def _too_few(self, people: int) -> bool:
        """Whether figures about so many objects are withheld; about none they tell nothing of anybody."""
        return 0 < people < self._min_people

    @abstractmethod
    def _hold(self, seconds: float) -> None: ...

    @abstractmethod
    def _see(self, scene: Scene) -> None: ...

    @abstractmethod
    def _close(self, analysed_s: float) -> InsightValues: ...

    @abstractmethod
    def _forget(self) -> None:
        """What was known of the scene means nothing any more; the interval's figures stay."""

    @abstractmethod
    def _dump(self) -> Any: ...

    @abstractmethod
    def _load(self, state: Any) -> None: ...


class People:
    """The different objects that an interval's figures are about. For counting them, never for telling of them."""

    def __init__(self) -> None:
        self._numbers: set[int] = set()

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, numbers: Iterable[int]) -> None:
        """Objects seen."""
        for number in numbers:
            if len(self._numbers) >= MAX_PEOPLE:
                return
            self._numbers.add(number)

    def clear(self) -> None:
        """A new interval begins."""
        self._numbers.clear()

    def dump(self) -> list[int]:
        """Small JSON."""
        return sorted(self._numbers)

    def load(self, state: list[Any]) -> None:
        """Go on from ``dump()``."""
        self._numbers = {int(number) for number in state}
