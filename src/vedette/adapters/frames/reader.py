"""What a frame store knows of one connected reader."""

from __future__ import annotations

import math
import socket
from typing import Final

from vedette.core.sampling import Sampler

#: Pictures one reader may hold; the oldest is taken back when it leases more.
LEASES_LIMIT: Final = 2


class Reader:
    """One connection: what it has had, what it holds, what it waits for.

    Attributes:
        armed: whether it asked to be woken and has not been.
        sampler: which pictures are due to it.
        seen: sequence number of the last picture granted.
        gap_seen: sequence number of the last interruption it was told of.
        leases: lease → slot.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.armed = False
        self.sampler = Sampler(math.inf)
        self.seen = 0
        self.gap_seen = 0
        self.leases: dict[int, int] = {}
        self._had_s = -math.inf

    def arm(self, after_s: float, interval_s: float) -> None:
        """Wait for a picture; ``after_s`` matters for the first one after a reconnection."""
        self.armed = True
        self.sampler.set_fps(1 / interval_s if interval_s > 0 else math.inf)
        if self.seen == 0 and math.isfinite(after_s) and self._had_s != after_s:
            self._had_s = after_s
            self.sampler.taken(after_s)

    def had_already(self, t_s: float) -> bool:
        """Whether a picture was had over an earlier connection."""
        return self.seen == 0 and t_s == self._had_s

    def take(self, lease: int, slot: int, sequence: int, t_s: float) -> None:
        """Note a granted picture."""
        self.leases[lease] = slot
        self.seen = sequence
        self.sampler.taken(t_s)

    def forget_oldest(self) -> list[tuple[int, int]]:
        """Take back what it holds beyond its share; the leases and slots taken back."""
        taken_back = []
        while len(self.leases) > LEASES_LIMIT:
            lease = next(iter(self.leases))
            taken_back.append((lease, self.leases.pop(lease)))
        return taken_back
