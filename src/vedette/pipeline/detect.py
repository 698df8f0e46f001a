"""capture → detect → track: takes each camera's freshest picture, fairly, and writes what was seen to the journal.

Several workers run the one shared model side by side. The worker that is free waits for the cameras' descriptors
itself (a leader, the others follow), so a picture wakes one thread and is handed to no other. A camera is analysed by
one worker at a time, hence in the order of its pictures.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import select
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from vedette.contracts.errors import CameraError, ModelError, VedetteError
from vedette.contracts.plan import PipelinePlan
from vedette.core.scheduling import FairQueue
from vedette.pipeline.attributes import AttributeLook
from vedette.pipeline.camera import BatchTracker, CameraAnalysis, CameraFigures, Figures, Question, camera_fps
from vedette.pipeline.look import Looker
from vedette.ports.frames import FrameLease, FrameReader
from vedette.ports.journal import JournalWriter

logger = logging.getLogger(__name__)

#: Pause between attempts to reach a camera's frame store, seconds, drawn at random: a replaced capture process is
#: found again within the fifth of a second it takes to draw the longest.
RETRY_S: Final = (0.05, 0.2)
#: A model that returns nothing usable for so long, in so many pictures in a row, is given up.
INVALID_S: Final = 1.0
INVALID_PICTURES: Final = 5
#: An analysis that takes longer than this, or than so many times the median, hangs.
HANG_S: Final = 2.0
HANG_MEDIANS: Final = 20
_POLL_S: Final = 1.0


@dataclass(slots=True, eq=False)
class _Camera:
    """A camera and where it stands in the loop.

    Guarded by the loop's lock, but for ``analysis`` and ``looker`` (one worker).
    """

    name: str
    analysis: CameraAnalysis
    looker: Looker
    figures: Figures = field(default_factory=Figures)
    reader: FrameReader | None = None
    retry_at_s: float = 0.0
    started_s: float | None = None
    gone: bool = False
    waiting: tuple[PipelinePlan, ...] | None = None


class DetectLoop:
    """Cameras in, track batches out.

    Args:
        looker: the model, shared by all workers.
        journal: where batches go.
        open_reader: connects to a camera's frame store; raises ``CameraError`` while there is none.
        make_tracker: makes the tracker of a pipeline, going on where the journal ends.
        make_attributes: makes what looks at a pipeline's objects more closely, where it asks for that.
        threads: analyses at the same time.
        usual_run_s: how long one analysis is expected to take, until it is known.
        gap_reason: why nothing was analysed before; the first batches carry it.
        hang_s: least time after which an analysis counts as hanging.
        monotonic: clock of all intervals.
        wall: Unix time.
    """

    def __init__(
        self,
        looker: Looker,
        journal: JournalWriter,
        open_reader: Callable[[str], FrameReader],
        make_tracker: Callable[[PipelinePlan], BatchTracker],
        make_attributes: Callable[[PipelinePlan], AttributeLook | None] = lambda _: None,
        *,
        threads: int,
        usual_run_s: float = 0.0,
        gap_reason: str = "",
        hang_s: float = HANG_S,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._looker = looker
        self._journal = journal
        self._open_reader = open_reader
        self._make_tracker = make_tracker
        self._make_attributes = make_attributes
        self._usual_run_s = usual_run_s
        self._gap_reason = gap_reason
        self._hang_s = hang_s
        self._monotonic = monotonic
        self._wall = wall
        self._lock = threading.Lock()
        self._leader = threading.Lock()
        self._missing = threading.Condition(self._lock)
        self._stopping = threading.Event()
        self._queue = FairQueue()
        self._cameras: dict[str, _Camera] = {}
        self._watched: dict[int, _Camera] = {}
        self._ready: dict[str, _Camera] = {}
        self._invalid_since_s: float | None = None
        self._invalid_in_row = 0
        self._progress = 0
        self._failure: BaseException | None = None
        self._poll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._wake, select.EPOLLIN)
        self._threads = [
            threading.Thread(target=self._guarded, args=(self._keep_connected,), name="attach", daemon=True)
        ] + [
            threading.Thread(target=self._guarded, args=(self._work,), name=f"detect-{n}", daemon=True)
            for n in range(threads)
        ]

    def start(self) -> None:
        """Begin to attach and to analyse."""
        for thread in self._threads:
            thread.start()

    def close(self, timeout_s: float = 2.0) -> bool:
        """End the workers and let go of all cameras. False where a worker hangs: then the process must end."""
        self._stopping.set()
        os.eventfd_write(self._wake, 1)
        with self._missing:
            self._missing.notify_all()
        deadline_s = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline_s - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            return False
        for camera in self._cameras.values():
            if camera.reader is not None:
                camera.reader.close()
        self._cameras.clear()
        self._poll.close()
        os.close(self._wake)
        return True

    def set_pipelines(self, pipelines: Sequence[PipelinePlan]) -> None:
        """Replace what is analysed. Cameras and pipelines that stay go on without a break."""
        wanted: dict[str, list[PipelinePlan]] = {}
        for plan in pipelines:
            wanted.setdefault(plan.camera, []).append(plan)
        with self._missing:
            for name in [name for name in self._cameras if name not in wanted]:
                camera = self._cameras.pop(name)
                camera.gone = True
                if camera.started_s is None:
                    self._detach(camera)
            for name, plans in wanted.items():
                known = self._cameras.get(name)
                if known is None:
                    known = self._cameras[name] = _Camera(
                        name,
                        CameraAnalysis(plans, self._make_tracker, self._make_attributes),
                        self._looker.for_camera(),
                    )
                    known.analysis.note_gap(self._gap_reason)
                elif known.started_s is None:
                    known.analysis.set_pipelines(plans)
                else:  # its worker takes them over when it is done
                    known.waiting = tuple(plans)
            self._gap_reason = ""  # true of the cameras that were there at the start, not of those that come later
            self._queue.set_weights({name: camera_fps(plans) for name, plans in wanted.items()})
            self._missing.notify_all()

    @property
    def progress(self) -> int:
        """Counts analyses that ended, whatever came of them."""
        return self._progress

    @property
    def failure(self) -> BaseException | None:
        """Why the loop cannot go on: ``ModelError`` where the model is to blame."""
        return self._failure

    def stalled(self) -> str:
        """Which analysis hangs, for people; empty where none does."""
        now_s = self._monotonic()
        with self._lock:
            running = [(now_s - c.started_s, c) for c in self._cameras.values() if c.started_s is not None]
            if not running:
                return ""
            age_s, camera = max(running, key=lambda entry: entry[0])
            if age_s <= self._hang_s:
                return ""
            medians = sorted(run_s for c in self._cameras.values() if (run_s := c.figures.median_run_s) > 0)
        usual_s = medians[len(medians) // 2] if medians else self._usual_run_s
        limit_s = max(self._hang_s, HANG_MEDIANS * usual_s)
        if age_s <= limit_s:
            return ""
        return f"the analysis of a picture of {camera.name} has not ended after {age_s:.1f} s (usual: {usual_s:.3f} s)"

    def figures(self) -> dict[str, CameraFigures]:
        """How each camera's analysis goes."""
        now_s = self._monotonic()
        with self._lock:
            return {name: c.figures.snapshot(now_s, c.reader is not None) for name, c in sorted(self._cameras.items())}

    def _guarded(self, work: Callable[[], None]) -> None:
        """The outermost frame of each thread: without it one would vanish unnoticed."""
        try:
            work()
        except Exception as error:
            logger.exception("thread %s of the detection failed", threading.current_thread().name)
            self._failure = self._failure or error
            self._stopping.set()

    def _work(self) -> None:
        """One worker."""
        while (camera := self._next()) is not None:
            self._analyse(camera)

    def _next(self) -> _Camera | None:
        """Whose freshest picture is analysed next; waits until there is one. None: the loop ends."""
        with self._leader:
            while not self._stopping.is_set():
                events = self._poll.poll(0 if self._ready else _POLL_S)
                with self._lock:
                    for descriptor, _ in events:
                        camera = self._watched.get(descriptor)
                        if camera is not None and camera.started_s is None and not camera.gone:
                            self._ready[camera.name] = camera
                    chosen = self._queue.pick(self._ready)
                    if chosen is not None:
                        camera = self._ready.pop(chosen)
                        if camera.reader is not None:
                            camera.started_s = self._monotonic()
                            return camera
        return None

    def _analyse(self, camera: _Camera) -> None:
        """One camera's freshest picture, start to end."""
        reader = camera.reader
        assert reader is not None
        lost = ""
        try:
            lease = reader.latest()
            # Asked for before the analysis, so that the next picture is known when it ends; asked for again where
            # there was none after all, because being woken ends the request.
            reader.arm(lease.info if lease is not None else camera.analysis.last, 1.0 / camera.analysis.fps)
            if lease is not None:
                self._picture(camera, lease)
        except CameraError as error:
            lost = error.message
        finally:
            self._done(camera, lost)

    def _picture(self, camera: _Camera, lease: FrameLease) -> None:
        """Detect, track, look closer where asked for, give the picture back, append."""
        info, analysis, figures = lease.info, camera.analysis, camera.figures
        if not analysis.accepts(info):
            lease.release()
            return
        figures.missed += analysis.missed_before(info)
        question = analysis.ask(info, lease.pixels)
        started_s = self._monotonic()
        try:
            found = {view: camera.looker.look(lease.pixels, view, info.t_s) for view in question.views}
            ended_s = self._monotonic()
            # Where objects are looked at more closely the picture is kept meanwhile; else it goes back at once.
            pixels = lease.pixels if analysis.needs_pixels else None
            if not (lease.intact if pixels is not None else lease.release()):
                lease.release()
                self._torn(camera, question)
                return
            batches = analysis.answer(question, found, pixels)
        except ModelError as error:
            lease.release()
            self._invalid(camera, question, error)
            return
        except BaseException:
            lease.release()
            raise
        if pixels is not None and not lease.release():  # overwritten while it was looked at: what was seen is not sure
            figures.torn += 1
            batches = [replace(batch, attributes=()) for batch in batches]
        for batch in batches:
            self._journal.append(batch)
        self._invalid_in_row, self._invalid_since_s = 0, None
        run_s = ended_s - started_s if question.views else None
        figures.add(ended_s, run_s, max(0.0, self._wall() - info.wall_s))
        figures.error = analysis.problem

    def _torn(self, camera: _Camera, question: Question) -> None:
        """The picture was overwritten while it was analysed."""
        camera.figures.torn += 1
        camera.figures.missed += 1
        camera.figures.error = "V205 the analysis took longer than the picture could be kept"
        camera.analysis.fail(question, "the analysis took longer than the picture could be kept")

    def _invalid(self, camera: _Camera, question: Question, error: ModelError) -> None:
        """A picture that came to nothing because of the model; after enough of them the model is given up."""
        camera.figures.invalid += 1
        camera.figures.missed += 1
        camera.figures.error = f"{error.code} {error.message}"
        camera.analysis.fail(question, camera.figures.error)
        now_s = self._monotonic()
        with self._lock:
            self._invalid_in_row += 1
            if self._invalid_since_s is None:
                self._invalid_since_s = now_s
                logger.warning("%s", error)
            if self._invalid_in_row >= INVALID_PICTURES and now_s - self._invalid_since_s >= INVALID_S:
                self._failure = self._failure or error
                self._stopping.set()

    def _done(self, camera: _Camera, lost: str) -> None:
        """The worker is through with a camera: wait for its next picture, or for its frame store to come back."""
        with self._missing:
            self._progress += 1
            camera.started_s = None
            if camera.waiting is not None:
                camera.analysis.set_pipelines(camera.waiting)
                camera.waiting = None
            if lost and not camera.gone:
                logger.info("camera %s: %s", camera.name, lost)
                camera.figures.error = f"V205 {lost}"
            if lost or camera.gone:
                self._detach(camera)
            elif camera.reader is not None:
                try:
                    self._poll.modify(camera.reader.fileno(), select.EPOLLIN | select.EPOLLONESHOT)
                except (OSError, ValueError):
                    self._detach(camera)

    def _detach(self, camera: _Camera) -> None:
        """Let go of a frame store. With the lock held."""
        reader, camera.reader = camera.reader, None
        if self._ready.get(camera.name) is camera:
            del self._ready[camera.name]
        for descriptor in [d for d, c in self._watched.items() if c is camera]:
            del self._watched[descriptor]
            with contextlib.suppress(OSError):  # closed by the other side's end
                self._poll.unregister(descriptor)
        if reader is not None:
            reader.close()
        camera.retry_at_s = self._monotonic()
        self._missing.notify_all()

    def _keep_connected(self) -> None:
        """Connect to the frame stores of cameras that have none, again and again."""
        while not self._stopping.is_set():
            with self._missing:
                lacking = [c for c in self._cameras.values() if c.reader is None]
                if not lacking:
                    self._missing.wait(_POLL_S)
                    continue
                now_s = self._monotonic()
                due = [c for c in lacking if c.retry_at_s <= now_s]
                for camera in due:
                    camera.retry_at_s = now_s + random.uniform(*RETRY_S)  # noqa: S311 - spreads attempts, guards nothing
            for camera in due:
                self._attach(camera)
            self._stopping.wait(RETRY_S[0] / 2)

    def _attach(self, camera: _Camera) -> None:
        """One attempt."""
        try:
            reader = self._open_reader(camera.name)
        except VedetteError as error:  # also where its name makes the path of its socket too long
            camera.figures.error = f"{error.code} {error.message}"
            return
        try:
            reader.arm(camera.analysis.last, 1.0 / camera.analysis.fps)
        except CameraError as error:
            camera.figures.error = f"{error.code} {error.message}"
            reader.close()
            return
        with self._lock:
            if camera.gone or self._stopping.is_set() or self._cameras.get(camera.name) is not camera:
                reader.close()
                return
            camera.reader = reader
            camera.figures.error = ""
            self._watched[reader.fileno()] = camera
            self._poll.register(reader.fileno(), select.EPOLLIN | select.EPOLLONESHOT)
