"""Beginnings and ends of devices' connections, from AWS IoT's life-cycle events."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from typing import Annotated, Any, Final, Literal

from aws_lambda_powertools import Logger
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lambdas.common.batch import Record, each
from lambdas.common.events import send_event
from lambdas.common.runtime import client, logger, settings
from lambdas.common.states import DeviceStates, presence_of, whose
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import DeviceStateSettings
from vedette.core.fleet.presence import Presence

DETAIL_TYPE: Final = "DevicePresence"
ATTEMPTS: Final = 5


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
    told = settings(DeviceStateSettings)
    tell = partial(send_event, client("events"), told.event_bus, DETAIL_TYPE)
    return PresenceBook(DeviceStates(client("dynamodb"), told.devices_table), tell, logger("presence"))


class PresenceBook:
    """Keeps whether each device is connected, and tells when that changes.

    The event goes out before the item is written: a failure in between repeats it, and none is lost.

    Args:
        states: the devices' items.
        tell: sends an event; raises CloudError.
        log: of the function.
    """

    def __init__(self, states: DeviceStates, tell: Callable[[dict[str, Any]], None], log: Logger) -> None:
        self._states = states
        self._tell = tell
        self._log = log

    def work(self, event: dict[str, Any]) -> dict[str, Any]:
        """One call: which messages have to be delivered again.

        Raises:
            CloudError: V011, no call by a queue.
        """
        return each(event, lambda record: self._note(read(record)), self._log)

    def _note(self, event: LifecycleEvent) -> None:
        """Take an event in. Clients that are no device (consoles, further connections of a nucleus) are left out."""
        now = Presence(event.kind == "connected", event.version, event.at_ms)
        for _ in range(ATTEMPTS):
            item = self._states.read(event.client)
            if item is None:
                return
            before = presence_of(item)
            if before is not None and not now.later_than(before):
                return
            if before is None or before.connected != now.connected:
                self._tell({**whose(item), "connected": now.connected, "reason": event.reason, "at_ms": now.at_ms})
            values: dict[str, dict[str, Any]] = {
                "connected": {"BOOL": now.connected},
                "connection_version": {"N": str(now.version)},
                "connection_ms": {"N": str(now.at_ms)},
            }
            if self._states.write(item, values, unchanged="connection_ms"):
                return
        raise CloudError(f"the item of {event.client} is being written by too many at once.", retryable=True)


def read(record: Record) -> LifecycleEvent:
    """One event.

    Raises:
        CloudError: V011, it has another form.
    """
    try:
        return LifecycleEvent.model_validate(json.loads(record.body))
    except (ValidationError, ValueError, RecursionError) as error:
        raise CloudError(f"a life-cycle event has another form than expected: {error}", code="V011") from None
