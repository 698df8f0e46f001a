"""Time, so that tests can have their own."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two clocks: one that never jumps, one that people read."""

    def monotonic_s(self) -> float:
        """Seconds by the monotonic clock: every time-out, age and interval."""
        ...

    def wall_s(self) -> float:
        """Unix time: what is shown and stored."""
        ...
