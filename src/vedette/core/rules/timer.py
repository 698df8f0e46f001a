"""A condition that must hold for a time, and is reported once each time it does."""

from __future__ import annotations

from typing import Any

from vedette.core.rules.clock import SLACK_S


class ConditionTimer:
    """Says when a condition has held long enough.

    A break shorter than ``hold_s`` does not interrupt it, and only a longer one lets it be reported again.

    Args:
        for_s: how long the condition must hold.
        hold_s: how long it must be broken to count as broken; 0: one picture is enough.
    """

    def __init__(self, for_s: float, hold_s: float) -> None:
        self._for_s = for_s - SLACK_S
        self._hold_s = hold_s - SLACK_S
        self._since_s: float | None = None
        self._broken_s: float | None = None
        self._reported = False

    def update(self, now_s: float, holds: bool) -> float | None:
        """Take in one picture.

        Returns:
            For how long the condition has held, where it is time to report it, else None. It stays due until
            ``report`` is called.
        """
        if not holds:
            if self._since_s is not None:
                if self._broken_s is None:
                    self._broken_s = now_s
                if now_s - self._broken_s >= self._hold_s:
                    self.forget()
            return None
        self._broken_s = None
        if self._since_s is None:
            self._since_s = now_s
        held_s = now_s - self._since_s
        return held_s if not self._reported and held_s >= self._for_s else None

    def report(self) -> None:
        """The condition has been reported: not again before it was broken."""
        self._reported = True

    def gap(self) -> None:
        """Something was not analysed: what was not reported yet starts anew, what was stays reported."""
        self._broken_s = None
        if not self._reported:
            self._since_s = None

    def forget(self) -> None:
        """Start fresh."""
        self._since_s = self._broken_s = None
        self._reported = False

    def dump(self) -> list[Any]:
        """Small JSON."""
        return [self._since_s, self._broken_s, self._reported]

    def load(self, state: list[Any]) -> None:
        """Go on from ``dump()``."""
        since_s, broken_s, reported = state
        self._since_s = None if since_s is None else float(since_s)
        self._broken_s = None if broken_s is None else float(broken_s)
        self._reported = bool(reported)
