"""Which of two life-cycle events of a connection is the later one.

AWS IoT numbers a client's connections upwards, gives both ends of a connection the same number, and begins at 0 again
for a client that was away for about an hour (developer guide, "Lifecycle events"). Events may arrive in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Events further apart than this are told apart by their time, as the numbers may have begun anew in between.
RESET_MS: Final = 30 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Presence:
    """A device's connection began or ended.

    Attributes:
        connected: which of the two.
        version: number of the connection.
        at_ms: when, milliseconds since 1970, by the account's clock.
    """

    connected: bool
    version: int
    at_ms: int

    def later_than(self, other: Presence) -> bool:
        """Whether this is what holds now, of the two. Never true both ways."""
        if abs(self.at_ms - other.at_ms) > RESET_MS:
            return self.at_ms > other.at_ms
        mine = (self.version, not self.connected)  # a connection's end is after its beginning
        return mine > (other.version, not other.connected)
