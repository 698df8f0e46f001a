"""Notes when alerts about the belt arrive, and tells the live view how it stands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vedette.cli.session import AlertFollower
from vedette.local.simulated import LoopStart
from vedette.testing.belt import BeltTruth
from vedette.testing.belt.score import Repetition, Report

#: How often the alerts' file is looked at: the delay that is reported is too long by half of it on average.
LOOK_S: Final = 0.02
#: Most alerts kept; one in three seconds for a day.
MAX_REPORTS: Final = 30_000


class BeltWatch:
    """Follows the alerts' file in a thread. Use as a context manager.

    Args:
        truth: of the loop that is played.
        alerts_file: JSON lines.
        loops: what the camera says of its repetitions.
    """

    def __init__(self, truth: BeltTruth, alerts_file: Path, loops: Callable[[], Sequence[LoopStart]]) -> None:
        self._truth = truth
        self._follower = AlertFollower(alerts_file)
        self._loops = loops
        self._reports: list[Report] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="belt-watch", daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End watching."""
        self.stop()

    def stop(self) -> None:
        """Read what is left of the file, and end; idempotent."""
        self._done.set()
        self._thread.join()

    def reports(self) -> tuple[Report, ...]:
        """Alerts so far, in the order of their arrival."""
        return tuple(self._reports)

    def repetitions(self) -> tuple[Repetition, ...]:
        """Repetitions of the loop so far."""
        return tuple(Repetition(start.loop, start.wall_time_s) for start in self._loops())

    def remarks(self) -> tuple[str, ...]:
        """How it stands, for the live view: what is at the line by the truth, and how many alerts came."""
        now_s = time.time()
        at_line = defective = 0
        last = ""
        for repetition in self.repetitions():
            for part in self._truth.parts:
                if repetition.wall_s + part.line_s <= now_s:
                    at_line, defective = at_line + 1, defective + part.defective
                    last = f"part {part.number}: {part.label.value.replace('_', ' ')}"
        if not at_line:
            return ("truth: no part has been at the line yet",)
        return (f"truth: {at_line} parts have been at the line, {defective} defective; the last was {last}",)

    def _follow(self) -> None:
        while not self._done.wait(LOOK_S):
            self._take()
        self._take()

    def _take(self) -> None:
        for alert in self._follower.new():
            if len(self._reports) < MAX_REPORTS:
                self._reports.append(Report(alert.time.timestamp(), alert.label, time.time()))
