"""Someone who is told of alerts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from vedette.contracts.errors import DeliveryError
from vedette.ports.outbox import OutboxRow


class ReceiverBusyError(DeliveryError):
    """The receiver asks for a pause.

    Attributes:
        retry_after_s: how long it asks for.
    """

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message, code="V502")
        self.retry_after_s = retry_after_s


class NotYetError(DeliveryError):
    """Nothing failed: the receiver wants to see later what else has come until then.

    Attributes:
        again_s: how much later.
    """

    def __init__(self, message: str, *, again_s: float) -> None:
        super().__init__(message, code="V502")
        self.again_s = again_s


class AwayError(DeliveryError):
    """There is no connection, and one was waited for: another pause before the next attempt would only be lost."""


class Action(Protocol):
    """One receiver. Called from one thread."""

    #: How many rows may be handed over at once.
    batch: int
    #: Whether a batch takes no longer than one row, so that there is no reason to keep it short.
    together: bool

    def deliver(self, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]) -> None:
        """Hand rows over in their order, calling ``done`` for each as soon as the receiver has it for good.

        The first row for which ``done`` was not called is the one an error is about; it and all after it are handed
        over again unless the error says that this one never can be.

        Raises:
            DeliveryError: with ``retryable`` False where the receiver refuses this very row for good;
                ``ReceiverBusyError`` where it says when to come again.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections; idempotent."""
        ...
