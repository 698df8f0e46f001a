"""A connection that is over leaves nothing behind, however its parts refer to one another."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from vedette.contracts.errors import CameraError
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Motion
from vedette.core.pixels import Pixels
from vedette.core.stream import StreamProgress
from vedette.pipeline.board import Board
from vedette.pipeline.capture import CaptureLoop

PIXELS = Pixels(np.zeros((2, 2), np.uint8), np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))


class Lost:
    """A connection that breaks off at once, or after a picture; it refers to itself, as PyAV's containers and streams
    do."""

    def __init__(self, why: str, pictures: int) -> None:
        self.progress = StreamProgress()
        self.itself = self
        self._why = why
        self._pictures = pictures

    def __iter__(self) -> Iterator[tuple[FrameInfo, Pixels]]:
        yield from [(FrameInfo("hall", "e", 0, 0.0, 0.0, 0.0, 2, 2), PIXELS)] * self._pictures
        raise CameraError(self._why, code="V201")

    def set_fps(self, fps: float) -> None: ...
    def set_rest(self, rest: Motion | None) -> None: ...
    def close(self) -> None: ...


class Connections:
    """Opens them, counts those that are still there, stops after the tenth."""

    open_limit_s = 1.8

    def __init__(self) -> None:
        self.known: list[weakref.ref[Lost]] = []
        self.alive: list[int] = []
        self.loop = CaptureLoop(self, self, Board("hall", "rtsp://camera/1"))

    def wait(self, stop: threading.Event, on_failure: Callable[[str], None]) -> bool:
        return True

    def open(self, fps: float, gap_reason: str) -> Lost:
        self.loop.retry_now()
        self.alive.append(sum(ref() is not None for ref in self.known))
        if len(self.known) == 9:
            self.loop.stop()
        number = len(self.known)
        source = Lost(("gone", "no RTSP")[number % 2], pictures=number == 5)
        self.known.append(weakref.ref(source))
        return source

    def wait_taken(self, timeout_s: float) -> bool:
        return True

    def publish(self, info: FrameInfo, pixels: Pixels) -> bool:
        return True


def test_decoders_of_connections_before_are_gone_when_the_next_is_opened() -> None:
    connections = Connections()
    gc.disable()  # else it might happen by chance
    try:
        connections.loop.run()
    finally:
        gc.enable()
    assert len(connections.known) == 10
    assert connections.alive == [0] * 10


def test_why_no_picture_comes_is_logged_once_until_one_has_come(caplog: pytest.LogCaptureFixture) -> None:
    """There are more than ten attempts a second."""
    with caplog.at_level(logging.INFO, "vedette.pipeline.capture"):
        Connections().loop.run()
    said = [record.getMessage().removeprefix("camera hall: UNREACHABLE: ") for record in caplog.records]
    assert said == ["gone", "no RTSP", "no RTSP", "gone"], "two reasons, then a picture, then both again"
