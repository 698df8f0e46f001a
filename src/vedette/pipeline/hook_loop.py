"""journal → hook → journal: an application's own code sees every batch once, and what it raised is kept with its state.

One transaction commits position, state and what was raised; then the events are appended to the journal, where
Alerting finds them. A process killed anywhere goes on from the last commit: events that had not been appended are
appended then, and one that is appended twice has the same id, so its receivers get it once.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from vedette.contracts.errors import HookError, StorageError, VedetteError
from vedette.contracts.hook_event import HookEvent
from vedette.contracts.plan import HookPlan
from vedette.contracts.tracks import TrackBatch
from vedette.pipeline.hook_calls import HookCalls
from vedette.ports.hooks import HookPosition, HookProcess, HookStore, Picture
from vedette.ports.journal import EventJournal, JournalSource

log = logging.getLogger(__name__)

#: A batch that fails so often in a row is given up.
ATTEMPTS: Final = 3
#: Rows read in one go, and batches handled before pictures and timers have their turn.
STEP_ROWS: Final = 200
STEP_BATCHES: Final = 5
#: Progress without an alert is committed this often where it changed the state, and this often where it did not; what
#: came after is handled again after a crash, and nobody can tell.
COMMIT_S: Final = 1.0
COMMIT_UNCHANGED_S: Final = 10.0
#: A hook that is new, or whose position was lost, begins with batches of this age: not with those of a whole day.
BEGIN_S: Final = 300.0
#: Pause before the disk is tried again.
RETRY_S: Final = 0.5
#: Pause before the n-th start in a row that follows a failure; and how long a process must live to begin anew.
PACES_S: Final = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
HEALTHY_S: Final = 60.0
#: Pictures or a timer that ended the process so often in a row are left alone for a while.
SUSPEND_AFTER: Final = 3
SUSPEND_S: Final = 60.0


class HookState(StrEnum):
    """How a hook is."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    RESTARTING = "RESTARTING"
    FAILED = "FAILED"
    REFUSED = "REFUSED"


#: Errors after which another try is not likely to help.
_REFUSALS: Final = frozenset({"V805"})
_FAILURES: Final = frozenset({"V801", "V802"})


class PictureFeed(Protocol):
    """The pictures that are due, of all cameras of a hook."""

    def due(self) -> Picture | None:
        """The freshest picture of a camera whose turn it is; None where none is due."""
        ...

    def done(self, picture: Picture) -> None:
        """The call is over; the memory may be used again."""
        ...


@dataclass(slots=True)
class LoopFigures:
    """How a hook fares.

    Attributes:
        state: how it is.
        code: of the last error.
        error: the last error, for people.
        restarts: processes after the first.
        skipped: batches given up, ever.
        lag_s: from the end of a picture's analysis to its handling, last.
        suspended: what is left alone for a while, for people.
    """

    state: HookState = HookState.STARTING
    code: str = ""
    error: str = ""
    restarts: int = 0
    skipped: int = 0
    lag_s: float = 0.0
    suspended: str = ""


