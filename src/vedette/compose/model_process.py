"""One model's process, put together: gate, session, cameras, journal.

What needs NumPy and ONNX Runtime is imported while the gate's canary runs, so that the check costs next to no time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vedette.adapters.engines.accelerators import Accelerator, check_precision
from vedette.adapters.engines.confine import bound_memory
from vedette.adapters.engines.gate import Gate, memory_bytes, read_model
from vedette.adapters.engines.neo_archive import is_neo_archive
from vedette.adapters.models.store import ModelStore, resolve_model
from vedette.adapters.state.layout import StateLayout
from vedette.adapters.state.plan_file import PlanFile
from vedette.adapters.supervision import ChildLink
from vedette.compose.attribute_models import AttributeModels
from vedette.compose.gate_memory import WELL_S, trial_mark
from vedette.compose.model_spec import ModelSpec, ModelState
from vedette.compose.processes import configure_logging
from vedette.compose.successor import Successor, bare, goes_on, replaceable
from vedette.compose.track_copies import TrackCopies
from vedette.contracts.errors import ModelError, StorageError, VedetteError
from vedette.contracts.manifest import Model
from vedette.contracts.plan import ModelPlan, PipelinePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.plan import same_session

if TYPE_CHECKING:
    from vedette.adapters.engines.engine_build import EngineBuild
    from vedette.pipeline.camera import BatchTracker
    from vedette.pipeline.detect import DetectLoop
    from vedette.ports.detector import Detector, SequenceDetector

logger = logging.getLogger(__name__)

#: How often the main thread looks at everything and reports life.
TICK_S: Final = 0.2
#: How often the plan's file is looked at, and figures are sent.
PLAN_S: Final = 0.5
FIGURES_S: Final = 1.0
#: A model that was refused is tried again after this time, or when its file or the plan changes.
MODEL_RETRY_S: Final = 30.0
#: The disk may have room again sooner than a model repairs itself.
STORAGE_RETRY_S: Final = 2.0
#: Longest time for gate and load; after it the process is replaced.
LOAD_LIMIT_S: Final = 120.0
#: Nice value of what gives way to everything else.
LOWEST_PRIORITY: Final = 19
#: Such a process may have to wait for the processor in the middle of an analysis.
BACKGROUND_HANG_S: Final = 30.0
#: What one run of a detector that comes with the program usually takes, until it is known.
BUILT_IN_RUN_S: Final = 0.02
#: Track batches kept for publication between two looks.
_PUBLISH_LIMIT: Final = 64


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A model that can be used: itself, the usual time of a run, why it does not run where it should, how to end it.

    With ``build``, an engine that is built meanwhile; then ``degraded`` says so.
    """

    detector: Detector | SequenceDetector
    run_s: float
    degraded: str
    close: Callable[[], None] = lambda: None
    build: EngineBuild | None = None


