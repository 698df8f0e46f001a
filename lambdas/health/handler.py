"""Devices' messages about themselves, from the rule ``vedette_health``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final

from aws_lambda_powertools import Logger
from pydantic import ValidationError

from lambdas.common.batch import Record, each, from_device
from lambdas.common.events import send_event
from lambdas.common.runtime import client, logger, settings
from lambdas.common.states import DeviceStates, conditions_of, whose
from vedette.contracts.device_health import DeviceHealth
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import DeviceStateSettings
from vedette.core.fleet.device_state import conditions

DETAIL_TYPE: Final = "DeviceState"
#: Of two that write about the same device at the same time one is refused and looks again.
ATTEMPTS: Final = 5


def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """One batch; the answer names the messages that have to be delivered again."""
    return book().work(event)


@cache
def book() -> HealthBook:
    """What does the work, made once per process."""
    told = settings(DeviceStateSettings)
    tell = partial(send_event, client("events"), told.event_bus, DETAIL_TYPE)
    return HealthBook(DeviceStates(client("dynamodb"), told.devices_table), tell, logger("health"))


class HealthBook:
    """Keeps the newest message of each device, and tells when what is wrong with it changes.

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
        return each(event, lambda record: self._note(read(record), record.sent_ms), self._log)

    def _note(self, health: DeviceHealth, received_ms: int) -> None:
        # A clock that is ahead must not keep out the messages that come once it is right again.
        at_ms = min(round(health.time.timestamp() * 1000), received_ms)
        for _ in range(ATTEMPTS):
            item = self._states.read(health.device)
            if item is None:
                self._log.warning("a device that nobody registered told how it is", thing=health.device)
                return
            if "health_ms" in item and int(item["health_ms"]["N"]) >= at_ms:
                return
            before, after = conditions_of(item), conditions(health)
            if before != after or "health_ms" not in item:
                self._tell(
                    {
                        **whose(item),
                        "version": health.version,
                        "conditions": list(after),
                        "before": list(before),
                        "time": health.time.isoformat(),
                    }
                )
            values = {
                "health_ms": {"N": str(at_ms)},
                "last_seen_ms": {"N": str(received_ms)},
                "version": {"S": health.version},
                "conditions": {"S": ",".join(after)},
                "cameras_down": {"N": str(health.cameras_down)},
                "health": {"S": health.model_dump_json(exclude_none=True)},
            }
            if self._states.write(item, values, unchanged="health_ms"):
                return
        raise CloudError(f"the item of {health.device} is being written by too many at once.", retryable=True)


def read(record: Record) -> DeviceHealth:
    """One message.

    Raises:
        CloudError: V011, it is none, or about another device than the one that sent it.
    """
    thing, document = from_device(record)
    try:
        health = DeviceHealth.model_validate(document)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"]) or "the message"
        raise CloudError(f"{thing} told its state in no known form: {where}: {wrong['msg']}.", code="V011") from None
    if health.device != thing:
        raise CloudError(f"{thing} told the state of the device {health.device!r}.", code="V011")
    return health