class HookLoop:
    """One hook, from the journal to the journal. For one thread.

    Args:
        hook: its plan.
        calls: its functions.
        process: the same process, for its life.
        store: where it stands.
        events: where what it raises is appended.
        source: the journal.
        pictures: of its cameras.
        wait: sleeps up to so many seconds, or until something happens.
    """

    def __init__(
        self,
        hook: HookPlan,
        calls: HookCalls,
        process: HookProcess,
        store: HookStore,
        events: EventJournal,
        source: JournalSource,
        pictures: PictureFeed,
        wait: Callable[[float], None],
        *,
        wall_s: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hook = hook
        self._calls = calls
        self._process = process
        self._store = store
        self._events = events
        self._source = source
        self._pictures = pictures
        self._wait = wait
        self._wall_s = wall_s
        self._monotonic = monotonic
        self._routes = {(route.pipeline, route.camera): route.app_camera for route in hook.routes}
        saved = store.load()
        self._journal, self._cursor = saved.journal, saved.cursor
        calls.restore(saved)
        self.figures = LoopFigures(skipped=saved.skipped)
        self._held: list[HookEvent] = []
        self._unsent = bool(store.waiting())
        self._dirty = False
        self._committed_s = monotonic()
        self._committed_state = saved.state
        self._tried = ("", 0, 0)
        self._failures = 0
        self._start_at_s = self._started_s = monotonic()
        self._starts = 0
        self._due_s: list[float] = []
        self._fatal: dict[str, int] = {}
        self._suspended_until_s: dict[str, float] = {}

    @property
    def progress(self) -> int:
        """Counts calls, whatever came of them."""
        return self._calls.figures.calls + self._calls.figures.failures

    def step(self, timeout_s: float) -> None:
        """Do what there is to do, waiting for it up to ``timeout_s``."""
        if not self._settle():
            self._wait(min(timeout_s, RETRY_S))
            return
        if not self._process.alive() and not self._start():
            self._wait(min(timeout_s, max(0.0, self._start_at_s - self._monotonic())))
            return
        busy = False
        for turn in (self._read, self._show_picture, self._fire_timers):
            busy |= self._process.alive() and turn()
            if self._held and not self._settle():
                return
        if not busy:
            self._wait(self._idle_s(timeout_s))
            self._check()

    def finish(self) -> None:
        """Commit what counts, and end the process."""
        self._settle(finally_=True)
        self._process.close()

    # -- what is on disk ----------------------------------------------------------------------------------------------

    def _settle(self, *, finally_: bool = False) -> bool:
        """Commit and append what waits; False where the disk refuses, and everything has to wait."""
        try:
            if self._held or (self._dirty and (finally_ or self._monotonic() >= self._commit_due_s())):
                self._commit()
            if self._unsent:
                waiting = self._store.waiting()
                self._events.append([event for _, event in waiting])
                self._store.appended([number for number, _ in waiting])
                self._unsent, self._dirty = False, True
        except StorageError as error:
            self._say(error)
            return False
        return True

    def _commit(self) -> None:
        position = HookPosition(
            self._journal,
            self._cursor,
            self._calls.state,
            self._calls.budgets(),
            self._calls.figures.suppressed,
            self.figures.skipped,
        )
        self._store.commit(position, self._held)
        self._unsent = self._unsent or bool(self._held)
        self._held, self._dirty = [], False
        self._committed_s, self._committed_state = self._monotonic(), self._calls.state

    def _commit_due_s(self) -> float:
        changed = self._calls.state != self._committed_state
        return self._committed_s + (COMMIT_S if changed else COMMIT_UNCHANGED_S)

    # -- batches ------------------------------------------------------------------------------------------------------

    def _read(self) -> bool:
        """Handle some batches; whether there were any, or more rows to look at."""
        if not self._find_place():
            return False
        rows = self._source.read(self._cursor, STEP_ROWS)
        handled = 0
        for seq, row in rows:
            route = (row.pipeline, row.frame.camera) if isinstance(row, TrackBatch) else ("", "")
            app_camera = self._routes.get(route)
            if app_camera is not None and isinstance(row, TrackBatch) and "on_tracks" in self._calls.functions:
                if handled >= STEP_BATCHES or self._held:
                    return True
                handled += 1
                if not self._handle(seq, app_camera, row):
                    return True
            self._cursor, self._dirty = seq, True
            if not self._process.alive():
                return True
        return bool(rows)

    def _handle(self, seq: int, app_camera: str, batch: TrackBatch) -> bool:
        """One batch; whether it is done with. What fails has not happened: no state, no alert."""
        while True:
            try:
                self._held += self._calls.tracks(app_camera, batch)
            except HookError as error:
                picture = f"{batch.frame.camera}, picture {batch.frame.frame_no} of {batch.frame.epoch}"
                count = self._count_failure(seq)
                if count >= ATTEMPTS:
                    self.figures.skipped += 1
                    self._committed_s = -math.inf  # at once: it must not be met again
                    log.error("hook %s: the batch of %s is given up after %d failures", self._hook.key, picture, count)
                    self._failed(error)
                    return True
                self._failed(error)
                if not self._process.alive():
                    return False
                continue
            self.figures.lag_s = max(0.0, self._wall_s() - batch.analysed_wall_s)
            self._works()
            return True

    def _count_failure(self, seq: int) -> int:
        """One more failure of a row; how many in a row. On disk, so that who kills everything is found out too."""
        journal, tried, count = self._tried
        count = count + 1 if (journal, tried) == (self._journal, seq) else 1
        try:
            count = max(count, self._store.note_attempt(self._journal, seq))
        except StorageError as error:
            self._say(error)
        self._tried = (self._journal, seq, count)
        return count

    def _find_place(self) -> bool:
        """Follow the journal where it is another one now; False where there is none."""
        journal = self._source.identity()
        if not journal:
            return False
        if journal != self._journal:
            self._cursor = 0 if self._journal else self._source.position(self._wall_s() - BEGIN_S)
            if self._journal:
                log.warning("hook %s: the journal is another one now; it is read from its start", self._hook.key)
            self._journal, self._dirty, self._committed_s = journal, True, -math.inf
            return False  # committed first: who keeps the journal within its size is to know where this hook stands
        return True

    # -- pictures and timers ------------------------------------------------------------------------------------------

    def _show_picture(self) -> bool:
        if "on_frame" not in self._calls.functions or self._is_suspended("pictures"):
            return False
        picture = self._pictures.due()
        if picture is None:
            return False
        try:
            self._try("pictures", lambda: self._calls.frame(picture))
        finally:
            self._pictures.done(picture)
        return True

    def _fire_timers(self) -> bool:
        """Timers that are due. One that comes too late is not made up for."""
        busy = False
        for number, interval_s in enumerate(self._calls.timers):
            now_s = self._monotonic()
            if now_s < self._due_s[number]:
                continue
            self._due_s[number] += interval_s * (1 + math.floor((now_s - self._due_s[number]) / interval_s))
            name = f"timer {number + 1}"
            if self._process.alive() and not self._is_suspended(name):
                self._try(name, lambda number=number: self._calls.timer(number, self._wall_s()))  # type: ignore[misc]
                busy = True
        return busy

    def _try(self, name: str, call: Callable[[], Sequence[HookEvent]]) -> None:
        """A call that is not made again where it fails."""
        try:
            self._held += call()
        except HookError as error:
            self._failed(error)
            if not self._process.alive():
                self._fatal[name] = self._fatal.get(name, 0) + 1
                if self._fatal[name] >= SUSPEND_AFTER:
                    self._suspended_until_s[name] = self._monotonic() + SUSPEND_S
                    self.figures.suspended = name
                    log.error("hook %s: no %s for %d s: they end it again and again", self._hook.key, name, SUSPEND_S)
            return
        self._fatal.pop(name, None)
        self._dirty = True
        self._works()

    def _is_suspended(self, name: str) -> bool:
        until_s = self._suspended_until_s.get(name)
        if until_s is None:
            return False
        if self._monotonic() < until_s:
            return True
        del self._suspended_until_s[name], self._fatal[name]
        self.figures.suspended = ", ".join(self._suspended_until_s)
        return False

    # -- the process --------------------------------------------------------------------------------------------------

    def _start(self) -> bool:
        now_s = self._monotonic()
        if now_s < self._start_at_s:
            return False
        self.figures.restarts += bool(self._starts)
        self._starts += 1
        try:
            self._held += self._calls.start()
        except VedetteError as error:
            self._process.close()
            self._failed(error)
            refused, broken = error.code in _REFUSALS, error.code in _FAILURES
            self.figures.state = HookState.REFUSED if refused else HookState.FAILED if broken else HookState.RESTARTING
            return False
        self._dirty = True
        self._started_s = self._monotonic()
        self._due_s = [self._started_s + interval_s for interval_s in self._calls.timers]
        self.figures.state = HookState.RUNNING
        log.info("hook %s runs", self._hook.key)
        return True

    def _check(self) -> None:
        try:
            self._process.check()
        except HookError as error:
            self._failed(error)

    def _failed(self, error: VedetteError) -> None:
        """Report, and where the process is gone, say when the next one starts."""
        self._say(error)
        if self._process.alive():
            return
        now_s = self._monotonic()
        if now_s - self._started_s >= HEALTHY_S:
            self._failures = 0
        self._start_at_s = now_s + PACES_S[min(self._failures, len(PACES_S) - 1)]
        self._failures += 1
        self.figures.state = HookState.RESTARTING

    def _works(self) -> None:
        if self._failures and self._monotonic() - self._started_s >= HEALTHY_S:
            self._failures = 0

    def _say(self, error: VedetteError) -> None:
        text = error.message + (f" {error.hint}" if error.hint else "")
        if (error.code, text) != (self.figures.code, self.figures.error):
            log.error("%s", error)
        self.figures.code, self.figures.error = error.code, text

    def _idle_s(self, timeout_s: float) -> float:
        """How long nothing has to be done by itself."""
        now_s = self._monotonic()
        times = [due_s - now_s for due_s in self._due_s] if self._process.alive() else []
        if self._dirty:
            times.append(self._commit_due_s() - now_s)
        return max(0.0, min([timeout_s, *times]))
