"""Asks an RTSP camera whether it is there, often and cheaply, before a session is opened.

A camera that is off, restarting or deaf leaves a connection attempt hanging, and the next one would have to wait for
its time-out. Knocks overlap instead: a new one starts every half second at most, each may wait three seconds, and
the first that is answered ends the waiting.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from vedette.contracts.errors import CameraError
from vedette.core.url_policy import CheckedUrl

#: Time between two knocks: at most this, at least half of it, at random, so that cameras do not pulse together.
INTERVAL_S: Final = 0.5
#: How long one knock waits for its answer.
PATIENCE_S: Final = 3.0
#: An answer longer than this is no RTSP answer.
ANSWER_LIMIT_BYTES: Final = 8192

_STATUS: Final = re.compile(rb"RTSP/1\.\d (\d{3})")
#: A description of a stream is some hundred bytes; FFmpeg would take any number of them into memory.
DESCRIPTION_LIMIT_BYTES: Final = 65_536
_LENGTH: Final = re.compile(rb"(?im)^content-length:[ \t]*(\d+)")
_LOCATION: Final = re.compile(rb"(?im)^location:[ \t]*([^\r\n]+)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the camera said to DESCRIBE.

    Attributes:
        status: RTSP status code.
        location: where it redirects to; empty where it does not.
        after_s: how long it took to answer once it was asked: the way there and back, and the camera's own time.
    """

    status: int
    location: str = ""
    after_s: float = 0.0


@dataclass(slots=True, eq=False)
class _Knock:
    """One attempt under way."""

    socket: socket.socket
    deadline_s: float
    request: bytes
    asked_s: float = 0.0
    received: bytearray = field(default_factory=bytearray)


def wait_for_answer(
    address: CheckedUrl,
    stop: threading.Event,
    on_failure: Callable[[str], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
) -> Answer | None:
    """Knock until the camera answers.

    Args:
        address: the camera; its first address is used.
        stop: ends the waiting.
        on_failure: called with the reason, for people, after each knock that failed.
        clock: monotonic seconds.
        jitter: uniform random number 0..1.

    Returns:
        The answer; None where stopped.

    Raises:
        CameraError: V201, what answers does not speak RTSP.
    """
    with _Knocks(address, on_failure) as knocks:
        next_s = clock()
        while not stop.is_set():
            now_s = clock()
            if now_s >= next_s:
                knocks.start(now_s + PATIENCE_S)
                next_s = now_s + INTERVAL_S * (0.5 + 0.5 * jitter())
            answer = knocks.wait(min(max(next_s - clock(), 0.0), 0.1), clock)
            if answer is not None:
                return answer
    return None


class _Knocks:
    """All knocks under way."""

    def __init__(self, address: CheckedUrl, on_failure: Callable[[str], None]) -> None:
        self._address = address
        self._on_failure = on_failure
        self._selector = selectors.DefaultSelector()
        self._open: set[_Knock] = set()

    def __enter__(self) -> _Knocks:
        return self

    def __exit__(self, *_: object) -> None:
        for knock in list(self._open):
            self._end(knock)
        self._selector.close()

    def start(self, deadline_s: float) -> None:
        """Begin one more."""
        host = self._address.addresses[0]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self._on_failure(_words(error))
            return
        knock = _Knock(connection, deadline_s, _describe(self._address))
        self._open.add(knock)
        self._selector.register(connection, selectors.EVENT_WRITE, knock)
        with contextlib.suppress(BlockingIOError):
            try:
                connection.connect((host, self._address.port))
            except BlockingIOError:
                raise
            except OSError as error:
                self._fail(knock, _words(error))

    def wait(self, timeout_s: float, clock: Callable[[], float]) -> Answer | None:
        """React to what happens within ``timeout_s``; the answer, where one came."""
        begun_s = clock()
        for key, events in self._selector.select(timeout_s):
            knock: _Knock = key.data
            if knock not in self._open:
                continue
            connected = events & selectors.EVENT_WRITE
            answer = self._connected(knock, clock()) if connected else self._receive(knock, clock())
            if answer is not None:
                return answer
        for knock in [knock for knock in self._open if begun_s >= knock.deadline_s]:
            self._fail(knock, f"no answer within {PATIENCE_S:g} s")
        return None

    def _connected(self, knock: _Knock, now_s: float) -> Answer | None:
        code = knock.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(knock, _words(OSError(code, "")))
            return None
        if self._address.scheme == "rtsps":  # that somebody accepts is all that is asked; TLS is FFmpeg's
            return Answer(200)
        knock.asked_s = now_s
        try:
            knock.socket.send(knock.request)
        except OSError as error:
            self._fail(knock, _words(error))
            return None
        self._selector.modify(knock.socket, selectors.EVENT_READ, knock)
        return None

    def _receive(self, knock: _Knock, now_s: float) -> Answer | None:
        try:
            chunk = knock.socket.recv(ANSWER_LIMIT_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            self._fail(knock, _words(error))
            return None
        knock.received += chunk
        text = bytes(knock.received)
        if len(text) >= 5 and not text.startswith(b"RTSP/"):
            raise CameraError(
                f"{self._address.shown}: what answers at this address does not speak RTSP.",
                hint="Check the port; 554 is usual.",
            )
        status = _STATUS.match(text)
        if status is not None and (b"\r\n\r\n" in text or len(text) >= ANSWER_LIMIT_BYTES or not chunk):
            head = text.split(b"\r\n\r\n", 1)[0]
            length = _LENGTH.search(head)
            if length is not None and int(length[1][:20]) > DESCRIPTION_LIMIT_BYTES:
                raise CameraError(
                    f"{self._address.shown}: its stream's description has over {DESCRIPTION_LIMIT_BYTES} bytes.",
                    hint="Check the camera.",
                )
            location = _LOCATION.search(head)
            code = int(status[1])
            moved = 300 <= code < 400 and location is not None
            target = location[1].decode(errors="replace").strip() if moved and location else ""
            return Answer(code, target, now_s - knock.asked_s)
        if not chunk:
            self._fail(knock, "it closes the connection without an answer")
        elif len(text) > ANSWER_LIMIT_BYTES:
            self._fail(knock, "its answer is too long")
        return None

    def _fail(self, knock: _Knock, reason: str) -> None:
        self._end(knock)
        self._on_failure(reason)

    def _end(self, knock: _Knock) -> None:
        self._open.discard(knock)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(knock.socket)
        knock.socket.close()


def _describe(address: CheckedUrl) -> bytes:
    """DESCRIBE without credentials, which shows redirects too; a camera that wants a password answers 401."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    target = re.sub(r"[^\x21-\x7e]", "", address.target)
    return (
        f"DESCRIBE rtsp://{host}:{address.port}{target} RTSP/1.0\r\n"
        "CSeq: 1\r\nAccept: application/sdp\r\nUser-Agent: Vedette\r\n\r\n"
    ).encode("ascii", "ignore")


def _words(error: OSError) -> str:
    words = {
        "ConnectionRefusedError": "nothing listens there (connection refused)",
        "ConnectionResetError": "it resets the connection",
        "TimeoutError": "no answer",
    }
    kind = type(OSError(error.errno, "")).__name__
    return words.get(kind) or (os.strerror(error.errno).lower() if error.errno else type(error).__name__)
