"""Who of several recipients of a message has it, is still to get it, or never will."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from vedette.contracts.errors import DeliveryError
from vedette.ports.action import ReceiverBusyError

#: Where some have a message, the others are waited for until they have been away for so long; from then on each is
#: tried once for each message, so that nobody's alerts wait for somebody else's mailbox for longer than this.
DEFER_S: Final = 900.0
#: Messages remembered of which some recipients have not heard yet. A queue has two at a time under way: the first of
#: those that wait, and the first of those that are fresh.
REMEMBERED: Final = 256


@dataclass(slots=True)
class _Message:
    """Who has one, who never will and why, and who could not be reached at the last try."""

    have: set[str] = field(default_factory=set)
    never: dict[str, str] = field(default_factory=dict)
    away: dict[str, str] = field(default_factory=dict)


class Recipients:
    """Of the messages under way, so that no recipient who has one gets it again while others are tried again.

    In memory: a process that is killed in between sends to all once more.

    Args:
        everybody: whom a message is for.
        what: the receiver, for messages.
    """

    def __init__(self, everybody: Sequence[str], what: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._everybody = tuple(everybody)
        self._what = what
        self._monotonic = monotonic
        self._messages: OrderedDict[str, _Message] = OrderedDict()
        self._name, self._message = "", _Message()
        self._away_since_s: dict[str, float] = {}

    def missing(self, message: str) -> tuple[str, ...]:
        """Who is still to get a message, which is the one under way from now on."""
        self._name, self._message = message, self._messages.setdefault(message, _Message())
        self._messages.move_to_end(message)
        while len(self._messages) > REMEMBERED:
            self._messages.popitem(last=False)
        self._message.away.clear()
        return tuple(one for one in self._everybody if one not in self._message.have | self._message.never.keys())

    def have(self, names: Iterable[str]) -> None:
        """These have it."""
        for name in names:
            self._message.have.add(name)
            self._away_since_s.pop(name, None)

    def never(self, name: str, words: str) -> None:
        """This one never will; ``words`` name no recipient whose name is not to be shown."""
        self._message.never[name] = words

    def away(self, name: str, words: str) -> None:
        """This one could not be reached now."""
        self._message.away[name] = words
        self._away_since_s.setdefault(name, self._monotonic())

    @property
    def somebody(self) -> bool:
        """Whether anyone has it."""
        return bool(self._message.have)

    def settle(self, pause_s: float) -> None:
        """Everyone was tried.

        Args:
            pause_s: until those who were away are tried again.

        Raises:
            ReceiverBusyError: some are to be tried again.
            DeliveryError: V504, some never will have it; the others do.
        """
        message, now_s = self._message, self._monotonic()
        for name, words in message.away.items():
            if not message.have or now_s - self._away_since_s[name] <= DEFER_S:
                raise ReceiverBusyError(f"{self._what} {words}; tried again.", retry_after_s=pause_s)
        self._messages.pop(self._name, None)
        given_up = [*message.never.values(), *message.away.values()]
        if given_up:
            others = "the others have it" if message.have else "nobody has it"
            raise DeliveryError(
                f"{self._what} {'; '.join(given_up)[:600]} ({len(given_up)} of {len(self._everybody)}; {others}).",
                code="V504",
                retryable=False,
            )
