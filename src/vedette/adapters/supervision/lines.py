"""JSON objects, one a line, over a pipe: cutting a byte stream into messages without trusting it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

#: Longest line taken. Status messages are a few hundred bytes; a plan for a camera a few thousand.
LINE_LIMIT_BYTES: Final = 1 << 20


def encode(message: dict[str, Any]) -> bytes:
    """One message as a line of compact JSON."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class LineReader:
    """Collects bytes and yields the JSON objects of complete lines.

    Attributes:
        refused: lines that were no JSON object or too long.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skipping = False
        self.refused = 0

    def feed(self, chunk: bytes) -> Iterator[dict[str, Any]]:
        """Messages completed by ``chunk``. What is not a JSON object is counted and skipped."""
        self._buffer += chunk
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if self._skipping:  # the tail of a line that was too long
                self._skipping = False
                continue
            message = self._parse(line)
            if message is not None:
                yield message
        if len(self._buffer) > LINE_LIMIT_BYTES:
            self._buffer.clear()
            if not self._skipping:
                self.refused += 1
            self._skipping = True

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict):
            return message
        if line.strip():
            self.refused += 1
        return None
