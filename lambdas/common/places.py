"""Sites and fleets of devices, from the table of devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from lambdas.common.requests import asking, chunks
from vedette.contracts.errors import CloudError
from vedette.core.fleet.archive import UNKNOWN, Place

#: A device that is moved to another site is known there after so long.
KEPT_S: Final = 60.0
#: Devices that are remembered; a container that has seen more begins anew.
KEPT: Final = 10_000
_MAX_KEYS: Final = 100
_ROUNDS: Final = 5


class Places:
    """Looks devices up, and remembers them for a minute.

    Args:
        client: of DynamoDB.
        table: of devices.
        monotonic: clock, seconds.
    """

    def __init__(self, client: Any, table: str, monotonic: Callable[[], float]) -> None:
        self._client = client
        self._table = table
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, Place]] = {}

    def of(self, things: Iterable[str]) -> dict[str, Place]:
        """Where each device belongs; a device that nobody registered is at the site ``unknown``.

        Raises:
            CloudError: V003, the table cannot be read now.
        """
        wanted, now_s = sorted(set(things)), self._monotonic()
        fresh = {thing for thing in wanted if thing in self._known and self._known[thing][0] > now_s}
        missing = [thing for thing in wanted if thing not in fresh]
        if len(self._known) + len(missing) > KEPT:
            self._known = {thing: self._known[thing] for thing in fresh}
        for part in chunks(missing, _MAX_KEYS):
            found = self._read(part)
            self._known |= {thing: (now_s + KEPT_S, found.get(thing, Place())) for thing in part}
        return {thing: self._known[thing][1] for thing in wanted}

    def _read(self, things: list[str]) -> dict[str, Place]:
        request: dict[str, Any] = {
            self._table: {
                "Keys": [{"thing": {"S": thing}} for thing in things],
                "ProjectionExpression": "#thing, #site, #fleet",
                "ExpressionAttributeNames": {"#thing": "thing", "#site": "site", "#fleet": "fleet"},
            }
        }
        found: dict[str, Place] = {}
        for _ in range(_ROUNDS):
            with asking("the table of devices"):
                read = self._client.batch_get_item(RequestItems=request)
            for item in read["Responses"].get(self._table, []):
                found[item["thing"]["S"]] = Place(
                    item.get("site", {}).get("S", UNKNOWN), item.get("fleet", {}).get("S", UNKNOWN)
                )
            request = read.get("UnprocessedKeys") or {}
            if not request:
                return found
        raise CloudError("the table of devices is throttled.", retryable=True)
