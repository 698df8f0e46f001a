"""The last seconds of a stream as it came, for evidence clips that begin before the event."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

#: Encoded video kept per camera at most; 30 s of an 8 Mbit/s stream.
PRE_ROLL_LIMIT_BYTES: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class StoredPacket:
    """One encoded packet.

    Attributes:
        data: as received.
        key: whether decoding can begin here.
        arrival_s: monotonic time.
    """

    data: bytes
    key: bool
    arrival_s: float


class PreRoll:
    """Keeps whole groups of pictures, so that what it holds always begins with a key packet.

    The oldest group goes when the rest still covers ``seconds``, or when there are too many bytes; a single group
    that is too large is given up as a whole. Used by one thread.

    Args:
        seconds: to be covered, at least, once they have passed.
        limit_bytes: never held.
    """

    def __init__(self, seconds: float, limit_bytes: int = PRE_ROLL_LIMIT_BYTES) -> None:
        self._seconds = seconds
        self._limit_bytes = limit_bytes
        self._groups: deque[list[StoredPacket]] = deque()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Bytes held."""
        return self._bytes

    def add(self, data: bytes, key: bool, arrival_s: float) -> None:
        """Take the next packet. Packets before the first key packet are of no use and are dropped."""
        if key:
            self._groups.append([])
        if not self._groups:
            return
        self._groups[-1].append(StoredPacket(data, key, arrival_s))
        self._bytes += len(data)
        while len(self._groups) > 1 and (
            self._bytes > self._limit_bytes or arrival_s - self._groups[1][0].arrival_s >= self._seconds
        ):
            self._drop_oldest()
        if self._bytes > self._limit_bytes:
            self._drop_oldest()

    def clear(self) -> None:
        """Forget everything: the stream was interrupted."""
        self._groups.clear()
        self._bytes = 0

    def packets(self) -> list[StoredPacket]:
        """What is held, oldest first."""
        return [packet for group in self._groups for packet in group]

    def _drop_oldest(self) -> None:
        self._bytes -= sum(len(packet.data) for packet in self._groups.popleft())
