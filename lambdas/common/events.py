"""Events on the account's own bus."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lambdas.common.requests import MAX_ENTRIES, asking, chunks
from vedette.contracts.account import EVENT_SOURCE
from vedette.contracts.errors import CloudError


def send_events(client: Any, bus: str, detail_type: str, details: Sequence[dict[str, Any]]) -> list[bool]:
    """Send an event for each detail; whether the bus took it, in the same order.

    Raises:
        CloudError: V003, the bus refused a whole request.
    """
    taken: list[bool] = []
    for part in chunks(details, MAX_ENTRIES):
        entries = [
            {
                "Source": EVENT_SOURCE,
                "DetailType": detail_type,
                "Detail": json.dumps(detail, separators=(",", ":")),
                "EventBusName": bus,
            }
            for detail in part
        ]
        with asking(f"events {detail_type!r} on the bus {bus}"):
            results = client.put_events(Entries=entries)["Entries"]
        taken += ["EventId" in result for result in results]
    return taken


def send_event(client: Any, bus: str, detail_type: str, detail: dict[str, Any]) -> None:
    """Send one event.

    Raises:
        CloudError: V003, the bus did not take it.
    """
    if not all(send_events(client, bus, detail_type, [detail])):
        raise CloudError(f"the bus {bus} refused an event {detail_type!r}.", retryable=True)
