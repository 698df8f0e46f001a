"""Which sequence numbers of an outbox epoch are safe, and what may be acknowledged of them.

A device deletes what is acknowledged, so the answer is never beyond the first number that is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

#: Ranges that are remembered beyond the first gap. A device has at most 250 messages on their way, so it never comes
#: to so many unless messages were lost on purpose.
MAX_RANGES: Final = 256


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """Sequence numbers ``first`` to ``last``, both included, from 1.

    Raises:
        ValueError: there is no such range.
    """

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last:
            raise ValueError(f"no range of sequence numbers: {self.first} to {self.last}")


@dataclass(frozen=True, slots=True)
class Progress:
    """What of one epoch is safe.

    Attributes:
        through: every number from 1 to this one; 0 where 1 is missing.
        beyond: what else, ascending; between any two, and between ``through`` and the first, at least one is missing.
    """

    through: int = 0
    beyond: tuple[Range, ...] = ()

    def extended(self, ranges: Iterable[Range], *, limit: int = MAX_RANGES) -> Progress:
        """With more numbers.

        Beyond ``limit`` ranges the highest are forgotten. That is safe: what is not recorded is not acknowledged, so
        the device keeps it and sends it again; the ledger has its row already and only the number is recorded then.
        The lowest are kept because they are the next that the sequence can join.
        """
        known = (Range(1, self.through),) if self.through else ()
        whole = merged((*known, *self.beyond, *ranges))
        if whole and whole[0].first == 1:
            return Progress(whole[0].last, whole[1 : limit + 1])
        return Progress(0, whole[:limit])

    def text(self) -> str:
        """``beyond`` as it is stored, such as ``5-9,12-12``."""
        return ",".join(f"{one.first}-{one.last}" for one in self.beyond)

    @classmethod
    def stored(cls, through: int, text: str) -> Self:
        """The inverse of ``text``.

        Raises:
            ValueError: the text is none of it.
        """
        ends = [part.partition("-") for part in text.split(",") if part]
        return cls(through, tuple(Range(int(first), int(last)) for first, _, last in ends))


def merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same numbers in as few ranges as possible, ascending."""
    found: list[Range] = []
    for one in sorted(ranges):
        if found and one.first <= found[-1].last + 1:
            found[-1] = Range(found[-1].first, max(found[-1].last, one.last))
        else:
            found.append(one)
    return tuple(found)
