"""What the rules about visits to one zone have in common: their book, and how it is kept."""

from __future__ import annotations

from typing import Any

from vedette.contracts.manifest import Dwell, ZoneEntered, ZoneLeft
from vedette.contracts.plan import RulePlan
from vedette.core.rules.base import RuleMachine
from vedette.core.rules.visits import VisitBook, polygon_array


class VisitRule(RuleMachine):
    """A rule whose whole state is who is on a visit.

    Args:
        plan: the rule on one camera.
        rule: the same rule, as its own type.
        grace_s: an object outside for less than this is still on its visit.
    """

    def __init__(self, plan: RulePlan, rule: Dwell | ZoneEntered | ZoneLeft, grace_s: float) -> None:
        super().__init__(plan, rule)
        self._zone = polygon_array(rule.zone)
        self._book = VisitBook(grace_s)

    def _forget(self) -> None:
        self._book.visits.clear()

    def _dump(self) -> Any:
        return self._book.dump()

    def _load(self, state: Any) -> None:
        self._book.load(state)