class ModelProcess:
    """Loads one model and analyses its cameras until the supervisor closes the link.

    Args:
        link: to the supervisor.
        monotonic: clock of all intervals.
    """

    def __init__(self, link: ChildLink, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._spec = ModelSpec.model_validate(link.spec)
        self._layout = StateLayout(Path(self._spec.state_directory))
        self._store = ModelStore(Path(self._spec.model_directory))
        self._attributes = AttributeModels(self._store, monotonic, self._spec.passed_parts)
        self._plan_file = PlanFile(self._layout.plan)
        self._monotonic = monotonic
        self._plan: ModelPlan | None = None
        self._plan_at_s = self._figures_at_s = float("-inf")
        self._tracks: deque[TrackBatch] = deque(maxlen=_PUBLISH_LIMIT)
        self._gap_reason = f"inference was restarted: {link.reason}" if link.restarts else ""
        self._progress = 0
        self._digest = self._unbuilt = self._renewed = self._trial_mark = ""
        self._store_mark: tuple[int, int, int] | None = None
        self._passed = (self._spec.passed, self._spec.passed_run_s)
        # Only where the store may bring another version under the name: what runs, what ran well, what was refused.
        self._running: tuple[Model, bytes] | None = None
        self._good: tuple[Model, bytes] | None = None
        self._refused: tuple[str, VedetteError] | None = None
        self._told: ModelState | None = None

    def run(self) -> None:
        """Serve until the link is closed.

        Raises:
            Exception: a worker failed in a way nobody foresaw; the process is replaced.
        """
        while not self._link.closed.is_set():
            if self._look_at_plan() is None:
                self._tell(ModelState.WAITING, "the plan does not mention this model")
                self._link.closed.wait(TICK_S)
                continue
            failed: VedetteError | None = None
            try:
                self._serve()
            except VedetteError as error:
                failed = bare(error)
            if failed is not None and not self._gives_way(failed):
                self._rest(failed)

    def give_way(self) -> None:
        """In the background: run when nobody else wants to. Pictures that are not reached in time are left out."""
        if self._spec.background:
            os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY)

    def _serve(self) -> None:
        """Load, analyse, until the link is closed or something fails."""
        plan = self._plan
        assert plan is not None
        loaded = self._load(plan)
        if loaded is None:
            return
        from vedette.adapters.journal.sqlite import SqliteJournalWriter
        from vedette.pipeline.detect import HANG_S, DetectLoop
        from vedette.pipeline.look import Looker

        while not self._attributes.prepare(plan.pipelines):
            self._tell(ModelState.LOADING, "the models of attributes are being checked")
            if self._link.closed.wait(TICK_S):
                return
        journal = SqliteJournalWriter(self._layout.root / "journal.db", self._layout.run / "alerting.bell")
        loop = DetectLoop(
            Looker(loaded.detector, nms_iou=plan.model.nms_iou, class_agnostic=plan.model.class_agnostic_nms),
            TrackCopies(journal, self._tracks) if self._spec.publish_tracks else journal,
            self._open_reader,
            lambda pipeline: self._make_tracker(pipeline, loaded.detector.labels),
            self._attributes.look,
            threads=self._spec.threads,
            usual_run_s=loaded.run_s,
            gap_reason=self._gap_reason,
            hang_s=BACKGROUND_HANG_S if self._spec.background else HANG_S,
        )
        self._gap_reason = ""
        try:
            loop.set_pipelines(plan.pipelines)
            loop.start()
            if loaded.build is not None:
                loaded.build.start()  # by the main thread: the one that loaded has ended
            self._watch(loop, plan, loaded)
        finally:
            if loaded.build is not None:
                loaded.build.close()
            ended = loop.close()
            journal.close()
            loaded.close()
            if not ended:
                self._link.stalled("an analysis does not end")

    def _watch(self, loop: DetectLoop, plan: ModelPlan, loaded: _Loaded) -> None:
        """The main thread while pictures are analysed: reports life only while there is some."""
        degraded, build = loaded.degraded, loaded.build
        state = ModelState.BUILDING if build else ModelState.DEGRADED if degraded else ModelState.RUNNING
        code, text = (degraded[:4], degraded[5:]) if degraded else ("", "")
        problem = self._attributes.problem
        well_s = self._monotonic() + WELL_S
        successor: Successor | None = None
        while not self._link.closed.wait(TICK_S):
            if loop.failure is not None:
                raise loop.failure
            if reason := loop.stalled():
                self._link.stalled(reason)
                continue
            new = self._look_at_plan()
            if new is None or not same_session(new, plan):
                return
            if self._replaced(plan):
                successor = Successor(partial(self._read, plan), plan.model)
            if successor is not None and (tried := successor.poll()) is not None:
                successor = None
                if tried.error is None:
                    self._passed, self._good = (tried.mark, tried.run_s), self._good or self._running
                    return
                logger.error("%s; the version that runs goes on", tried.error)
                self._digest, self._good, self._refused = tried.digest, self._running, (tried.digest, tried.error)
                state, code, text = ModelState.DEGRADED, tried.error.code, goes_on(tried.error)
            if build is not None and (why := build.poll()) is not None:
                if not why:
                    return  # to be loaded anew, with the engine
                build, self._unbuilt = None, self._digest
                state, text = ModelState.DEGRADED, f"{text.split(';')[0]}; {why}."
                logger.warning("V306 %s", text)
            ready = self._attributes.prepare(new.pipelines)
            if ready and (new.pipelines != plan.pipelines or self._attributes.problem != problem):
                plan, problem = new, self._attributes.problem
                loop.set_pipelines(plan.pipelines)
            self._progress = loop.progress
            if self._trial_mark and self._monotonic() >= well_s:
                self._link.send({"passed": self._trial_mark, "run_s": loaded.run_s, "parts": self._attributes.marks})
                self._trial_mark = ""
            if self._monotonic() >= well_s:
                self._good = self._running
            if problem is not None:
                self._tell(ModelState.DEGRADED, problem.message, problem.code, loop)
            else:
                self._tell(state, text, code, loop)
            while self._tracks:
                batch = self._tracks.popleft()
                self._link.send({"tracks": batch.frame.camera, "batch": batch.to_json().decode()})

    def _load(self, plan: ModelPlan) -> _Loaded | None:
        """Gate and session, in a thread, so that life is reported meanwhile. None: the link was closed."""
        self._tell(ModelState.LOADING, "the model is being checked")
        started_s = self._monotonic()
        with ThreadPoolExecutor(1, thread_name_prefix="load") as pool:
            future: Future[_Loaded] = pool.submit(self._load_now, plan)
            done = threading.Event()
            future.add_done_callback(lambda _: done.set())
            while not done.wait(TICK_S):
                if self._link.closed.is_set():
                    return None
                if self._monotonic() - started_s > LOAD_LIMIT_S:
                    self._link.stalled(f"loading the model has not ended after {LOAD_LIMIT_S:g} s")
                self._tell(ModelState.LOADING, "the model is being checked")
            return future.result()

    def _load_now(self, plan: ModelPlan) -> _Loaded:
        if plan.model.built_in:
            from vedette.compose.built_in import built_in_detector

            return _Loaded(built_in_detector(plan.model), BUILT_IN_RUN_S, "")
        self._trial_mark, self._store_mark, self._digest = "", self._mark(), ""
        data = self._read(plan)
        self._digest = hashlib.sha256(data).hexdigest()
        good, refused = self._good, self._refused
        if good is None or refused is None or (good[0], refused[0]) != (plan.model, self._digest):
            return self._load_data(data, plan)
        loaded = self._load_data(good[1], plan)
        return replace(loaded, degraded=loaded.degraded or f"{refused[1].code} {goes_on(refused[1])}")

    def _read(self, plan: ModelPlan) -> bytes:
        return read_model(resolve_model(plan.file, None, self._store), plan.model)

    def _load_data(self, data: bytes, plan: ModelPlan) -> _Loaded:
        """A model by its bytes; tried first, unless it ran well in the process before, or this one has tried it."""
        self._running = (plan.model, data) if replaceable(plan) else None
        if is_neo_archive(data):
            from vedette.adapters.engines.dlr import DlrDetector

            compiled = DlrDetector(data, plan.model, self._spec.dlr_python)
            return _Loaded(compiled, compiled.trial(), "", compiled.close)
        self._trial_mark = trial_mark(data, plan.model)
        mark, run_s = self._passed
        if self._trial_mark != mark or run_s <= 0:
            with Gate(data, plan.model).start() as gate:
                import_module("vedette.adapters.engines.onnx")  # while the canary runs
                run_s = gate.result().run_s
            self._passed = (self._trial_mark, run_s)  # it may be loaded again: with its engine, or the disk has room
        return self._load_onnx(data, plan.model, run_s)

    def _load_onnx(self, data: bytes, model: Model, run_s: float) -> _Loaded:
        """Where TensorRT has no engine of it yet, CUDA or the processor runs it until there is one."""
        from vedette.adapters.engines.engine_build import plan_engine
        from vedette.adapters.engines.onnx import OnnxDetector

        spec = self._spec
        limits = Accelerator(spec.gpu, spec.gpu_memory_bytes, spec.engine_workspace_bytes, model.precision)
        check_precision(data, model.file, model.precision)
        plan = plan_engine(data, model, limits, self._layout.engines)
        detector = OnnxDetector(data, model, plan.accelerator, plan.require)
        if detector.provider == "CPU":  # drivers of other devices map more than any limit could tell from greed
            bound_memory(memory_bytes(data))
        if (engines := plan.accelerator.engines) is not None and detector.degraded and self._renewed != self._digest:
            self._renewed = self._digest  # it is whole and does not load: once more, never in turns for ever
            shutil.rmtree(engines, ignore_errors=True)
            plan = plan_engine(data, model, limits, self._layout.engines)
        if plan.build is None:
            return _Loaded(detector, run_s, detector.degraded)
        degraded = f"V306 {model.file} requires tensorrt; {detector.provider} runs it"
        if self._unbuilt == self._digest:
            return _Loaded(detector, run_s, f"{degraded}; TensorRT could not build its engine before.")
        degraded += ", while TensorRT builds its engine, which may take minutes."
        return _Loaded(detector, run_s, degraded, build=plan.build)

    def _gives_way(self, error: VedetteError) -> bool:
        """Whether the version that ran well before takes the place of one that is refused or gives nothing usable."""
        good, failed = self._good, self._running
        if not isinstance(error, ModelError) or good is None or failed is None or good[0] != failed[0]:
            return False
        if good[1] == failed[1]:
            return False
        logger.error("%s; the version that ran before goes on", error)
        self._refused, self._passed = (self._digest, error), ("", 0.0)
        return True

    def _rest(self, error: VedetteError) -> None:
        """Say what is wrong, and wait until there is reason to try again."""
        logger.error("%s", error)
        until_s = self._monotonic() + (STORAGE_RETRY_S if isinstance(error, StorageError) else MODEL_RETRY_S)
        before, plan = self._mark(), self._plan
        while not self._link.closed.is_set() and self._monotonic() < until_s:
            hint = f" {error.hint}" if error.hint else ""
            self._tell(ModelState.FAILED, error.message + hint, error.code)
            self._link.closed.wait(TICK_S)
            if self._mark() != before or self._look_at_plan() != plan:
                return

    def _tell(self, state: ModelState, text: str = "", code: str = "", loop: DetectLoop | None = None) -> None:
        """A sign of life; with everything known, once a second."""
        now_s = self._monotonic()
        if now_s - self._figures_at_s < FIGURES_S and state == self._told:
            self._link.beat(self._progress)
            return
        self._figures_at_s, self._told = now_s, state
        figures = loop.figures() if loop is not None else {}
        cameras = {name: entry.as_json() for name, entry in figures.items()}
        self._link.beat(self._progress, state=state.value, error=text, code=code, cameras=cameras)

    def _look_at_plan(self) -> ModelPlan | None:
        """This model's part of the plan, read again where the file has changed."""
        now_s = self._monotonic()
        if now_s - self._plan_at_s >= PLAN_S:
            self._plan_at_s = now_s
            if self._plan_file.changed():
                try:
                    plan = self._plan_file.read()
                except StorageError as error:
                    logger.error("%s", error)
                else:
                    models = plan.models if plan is not None else ()
                    self._plan = next((model for model in models if model.key == self._spec.key), None)
        return self._plan

    def _mark(self) -> tuple[int, int, int] | None:
        """Tells one version of the model's file from another: of the file itself, or of the store that names it."""
        file = Path(self._plan.file if self._plan is not None else "")
        try:
            info = os.stat(file if file.is_absolute() else self._store.directory)
        except OSError:
            return None
        return info.st_ino, info.st_mtime_ns, info.st_size

    def _replaced(self, plan: ModelPlan) -> bool:
        """Whether the store has another model under the name now: a component of the fleet brought a new version."""
        if not replaceable(plan):
            return False
        mark = self._mark()
        if mark == self._store_mark:
            return False
        self._store_mark = mark
        try:
            entry = self._store.find(plan.file)
        except StorageError as error:
            logger.error("%s", error)
            return False
        return entry is not None and entry.sha256 != self._digest

    def _open_reader(self, camera: str) -> Any:
        from vedette.adapters.frames import FrameStoreClient

        return FrameStoreClient(self._layout.frames / f"{camera}.sock")

    def _make_tracker(self, pipeline: PipelinePlan, labels: tuple[str, ...]) -> BatchTracker:
        """A tracker that goes on where the journal ends. For many, reading a long one takes seconds."""
        from vedette.compose.resumed_tracker import resumed_tracker

        self._link.beat(self._progress)
        return resumed_tracker(self._layout.root / "journal.db", pipeline, labels)


def main() -> None:
    """Entry point of the process. Whatever nobody foresaw ends it, and the supervisor starts a new one."""
    link = ChildLink()
    configure_logging()
    process = ModelProcess(link)
    process.give_way()
    process.run()
