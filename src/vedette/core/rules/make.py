"""The machine of each type of rule."""

from __future__ import annotations

from vedette.contracts import manifest
from vedette.contracts.plan import RulePlan
from vedette.core.rules.base import RuleMachine
from vedette.core.rules.code_read import CodeReadMachine
from vedette.core.rules.count import CountMachine
from vedette.core.rules.count_changed import CountChangedMachine
from vedette.core.rules.dwell import DwellMachine
from vedette.core.rules.line_crossed import LineCrossedMachine
from vedette.core.rules.nothing_seen import NothingSeenMachine
from vedette.core.rules.proximity import ProximityMachine
from vedette.core.rules.zone_entered import ZoneEnteredMachine
from vedette.core.rules.zone_left import ZoneLeftMachine
from vedette.core.rules.zone_occupied import ZoneOccupiedMachine


def make_machine(plan: RulePlan) -> RuleMachine:
    """The machine that judges this rule, in its initial state."""
    match plan.rule:
        case manifest.LineCrossed():
            return LineCrossedMachine(plan, plan.rule)
        case manifest.ZoneEntered():
            return ZoneEnteredMachine(plan, plan.rule)
        case manifest.ZoneLeft():
            return ZoneLeftMachine(plan, plan.rule)
        case manifest.ZoneOccupied():
            return ZoneOccupiedMachine(plan, plan.rule)
        case manifest.Dwell():
            return DwellMachine(plan, plan.rule)
        case manifest.Count():
            return CountMachine(plan, plan.rule)
        case manifest.CountChanged():
            return CountChangedMachine(plan, plan.rule)
        case manifest.NothingSeen():
            return NothingSeenMachine(plan, plan.rule)
        case manifest.Proximity():
            return ProximityMachine(plan, plan.rule)
        case manifest.CodeRead():
            return CodeReadMachine(plan, plan.rule)
