"""Devices' messages about themselves, from the rule ``vedette_health``."""

from __future__ import annotations

from functools import cache
from typing import Any

from lambdas.common.batch import Record, from_device, parsed
from lambdas.common.device_book import DeviceBook
from lambdas.common.states import Item, conditions_of, whose
from vedette.contracts.device_health import DeviceHealth
from vedette.contracts.errors import CloudError
from vedette.core.fleet.device_state import conditions


def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """One batch; the answer names the messages that have to be delivered again."""
    return book().work(event)


@cache
def book() -> HealthBook:
    """What does the work, made once per process."""
    return HealthBook.made()


class HealthBook(DeviceBook):
    """Keeps the newest message of each device, and tells when what is wrong with it changes."""

    service = "health"
    detail_type = "DeviceState"

    def _note(self, record: Record) -> None:
        health = read(record)
        # A clock that is ahead must not keep out the messages that come once it is right again.
        at_ms = min(round(health.time.timestamp() * 1000), record.sent_ms)

        def change(item: Item) -> dict[str, dict[str, Any]] | None:
            if "health_ms" in item and int(item["health_ms"]["N"]) >= at_ms:
                return None
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
            return {
                "health_ms": {"N": str(at_ms)},
                "last_seen_ms": {"N": str(record.sent_ms)},
                "version": {"S": health.version},
                "conditions": {"S": ",".join(after)},
                "cameras_down": {"N": str(health.cameras_down)},
                "health": {"S": health.model_dump_json(exclude_none=True)},
            }

        if not self._settle(health.device, "health_ms", change):
            self._log.warning("a device that nobody registered told how it is", thing=health.device)


def read(record: Record) -> DeviceHealth:
    """One message.

    Raises:
        CloudError: V011, it is none, or about another device than the one that sent it.
    """
    thing, document = from_device(record)
    health = parsed(document, DeviceHealth, f"{thing} told its state in no known form")
    if health.device != thing:
        raise CloudError(f"{thing} told the state of the device {health.device!r}.", code="V011")
    return health
