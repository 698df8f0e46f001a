"""Beginnings and ends of devices' connections, from AWS IoT's life-cycle events."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lambdas.common.batch import Record
from lambdas.common.device_book import DeviceBook
from lambdas.common.states import Item, presence_of, whose
from vedette.contracts.errors import CloudError
from vedette.core.fleet.presence import Presence


class LifecycleEvent(BaseModel):
    """What AWS IoT publishes on ``$aws/events/presence/…``, as far as it is of interest; AWS may add to it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    client: Annotated[str, Field(alias="clientId")]
    at_ms: Annotated[int, Field(alias="timestamp", ge=0)]
    kind: Annotated[Literal["connected", "disconnected"], Field(alias="eventType")]
    version: Annotated[int, Field(alias="versionNumber", ge=0)]
    reason: Annotated[str, Field(alias="disconnectReason")] = ""


def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """One batch; the answer names the messages that have to be delivered again."""
    return book().work(event)


@cache
def book() -> PresenceBook:
    """What does the work, made once per process."""
    return PresenceBook.made()


class PresenceBook(DeviceBook):
    """Keeps whether each device is connected, and tells when that changes."""

    service = "presence"
    detail_type = "DevicePresence"

    def _note(self, record: Record) -> None:
        event = read(record)
        now = Presence(event.kind == "connected", event.version, event.at_ms)

        def change(item: Item) -> dict[str, dict[str, Any]] | None:
            before = presence_of(item)
            if before is not None and not now.later_than(before):
                return None
            if before is None or before.connected != now.connected:
                self._tell({**whose(item), "connected": now.connected, "reason": event.reason, "at_ms": now.at_ms})
            return {
                "connected": {"BOOL": now.connected},
                "connection_version": {"N": str(now.version)},
                "connection_ms": {"N": str(now.at_ms)},
            }

        # Clients that are no device (consoles, further connections of a nucleus) have no item and are left out.
        self._settle(event.client, "connection_ms", change)


def read(record: Record) -> LifecycleEvent:
    """One event.

    Raises:
        CloudError: V011, it has another form.
    """
    try:
        return LifecycleEvent.model_validate(json.loads(record.body))
    except (ValidationError, ValueError, RecursionError) as error:
        raise CloudError(f"a life-cycle event has another form than expected: {error}", code="V011") from None
