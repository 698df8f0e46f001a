"""Callbacks of whoever embeds LocalCore, kept out of its event loop."""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 10_000


@dataclass(frozen=True, slots=True)
class LocalMessage:
    """One message as a listener sees it.

    Attributes:
        topic: where it was published.
        payload: its bytes; JSON text where ``is_json``.
        is_json: whether it was published as a JSON message.
    """

    topic: str
    payload: bytes
    is_json: bool

    def json(self) -> Any:
        """The payload as data.

        Raises:
            ValueError: it is no JSON.
        """
        return json.loads(self.payload)


_Work = tuple[Callable[[LocalMessage], None], LocalMessage]


class Listeners:
    """One thread that calls every listener, behind a bounded queue: when it is full, new messages are dropped."""

    def __init__(self) -> None:
        self._queue: queue.Queue[_Work | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def wrap(self, callback: Callable[[LocalMessage], None]) -> Callable[[LocalMessage], None]:
        """A function that returns at once and has ``callback`` called later."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="vedette-listeners", daemon=True)
            self._thread.start()

        def put(message: LocalMessage) -> None:
            try:
                self._queue.put_nowait((callback, message))
            except queue.Full:
                self.dropped += 1
                if self.dropped == 1 or self.dropped % 1000 == 0:
                    logger.warning("listeners are behind; %d messages dropped so far", self.dropped)

        return put

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            callback, message = work
            try:
                callback(message)
            except Exception:  # a listener's mistake must not silence the others
                logger.exception("a listener of %s failed", message.topic)

    def close(self) -> None:
        """Calls what still waits, then ends the thread."""
        if self._thread is not None:
            self._queue.put(None)
            if threading.current_thread() is not self._thread:
                self._thread.join()
            self._thread = None
