"""Large files over slow lines: as long as something goes out it is waited for, and a dead line is noticed."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.actions.test_s3 import KEYS
from vedette.adapters.egress import HttpPoster
from vedette.adapters.egress.http import HttpAnswer
from vedette.adapters.egress.s3 import SLOWEST_BYTES_S, Bucket, S3Store
from vedette.contracts.errors import DeliveryError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#: More than the buffers of both ends hold.
LARGE = bytes(4 << 20)


class Line:
    """A receiver at the end of a slow line: takes one request piece by piece, up to a byte, and answers.

    Args:
        piece: bytes that are taken at once.
        pause_s: after each.
        most: bytes after which nothing is taken any more.
        answers: whether it does.
    """

    def __init__(self, *, piece: int, pause_s: float = 0.0, most: int = 1 << 40, answers: bool = True) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.taken = 0
        self._piece, self._pause_s, self._most, self._answers = piece, pause_s, most, answers
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._done.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(1)
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                while self.taken < min(length, self._most) and not self._done.is_set():
                    self.taken += len(connection.recv(self._piece))
                    self._done.wait(self._pause_s)
                if self._answers and self.taken == length:
                    connection.sendall(OK)
                self._done.wait(60)


@pytest.fixture
def line() -> Iterator[Callable[..., Line]]:
    made: list[Line] = []

    def make(**how: Any) -> Line:
        made.append(Line(**how))
        return made[-1]

    yield make
    for one in made:
        one.close()


def store(line: Line, **times: float) -> S3Store:
    return S3Store(Bucket("evidence", "eu-central-1", line.url), KEYS, **times)


def took_s(action: Callable[[], object]) -> float:
    begun_s = time.monotonic()
    with pytest.raises(DeliveryError, match="no answer in time") as caught:
        action()
    assert (caught.value.code, caught.value.retryable) == ("V502", True)
    return time.monotonic() - begun_s


@pytest.mark.parametrize(("size", "limit_s"), [(0, 60.0), (480_000, 60.0), (4_800_000, 600.0), (96 << 20, 12_582.912)])
def test_an_upload_has_the_time_that_a_slow_line_takes(
    monkeypatch: pytest.MonkeyPatch, size: int, limit_s: float
) -> None:
    given: list[dict[str, Any]] = []

    class Poster:
        def __init__(self, _: str, **how: Any) -> None:
            given.append(how)

        def post(self, *_: Any) -> HttpAnswer:
            return HttpAnswer(200, None)

        def close(self) -> None:
            pass

    monkeypatch.setattr("vedette.adapters.egress.s3.HttpPoster", Poster)
    S3Store(Bucket("evidence", "eu-central-1"), KEYS).put("clip.mp4", bytes(size), "video/mp4")
    assert [(one["timeout_s"], one["progress_s"]) for one in given] == [(pytest.approx(limit_s), 30.0)]


def test_a_file_that_takes_longer_than_the_least_limit_arrives(line: Callable[..., Line]) -> None:
    slow = line(piece=16 << 10, pause_s=0.02)
    body = bytes(1 << 20)
    begun_s = time.monotonic()
    store(slow, timeout_s=0.5, progress_s=10.0).put("clip.mp4", body, "video/mp4")
    assert slow.taken == len(body)
    assert 1.0 < time.monotonic() - begun_s < len(body) / SLOWEST_BYTES_S


@pytest.mark.parametrize("most", [0, 100_000], ids=["at once", "amid the file"])
def test_a_dead_line_is_noticed_long_before_the_limit(line: Callable[..., Line], most: int) -> None:
    dead = line(piece=16 << 10, most=most)
    assert took_s(lambda: store(dead, progress_s=0.5).put("clip.mp4", LARGE, "video/mp4")) < 10.0


def test_an_answer_that_does_not_come_is_noticed_too(line: Callable[..., Line]) -> None:
    silent = line(piece=64 << 10, answers=False)
    assert took_s(lambda: store(silent, progress_s=0.5).put("clip.mp4", LARGE, "video/mp4")) < 20.0
    assert silent.taken == len(LARGE)


def test_a_webhook_has_its_limit_for_the_whole_whatever_goes_out(line: Callable[..., Line]) -> None:
    slow = line(piece=16 << 10, pause_s=0.02)
    poster = HttpPoster(slow.url, allow_private=True, timeout_s=1.0)
    assert 0.9 < took_s(lambda: poster.post(LARGE, {})) < 3.0
    assert 0 < slow.taken < len(LARGE)
