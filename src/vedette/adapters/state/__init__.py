"""The state directory: who owns it, what is attached, what the plan is. Standard library and pydantic only."""

from __future__ import annotations

from vedette.adapters.state.client import (
    StateClient,
    attach,
    detach,
    detach_candidate,
    parameters,
    set_parameters,
    status,
)
from vedette.adapters.state.files import PlanFile, read_component_status, write_component_status
from vedette.adapters.state.latest import LatestInsights, read_latest_insights
from vedette.adapters.state.layout import StateLayout
from vedette.adapters.state.owner import StateOwner

__all__ = [
    "LatestInsights",
    "PlanFile",
    "StateClient",
    "StateLayout",
    "StateOwner",
    "attach",
    "detach",
    "detach_candidate",
    "parameters",
    "read_component_status",
    "read_latest_insights",
    "set_parameters",
    "status",
    "write_component_status",
]
