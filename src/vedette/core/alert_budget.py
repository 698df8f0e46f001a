"""How many alerts a hook may raise: a bucket that fills with the time of what it handles, not with the clock.

Whoever handles the same batches again lets the same alerts through.
"""

from __future__ import annotations

from typing import Any, Final

#: Batches of several cameras come in no strict order; time that goes back by more is a clock that was put right.
OUT_OF_ORDER_S: Final = 60.0
#: As many alerts at once as the long-term rate gives in this many minutes.
BURST_MINUTES: Final = 2.0


class AlertBudget:
    """A bucket of alerts.

    Args:
        per_minute: alerts in the long run.
    """

    def __init__(self, per_minute: float) -> None:
        self._per_s = per_minute / 60.0
        self._most = max(1.0, per_minute * BURST_MINUTES)
        self._left = self._most
        self._last_s: float | None = None

    def admit(self, wall_s: float) -> bool:
        """Whether an alert of this time may go out; it is counted where it may. Time that goes back fills nothing."""
        if self._last_s is not None and wall_s < self._last_s - OUT_OF_ORDER_S:
            self._last_s = wall_s  # else nothing would be let through until the time of the wrong clock is reached
        if self._last_s is None or wall_s > self._last_s:
            if self._last_s is not None:
                self._left = min(self._most, self._left + self._per_s * (wall_s - self._last_s))
            self._last_s = wall_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def state(self) -> list[Any]:
        """Small JSON."""
        return [self._left, self._last_s]

    def restore(self, state: Any) -> None:
        """Go on from ``state()``; what cannot be read leaves a full bucket."""
        try:
            left, last_s = state
            self._left = min(self._most, max(0.0, float(left)))
            self._last_s = None if last_s is None else float(last_s)
        except (TypeError, ValueError):
            return
