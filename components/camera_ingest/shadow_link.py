"""The conversation with the account about this device's shadow, by plain MQTT through Greengrass.

Neither nucleus tells when the connection is there again, and nucleus lite has no shadows of its own. So the whole
document is asked for at the start, whenever something could not be sent, and every few minutes.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from vedette.contracts import topics
from vedette.contracts.errors import VedetteError
from vedette.core.shadow import compact
from vedette.ports.bus import Bus

logger = logging.getLogger(__name__)

#: The document is asked for this often; what a message that was lost meant is known after that.
CHECK_S: Final = 300.0
#: An answer takes no longer.
ANSWER_S: Final = 10.0
#: First and longest pause after something could not be sent.
RETRY_FIRST_S: Final = 2.0
RETRY_MAX_S: Final = 60.0
#: Messages that wait to be looked at; older ones go, as newer ones say more.
_MOST_WAITING: Final = 64
_MAX_BYTES: Final = 64 << 10
_HEARD: Final = ("get/accepted", "get/rejected", "update/delta", "update/rejected", "delete/accepted")
#: What ``take`` says of a question that nobody answered.
UNANSWERED: Final = "unanswered"


@dataclass(frozen=True, slots=True)
class Heard:
    """A message.

    Attributes:
        what: end of its topic, or ``UNANSWERED``.
        document: JSON; None where it is no JSON object.
        asked: whether it answers this device's own question.
        overtaken: whether something newer came between that question and its answer.
    """

    what: str
    document: dict[str, Any] | None
    asked: bool = False
    overtaken: bool = False


class ShadowLink:
    """Asks, reports and hears in a thread of its own; nothing here waits for the account.

    Args:
        bus: Greengrass.
        thing: name of this device.
        wake: called from any thread where there is something to ``take``.
        check_s: the document is asked for this often.
        monotonic: clock.
    """

    def __init__(
        self,
        bus: Bus,
        thing: str,
        wake: Callable[[], None],
        *,
        check_s: float = CHECK_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._thing = thing
        self._wake = wake
        self._check_s = check_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._waiting: deque[Heard] = deque(maxlen=_MOST_WAITING)
        self._missing = list(_HEARD)
        self._report: bytes | None = None
        self._token = ""
        self._asked_s: float | None = None
        self._overtaken = False
        self._due_s = 0.0
        self._pause_s = RETRY_FIRST_S
        self._unanswered = 0
        self._complained = False
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; does not wait for an answer that is under way."""
        self._stopping.set()
        self._changed.set()

    def ask(self) -> None:
        """Ask for the whole document soon."""
        with self._lock:
            self._due_s = min(self._due_s, self._monotonic())
        self._changed.set()

    def report(self, document: dict[str, Any]) -> None:
        """Say how it is; a later report takes the place of one that could not be sent yet."""
        with self._lock:
            self._report = compact({"state": {"reported": document}, "clientToken": _token()})
        self._changed.set()

    def take(self) -> list[Heard]:
        """What was heard since the last call, in the order of arrival."""
        with self._lock:
            found = list(self._waiting)
            self._waiting.clear()
        return found

    def step(self) -> float:
        """Send what is due; seconds until there may be something to do again."""
        now_s = self._monotonic()
        with self._lock:
            if self._asked_s is not None and now_s - self._asked_s >= ANSWER_S:
                self._not_answered(now_s)
            report, due = self._report, now_s >= self._due_s
        try:
            if self._missing and due:
                self._subscribe()
            if due:
                self._ask(now_s)
            if report is not None and not self._missing:
                self._bus.publish_cloud(topics.shadow(self._thing, "update"), report)
                with self._lock:
                    if self._report is report:
                        self._report = None
        except VedetteError as error:
            self._failed(error)
        else:
            if self._complained:
                logger.info("the account can be asked for this device's document again")
            self._complained, self._pause_s = False, RETRY_FIRST_S
        with self._lock:
            ends_s = [self._due_s] if self._asked_s is None else [self._due_s, self._asked_s + ANSWER_S]
            return max(0.0, min(ends_s) - self._monotonic())

    def _run(self) -> None:
        while not self._stopping.is_set():
            wait_s = self.step()
            self._changed.wait(wait_s)
            self._changed.clear()

    def _subscribe(self) -> None:
        for what in list(self._missing):
            self._bus.subscribe_cloud(topics.shadow(self._thing, what), self._hears(what))
            self._missing.remove(what)

    def _ask(self, now_s: float) -> None:
        with self._lock:
            self._token, self._overtaken = _token(), False
            self._asked_s, self._due_s = now_s, now_s + self._check_s * _jitter()
            payload = compact({"clientToken": self._token})
        try:
            self._bus.publish_cloud(topics.shadow(self._thing, "get"), payload)
        except VedetteError:
            with self._lock:
                self._asked_s = None
            raise

    def _failed(self, error: VedetteError) -> None:
        """Without an uplink that is the normal state: said once, tried again at growing intervals."""
        if not self._complained:
            logger.info("the account cannot be asked for this device's document: %s", error.message)
        self._complained = True
        with self._lock:
            self._due_s = self._monotonic() + self._pause_s * _jitter()
        self._pause_s = min(2 * self._pause_s, RETRY_MAX_S)

    def _not_answered(self, now_s: float) -> None:
        """There is nobody, or the answer was too long for the nucleus: a delta may get through where it does not."""
        self._asked_s = None
        wait_s = min(ANSWER_S * 2**self._unanswered, self._check_s)
        self._unanswered = min(self._unanswered + 1, 16)
        self._due_s = min(self._due_s, now_s + wait_s)
        self._put(Heard(UNANSWERED, None))

    def _hears(self, what: str) -> Callable[[str, bytes], None]:
        def hear(_topic: str, payload: bytes) -> None:
            document = _object(payload)
            with self._lock:
                asked = document is not None and bool(self._token) and document.get("clientToken") == self._token
                if asked and what.startswith("get/"):
                    self._asked_s, self._unanswered = None, 0
                if what == "update/delta":
                    self._overtaken = True
                self._put(Heard(what, document, asked, self._overtaken))

        return hear

    def _put(self, heard: Heard) -> None:
        self._waiting.append(heard)
        self._wake()


def _jitter() -> float:
    """Devices that lost the same uplink do not ask all at once."""
    return random.uniform(0.8, 1.0)  # noqa: S311 - no secret


def _token() -> str:
    return uuid.uuid4().hex[:16]


def _object(payload: bytes) -> dict[str, Any] | None:
    if len(payload) > _MAX_BYTES:
        return None
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
