"""What a camera's state says of pictures that arrive damaged, and the reason the gap in its pictures gets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from vedette.contracts.camera import CameraState
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Motion
from vedette.core.pixels import Pixels
from vedette.core.stream import StreamProgress
from vedette.pipeline.board import Board
from vedette.pipeline.capture import CaptureLoop
from vedette.pipeline.damage import DamageMeter

PIXELS = Pixels.from_buffer(np.zeros(64 * 48 * 3 // 2, np.uint8), 64, 48)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Second:
    """A second of a stream at 25 pictures a second: how many arrive damaged, with or without key picture, how late."""

    damaged: int = 0
    key: bool = True
    late_s: float = 0.0


class Script:
    """A stream that plays seconds; the status is looked at after each."""

    def __init__(self, seconds: list[Second], clock: Clock, after: Callable[[], None]) -> None:
        self.progress = StreamProgress(last_packet_s=clock(), waiting_for_key_s=clock())
        self._seconds = seconds
        self._clock = clock
        self._after = after

    def __iter__(self) -> Iterator[tuple[FrameInfo, Pixels]]:
        progress, number = self.progress, 0
        for second in self._seconds:
            for picture in range(25):
                self._clock.now_s += 0.04
                number += 1
                progress.packets += 1
                progress.behind_s = second.late_s
                progress.key_packets += second.key and picture == 0
                progress.last_packet_s = self._clock()
                if picture < second.damaged:
                    progress.corrupt += 1
                    progress.waiting_for_key_s = progress.waiting_for_key_s or self._clock()
                elif second.key or progress.waiting_for_key_s is None:
                    progress.decoded += 1
                    progress.waiting_for_key_s = None
                    if picture % 5 == 4:
                        yield FrameInfo("hall", "e", number, self._clock(), number / 25, 0.0, 64, 48), PIXELS
                if picture % 5 == 4:
                    self._after()

    def set_fps(self, fps: float) -> None: ...
    def set_rest(self, rest: Motion | None) -> None: ...
    def close(self) -> None: ...


class Rig:
    """A capture loop over one script."""

    open_limit_s = 1.8

    def __init__(self, seconds: list[Second]) -> None:
        self.clock = Clock()
        self.board = Board("hall", "rtsp://camera/1", wall=self.clock)
        self.told: list[tuple[float, CameraState, str]] = []
        self.gaps: list[str] = []
        self.script = Script(seconds, self.clock, self._look)
        self.loop = CaptureLoop(self, self, self.board, clock=self.clock, endless=False)
        self.begin_s = self.clock()

    def run(self) -> None:
        self.loop._attempt()  # the loop itself would wait at the end of the script

    def wait(self, stop: threading.Event, on_failure: Callable[[str], None]) -> bool:
        return True

    def open(self, fps: float, gap_reason: str) -> Script:
        return self.script

    def wait_taken(self, timeout_s: float) -> bool:
        return True

    def publish(self, info: FrameInfo, pixels: Pixels) -> bool:
        if info.gap_reason:
            self.gaps.append(info.gap_reason)
        return True

    def _look(self) -> None:
        status = self.loop.refresh()
        self.told.append((self.clock() - self.begin_s, status.state, status.reason))

    def at(self, t_s: float) -> tuple[CameraState, str]:
        return next((state, reason) for told_s, state, reason in reversed(self.told) if told_s <= t_s + 1e-6)


def test_a_healthy_stream_has_no_reason() -> None:
    rig = Rig([Second()] * 6)
    rig.run()
    assert {(state, reason) for _, state, reason in rig.told[1:]} == {(CameraState.STREAMING, "")}
    assert rig.gaps == []


def test_damage_is_said_within_a_second_and_forgotten_after_three() -> None:
    rig = Rig([Second()] * 5 + [Second(damaged=10)] * 3 + [Second()] * 6)
    rig.run()
    assert rig.at(5.0) == (CameraState.STREAMING, "")
    state, reason = rig.at(6.0)
    assert state is CameraState.STREAMING
    assert reason.startswith("some pictures arrive damaged")
    assert rig.at(11.9) == (CameraState.STREAMING, "")


def test_pictures_that_are_all_damaged_are_told_from_missing_key_pictures() -> None:
    damaged = Rig([Second()] * 3 + [Second(damaged=25)] * 7 + [Second()] * 5)
    damaged.run()
    assert damaged.at(6.0)[1].startswith("most pictures arrive damaged")
    state, reason = damaged.at(9.5)
    assert state is CameraState.NO_KEYFRAME
    assert reason.startswith("every key picture arrives damaged")
    assert damaged.at(15.0) == (CameraState.STREAMING, "")
    assert damaged.gaps == ["pictures arrived damaged and were left out"]
    keyless = Rig([Second(damaged=0, key=False)] * 7)
    keyless.run()
    assert keyless.at(6.5)[0] is CameraState.NO_KEYFRAME
    assert "key-frame interval" in keyless.at(6.5)[1]


def test_a_state_that_changed_meanwhile_is_left_alone() -> None:
    board = Board("hall", "")
    board.move(CameraState.STALLED, "no packet")
    board.move(CameraState.STREAMING, "damaged", only_in=(CameraState.STREAMING,))
    assert (board.status.state, board.status.reason) == (CameraState.STALLED, "no packet")
    with pytest.raises(ValueError, match="STALLED cannot become STREAMING"):
        board.move(CameraState.STREAMING)


def test_little_damage_is_not_worth_a_word() -> None:
    meter = DamageMeter()
    assert {meter.words(n * 0.04, n - n // 25, n // 25) for n in range(500)} == {""}
    meter.reset()
    assert meter.words(30.0, 0, 100) == "", "what was before the start does not count"


def test_pictures_that_come_late_are_told_in_steps() -> None:
    rig = Rig([Second(late_s=second / 2) for second in range(24)] + [Second()] * 2)
    rig.run()
    assert rig.at(9.0)[1] == ""
    assert rig.at(12.0)[1].startswith("pictures come more than 5 s late")
    assert rig.at(23.0)[1].startswith("pictures come more than 10 s late")
    assert rig.at(26.0) == (CameraState.STREAMING, "")
    assert len({reason for _, _, reason in rig.told}) == 3
