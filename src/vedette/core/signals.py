"""When a signal is given and when it goes back to rest, as a state machine that is told the time.

Signals wait ordered by the moment at which they are due. A pulse that is due while another lasts either keeps the line
on for longer (until a whole pulse after the last one was given), or, with ``again``, has the line at rest for at least
``gap_s`` before it, for which the pulse before it ends early, though not before it lasted ``gap_s`` itself. So none is
ever swallowed. A line of which nobody knows whether it is on (the answer was lost) counts as on.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """What the manifest says of a signal's times.

    Attributes:
        after_s: so long after the picture; None: as soon as possible, however late.
        late_s: with ``after_s``, how much later it may be given.
        pulse_s: back to rest so long after it was given; None: never.
        again: whether a pulse during another is an edge of its own.
        gap_s: with ``again``, least time at rest in between, and on.
    """

    after_s: float | None = None
    late_s: float = 0.25
    pulse_s: float | None = None
    again: bool = False
    gap_s: float = 0.02


@dataclass(frozen=True, slots=True)
class Give:
    """Give this signal now."""

    key: int
    due_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The moment of this signal has passed by ``late_by_s``: it is not given, and is no longer in the queue."""

    key: int
    late_by_s: float


@dataclass(frozen=True, slots=True)
class Rest:
    """Put the line at rest now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """There is nothing to do until then, unless something is added; ``inf`` where nothing waits."""

    until_s: float


Step = Give | GiveUp | Rest | Wait


class SignalQueue:
    """The signals of one line. All times are seconds of one monotonic clock. Memory: what was added and not given.

    Args:
        timing: what the manifest says.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._waiting: list[tuple[float, int]] = []
        self._giving = (math.inf, 0)  # the signal of the last ``Give``; another may be first by the time it was given
        self._end_s: float | None = None  # when the pulse under way ends; None where the line is at rest, or stays on
        self._begun_s = -math.inf  # when that pulse began
        self._rested_s = -math.inf
        self._give_hold_s = -math.inf
        self._rest_hold_s = -math.inf

    def __len__(self) -> int:
        """Signals that wait."""
        return len(self._waiting)

    @property
    def pulse_end_s(self) -> float | None:
        """When the pulse under way ends; None where there is none."""
        return self._end_s

    @property
    def next_due_s(self) -> float:
        """Moment of the first signal that waits; ``inf`` where none does."""
        return self._waiting[0][0] if self._waiting else math.inf

    def add(self, key: int, due_s: float) -> None:
        """A signal waits for its moment; of two with the same moment the lower key goes first."""
        heapq.heappush(self._waiting, (due_s, key))

    def next(self, now_s: float) -> Step:
        """What to do now. Ask again after it was done and said, or after something was added."""
        if self._waiting and self._timing.after_s is not None and now_s - self.next_due_s > self._timing.late_s:
            due_s, key = heapq.heappop(self._waiting)
            return GiveUp(key, now_s - due_s)
        give_s, rest_s = self._give_at_s(), self._rest_at_s()
        if now_s >= give_s:
            due_s, key = self._giving = self._waiting[0]
            return Give(key, due_s)
        if now_s >= rest_s:
            return Rest()
        too_late_s = math.inf
        if self._timing.after_s is not None:
            # The next float above the limit: waiting until the limit itself would find it not passed yet.
            too_late_s = math.nextafter(self.next_due_s + self._timing.late_s, math.inf)
        return Wait(min(give_s, rest_s, max(too_late_s, math.nextafter(now_s, math.inf))))

    def given(self, now_s: float) -> None:
        """The signal of the last ``Give`` was given; the pulse counts from now."""
        self._take_out()
        self._give_hold_s = -math.inf
        self._begin_pulse(now_s)

    def refused(self, now_s: float, *, in_doubt: bool) -> None:
        """The signal of the last ``Give`` never can be given; ``in_doubt``: the line may be on all the same."""
        self._take_out()
        self._give_hold_s = -math.inf
        if in_doubt:
            self._begin_pulse(now_s)

    def not_given(self, now_s: float, pause_s: float, *, in_doubt: bool) -> None:
        """The first signal that waits cannot be given now, nor those behind it.

        Args:
            now_s: the time.
            pause_s: it is tried again after so long.
            in_doubt: whether the line may be on all the same.
        """
        self._give_hold_s = now_s + pause_s
        if in_doubt:
            self._begin_pulse(now_s)

    def rested(self, now_s: float) -> None:
        """The line is at rest."""
        self._end_s = None
        self._rested_s = now_s
        self._rest_hold_s = -math.inf

    def not_rested(self, now_s: float, pause_s: float) -> None:
        """The line could not be put at rest; tried again after ``pause_s``."""
        self._rest_hold_s = now_s + pause_s

    def _take_out(self) -> None:
        """The signal of the last ``Give`` waits no longer."""
        self._waiting.remove(self._giving)
        heapq.heapify(self._waiting)

    def _begin_pulse(self, now_s: float) -> None:
        if self._timing.pulse_s is not None:
            self._begun_s, self._end_s = now_s, now_s + self._timing.pulse_s

    def _give_at_s(self) -> float:
        if not self._waiting or (self._timing.again and self._end_s is not None):
            return math.inf
        earliest_s = self._rested_s + self._timing.gap_s if self._timing.again else -math.inf
        return max(self.next_due_s, earliest_s, self._give_hold_s)

    def _rest_at_s(self) -> float:
        if self._end_s is None:
            return math.inf
        end_s = self._end_s
        if self._timing.again:  # make room for the next one in time
            least_s = self._begun_s + self._timing.gap_s
            end_s = min(end_s, max(least_s, self.next_due_s - self._timing.gap_s))
        return max(end_s, self._rest_hold_s)
