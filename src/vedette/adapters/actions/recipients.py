"""Who of several recipients of one message has it, is still to get it, or never will."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from vedette.contracts.errors import DeliveryError
from vedette.ports.action import ReceiverBusyError

#: Where some have a message, the others are tried for so long: nobody's alerts wait for somebody else's mailbox.
DEFER_S: Final = 900.0


class Recipients:
    """Of the message under way, so that no recipient who has it gets it again while others are tried again.

    In memory: a process that is killed in between sends to all once more.

    Args:
        everybody: whom a message is for.
        what: the receiver, for messages.
    """

    def __init__(self, everybody: Sequence[str], what: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._everybody = tuple(everybody)
        self._what = what
        self._monotonic = monotonic
        self._message = ""
        self._since_s = 0.0
        self._have: set[str] = set()
        self._never: dict[str, str] = {}

    def missing(self, message: str) -> tuple[str, ...]:
        """Who is still to get a message; one that is another than the last is for everybody."""
        if message != self._message:
            self._message, self._since_s = message, self._monotonic()
            self._have, self._never = set(), {}
        return tuple(one for one in self._everybody if one not in self._have and one not in self._never)

    def have(self, names: Iterable[str]) -> None:
        """These have it."""
        self._have.update(names)

    def never(self, name: str, words: str) -> None:
        """This one never will; ``words`` name no recipient whose name is not to be shown."""
        self._never[name] = words

    @property
    def somebody(self) -> bool:
        """Whether anyone has it."""
        return bool(self._have)

    def settle(self, deferred: Sequence[str], pause_s: float) -> None:
        """Everyone was tried.

        Args:
            deferred: words about each who could not be reached now.
            pause_s: until they are tried again.

        Raises:
            ReceiverBusyError: some are to be tried again.
            DeliveryError: V504, some never will have it; the others do.
        """
        if deferred and not (self._have and self._monotonic() - self._since_s > DEFER_S):
            raise ReceiverBusyError(f"{self._what} {deferred[0]}; tried again.", retry_after_s=pause_s)
        given_up = [*self._never.values(), *deferred]
        self._message = ""
        if given_up:
            others = "the others have it" if self._have else "nobody has it"
            raise DeliveryError(
                f"{self._what} {'; '.join(given_up)[:600]} ({len(given_up)} of {len(self._everybody)}; {others}).",
                code="V504",
                retryable=False,
            )
