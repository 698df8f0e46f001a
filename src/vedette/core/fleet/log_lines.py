"""Lines of a device's logs: each once, in their order, in memory that has an end. Pure."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from vedette.contracts.errors import UsageError
from vedette.contracts.logs import JOURNAL, SYSTEM
from vedette.contracts.versions import APPLICATION_PREFIX

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
#: Farthest back that a command looks, seconds: each day is a stream that has to be asked for.
LONGEST_S: Final = 30 * 86_400
#: Ids remembered at most. A window holds some thousand; a flood beyond this may show a line twice.
_REMEMBERED: Final = 200_000


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One line.

    Attributes:
        at_ms: when it was written, milliseconds since 1970.
        component: whose.
        event_id: of CloudWatch Logs.
        text: of it.
    """

    at_ms: int
    component: str
    event_id: str
    text: str


class Unseen:
    """Lets each line through once. Lines come again because every look goes back a little, for those that are late."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, int] = OrderedDict()

    def of(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Those that were not let through before."""
        for line in lines:
            if line.event_id not in self._ids:
                self._ids[line.event_id] = line.at_ms
                if len(self._ids) > _REMEMBERED:
                    self._ids.popitem(last=False)
                yield line

    def forget_before(self, at_ms: int) -> None:
        """Lines from before come no more."""
        for event_id in [name for name, at in self._ids.items() if at < at_ms]:
            del self._ids[event_id]

    def __len__(self) -> int:
        return len(self._ids)


def seconds_of(text: str) -> int:
    """A time such as ``90s``, ``10m``, ``2h``, ``7d``, in seconds.

    Raises:
        UsageError: V701, it is none, or longer than logs are asked for.
    """
    found = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST_S:
        raise UsageError(
            f"--since {text!r} is no time up to {LONGEST_S // 86_400}d.", hint="Such as 90s, 10m, 2h or 7d."
        )
    return seconds


def days(since_ms: int, until_ms: int) -> list[date]:
    """Days (UTC) in whose streams lines of a time may be: from the day before, because a clock may be off."""
    first = datetime.fromtimestamp(since_ms / 1000, UTC).date() - timedelta(days=1)
    last = datetime.fromtimestamp(until_ms / 1000, UTC).date()
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def named(component: str, known: Iterable[str]) -> list[str]:
    """Components that are meant by a name: the whole, without ``vedette.``, or an application's own.

    Upper and lower case are the same. Empty where none is meant.
    """
    wanted = component.lower()
    names = list(known)
    for spelled in (wanted, f"vedette.{wanted}", f"{APPLICATION_PREFIX}{wanted}"):
        found = [name for name in names if name.lower() == spelled]
        if found:
            return found
    return []


def about(line: Line, component: str | None) -> bool:
    """Whether a line of the journal, in which all components are, is of a component."""
    if component is None or line.component != JOURNAL or component in (JOURNAL, SYSTEM):
        return True
    return component.lower() in line.text.lower()
