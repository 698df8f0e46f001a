"""What waits for each receiver, and how its deliveries fare, for the report of the component's health."""

from __future__ import annotations

from collections.abc import Mapping

from vedette.contracts.health import ReceiverHealth
from vedette.pipeline.deliver import DeliveryHealth
from vedette.ports.outbox import OutboxHealth


def receivers_health(
    outbox: OutboxHealth, told: Mapping[str, DeliveryHealth], now_s: float
) -> dict[str, ReceiverHealth]:
    """How each receiver fares.

    Args:
        outbox: what waits for whom.
        told: what those that deliver say.
        now_s: Unix time.
    """
    found = {}
    for name in sorted({*outbox.channels, *told}):
        queue, health = (
            outbox.channels.get(name),
            told.get(name, DeliveryHealth(0, 0, "no application has this action")),
        )
        oldest_s = queue.oldest_wall_s if queue is not None and queue.pending else None
        found[name] = ReceiverHealth(
            pending=queue.pending if queue is not None else 0,
            oldest_age_s=None if oldest_s is None else round(max(0.0, now_s - oldest_s), 1),
            delivered=health.delivered,
            failures=health.failures,
            problem=health.problem[:400],
        )
    return found
