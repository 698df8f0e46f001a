"""Messages about devices, each of which changes its device's item."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Final, Self

from aws_lambda_powertools import Logger

from lambdas.common.batch import Record, each
from lambdas.common.events import send_event
from lambdas.common.runtime import client, logger, settings
from lambdas.common.states import DeviceStates, Item
from vedette.contracts.errors import CloudError
from vedette.contracts.functions import DeviceStateSettings

#: Of two that write about the same device at the same time one is refused and looks again.
ATTEMPTS: Final = 5


class DeviceBook(ABC):
    """Takes messages in, and tells when something about a device changes.

    The event goes out before the item is written: a failure in between repeats it, and none is lost.

    Args:
        states: the devices' items.
        tell: sends an event; raises CloudError.
        log: of the function.

    Attributes:
        service: name of the function in its logs.
        detail_type: of its events.
    """

    service: ClassVar[str]
    detail_type: ClassVar[str]

    def __init__(self, states: DeviceStates, tell: Callable[[dict[str, Any]], None], log: Logger) -> None:
        self._states = states
        self._tell = tell
        self._log = log

    @classmethod
    def made(cls) -> Self:
        """As the function's environment says."""
        told = settings(DeviceStateSettings)
        tell = partial(send_event, client("events"), told.event_bus, cls.detail_type)
        return cls(DeviceStates(client("dynamodb"), told.devices_table), tell, logger(cls.service))

    def work(self, event: dict[str, Any]) -> dict[str, Any]:
        """One call: which messages have to be delivered again.

        Raises:
            CloudError: V011, no call by a queue.
        """
        return each(event, self._note, self._log)

    @abstractmethod
    def _note(self, record: Record) -> None:
        """Take one message in.

        Raises:
            CloudError: it has to be delivered again.
        """

    def _settle(
        self, thing: str, unchanged: str, change: Callable[[Item], Mapping[str, Mapping[str, Any]] | None]
    ) -> bool:
        """Change a device's item: what ``change`` makes of it, again where somebody else was faster.

        Args:
            thing: whose item.
            unchanged: the attribute that nobody else may have written meanwhile.
            change: the values to set; None where nothing is to be done.

        Returns:
            Whether the device is registered.

        Raises:
            CloudError: V003, the table refused, or others were always faster.
        """
        for _ in range(ATTEMPTS):
            item = self._states.read(thing)
            if item is None:
                return False
            values = change(item)
            if values is None or self._states.write(item, values, unchanged=unchanged):
                return True
        raise CloudError(f"the item of {thing} is being written by too many at once.", retryable=True)
