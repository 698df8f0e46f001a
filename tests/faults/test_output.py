"""P9: standard error that nobody reads."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.capture.conftest import component_path, make_rig
from tests.capture.rig import CAMERA, Rig
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from vedette.testing.camera import CameraSimulator, CameraSource
from vedette.testing.synthetic import make_clip

__all__ = ["component_path", "make_rig"]

pytestmark = [pytest.mark.processes]

MakeRig = Callable[..., Rig]
GOAL_S: Final = 2.0
#: A camera that has sent no picture for so long waits for a reader.
PATIENCE_S: Final = 6.0


@contextmanager
def unread_standard_error() -> Iterator[None]:
    """Processes started here inherit a pipe that is full and stays so."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while os.write(write, b"\n" * 4096):
            continue
    except BlockingIOError:
        os.set_blocking(write, True)
    kept = os.dup(2)
    os.dup2(write, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        for descriptor in (kept, read, write):
            os.close(descriptor)


def outages(make_rig: MakeRig, simulator: CameraSimulator, number: int, program: tuple[str, ...]) -> list[float]:
    """Each outage of the camera is worth some lines of its log: how long after it the next picture came."""
    with unread_standard_error():
        rig = make_rig(simulator.url("cam"), fps=25, program=program)
        rig.until_frame_after(time.monotonic())
        found = list[float]()
        for _ in range(number):
            try:
                found.append(rig.reconnect(lambda: simulator.camera("cam").fault("cut", seconds=0.05), PATIENCE_S))
            except AssertionError:  # no picture in all that time, or its process was replaced
                found.append(PATIENCE_S)
                break
        rig.close()
    return found


def test_p9_output_that_nobody_reads(make_rig: MakeRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun_s = time.monotonic()
    monkeypatch.setenv("VEDETTE_LOG_LEVEL", "DEBUG")
    small = tmp_path / "small.mp4"
    small.write_bytes(make_clip(frames=50, gop=5, width=160, height=96))
    with CameraSimulator([CameraSource(small, name="cam")], "127.0.0.1", port=0) as simulator:
        control = outages(make_rig, simulator, 3, ("-m", "tests.faults.other_logging"))
        waits = outages(make_rig, simulator, scorecard.size(quick=20, full=300), CAMERA)
    worst, late = max(waits), sum(wait > GOAL_S for wait in waits)
    row = Row(
        "P9",
        "camera's outage to its next picture while nobody reads its log, longest",
        round(worst, 2),
        "s",
        len(waits),
        f"<= {GOAL_S:.0f} s, no process lost",
        passed=not late and max(control) >= PATIENCE_S,
        upper95=upper95(late, len(waits)),
        control=Control("logging that waits for its reader", max(control), max(control) >= PATIENCE_S),
        notes="The pipe of standard error is full from the start, at level DEBUG; lines beyond a thousand are left out "
        "and counted, in every process of every component alike.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
