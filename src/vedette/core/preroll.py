"""The last seconds of a stream as it came, for evidence that begins before the event."""

from __future__ import annotations

from collections import deque
from typing import Final

from vedette.contracts.packets import EncodedPacket, PictureNote

#: Encoded video kept per camera at most; 30 s of an 8 Mbit/s stream.
PRE_ROLL_LIMIT_BYTES: Final = 32 << 20
#: What a note of a picture is counted as.
_NOTE_BYTES: Final = 64

Item = EncodedPacket | PictureNote


class PreRoll:
    """Keeps whole groups of pictures, so that what it holds always begins with a key packet.

    The oldest group goes when the rest still covers ``seconds``, or when there are too many bytes; a single group
    that is too large is given up as a whole. Used by one thread.

    Args:
        seconds: to be covered, at least, once they have passed; 0 keeps nothing.
        limit_bytes: never held.
    """

    def __init__(self, seconds: float, limit_bytes: int = PRE_ROLL_LIMIT_BYTES) -> None:
        self._seconds = seconds
        self._limit_bytes = limit_bytes
        self._groups: deque[list[Item]] = deque()
        self._begins_s: deque[float] = deque()
        self._sizes: deque[int] = deque()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Bytes held."""
        return self._bytes

    @property
    def seconds(self) -> float:
        """What is to be covered."""
        return self._seconds

    def keep(self, seconds: float) -> None:
        """Cover so much from now on; 0 forgets everything."""
        self._seconds = seconds
        if seconds <= 0:
            self.clear()

    def add(self, item: Item) -> None:
        """Take what came. Before the first key packet nothing is of use, and it is dropped."""
        if self._seconds <= 0:
            return
        size = len(item.data) if isinstance(item, EncodedPacket) else _NOTE_BYTES
        if isinstance(item, EncodedPacket) and item.key:
            self._groups.append([])
            self._begins_s.append(item.arrival_s)
            self._sizes.append(0)
        if not self._groups:
            return
        self._groups[-1].append(item)
        self._sizes[-1] += size
        self._bytes += size
        if isinstance(item, EncodedPacket):
            self._trim(item.arrival_s)

    def clear(self) -> None:
        """Forget everything."""
        self._groups.clear()
        self._begins_s.clear()
        self._sizes.clear()
        self._bytes = 0

    def items(self) -> list[Item]:
        """What is held, oldest first."""
        return [item for group in self._groups for item in group]

    def _trim(self, now_s: float) -> None:
        while len(self._groups) > 1 and (self._bytes > self._limit_bytes or now_s - self._begins_s[1] >= self._seconds):
            self._drop_oldest()
        if self._bytes > self._limit_bytes:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._groups.popleft()
        self._begins_s.popleft()
        self._bytes -= self._sizes.popleft()
