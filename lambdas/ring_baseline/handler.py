"""Gives every ring that never had one its first deployment, so that a new device finds one. Others are left alone."""

from __future__ import annotations

from typing import Any

from lambdas.common.fleet_view import StoredRing
from lambdas.common.ring_change import settle
from lambdas.common.rollout_store import Store
from lambdas.common.runtime import logger, settings
from vedette.contracts.functions import BaselineSettings, fleets_of
from vedette.contracts.rollout import ComponentChange

#: Stands for a rollout in what is recorded and in the token that makes repeated deployments one.
_WHO = "baseline"


def handle(_event: Any, _context: Any) -> dict[str, list[str]]:
    """Look at every ring; the event says only that it is time to.

    Returns:
        ``given``: rings that got their first deployment.

    Raises:
        CloudError: V003, retryable, others are changing the same ring.
    """
    chosen = settings(BaselineSettings)
    store = Store(chosen)
    change = ComponentChange(to=dict(store.baseline()))
    fleets = fleets_of(chosen.fleets)
    given = []
    for fleet, rings in fleets.items():
        for name in rings:
            ring = StoredRing(store, chosen, fleet, name, _WHO)
            state = ring.newest()
            # Version 1 is this function's own; it may have broken off before it deployed it.
            if state.version == 0 or (state.version == 1 and not state.applications):
                settle(ring, change, watched=False)
                given.append(f"{fleet}/{name}")
    logger("ring_baseline").info("rings looked at", extra={"given": given})
    return {"given": given}
