"""The machine of each type of insight."""

from __future__ import annotations

from vedette.contracts import manifest
from vedette.core.insights.base import InsightMachine
from vedette.core.insights.crossings import CrossingsMachine
from vedette.core.insights.dwell import DwellTimesMachine
from vedette.core.insights.heat_map import HeatMapMachine
from vedette.core.insights.occupancy import OccupancyMachine
from vedette.core.insights.queue import QueueMachine


def make_machine(insight: manifest.Insight) -> InsightMachine:
    """The machine that sums up this insight, in its initial state."""
    match insight:
        case manifest.Crossings():
            return CrossingsMachine(insight)
        case manifest.Occupancy():
            return OccupancyMachine(insight)
        case manifest.Queue():
            return QueueMachine(insight)
        case manifest.DwellTimes():
            return DwellTimesMachine(insight)
        case manifest.HeatMap():
            return HeatMapMachine(insight)
