"""What an application's code prints, in the component's log: bounded, and recognisable for what it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

#: Lines let through at once, and in the long run each second.
BURST_LINES: Final = 100
LINES_PER_S: Final = 5.0
MAX_LINE_CHARACTERS: Final = 500
#: A line that never ends is cut into pieces of this size.
_MAX_PENDING_BYTES: Final = 4096


def printable(text: str) -> str:
    """Text of an application for a log or a screen: nothing in it moves a cursor or hides what follows."""
    return "".join(character if character.isprintable() else " " for character in text)


class Output:
    """Takes the bytes of a process and logs its lines.

    Args:
        name: what stands before each line, such as ``hook passage/from_the_yard``.
        monotonic: clock.
    """

    def __init__(self, name: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._monotonic = monotonic
        self._pending = bytearray()
        self._room = float(BURST_LINES)
        self._last_s = monotonic()
        self._silent = 0
        self.dropped = 0

    def feed(self, chunk: bytes) -> None:
        """Bytes that were written."""
        self._pending += chunk
        while (end := self._pending.find(b"\n")) >= 0 or len(self._pending) > _MAX_PENDING_BYTES:
            end = end if 0 <= end <= _MAX_PENDING_BYTES else _MAX_PENDING_BYTES
            self._line(bytes(self._pending[:end]))
            del self._pending[: end + 1]

    def flush(self) -> None:
        """The process has ended: what it wrote last counts as a line."""
        if self._pending:
            self._line(bytes(self._pending))
            self._pending.clear()

    def _line(self, raw: bytes) -> None:
        now_s = self._monotonic()
        self._room = min(BURST_LINES, self._room + LINES_PER_S * (now_s - self._last_s))
        self._last_s = now_s
        if self._room < 1:
            self.dropped += 1
            self._silent += 1
            return
        self._room -= 1
        if self._silent:
            log.warning("%s: %d lines were dropped: it prints too much", self._name, self._silent)
            self._silent = 0
        text = raw.decode("utf-8", "replace").rstrip()
        line = printable(text)[:MAX_LINE_CHARACTERS]
        if line:
            log.info("%s: %s", self._name, line)
