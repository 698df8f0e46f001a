"""The code of a Panorama application in a backtest: the same confined program, a picture at a time."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from vedette.adapters.models.store import ModelStore
from vedette.adapters.panorama.console import Console
from vedette.adapters.panorama.process import PanoramaProcess
from vedette.adapters.panorama.recorded import LockStep, RecordedPicture
from vedette.adapters.panorama.server import PanoramaServer
from vedette.compose.panorama_models import PanoramaModels
from vedette.compose.panorama_place import ProgramPlace, interface_of
from vedette.contracts.errors import HookError
from vedette.contracts.frames import FrameInfo
from vedette.contracts.plan import PanoramaPlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.pixels import Pixels
from vedette.core.sampling import Sampler
from vedette.pipeline.drawn import OutputTracks
from vedette.pipeline.track import PipelineTracker

log = logging.getLogger(__name__)

#: For imports and the first run of a model on a loaded machine, and for each picture after that.
START_LIMIT_S: Final = 180.0
PICTURE_LIMIT_S: Final = 60.0
#: After the last picture: what threads of the code still work on is waited for while it comes.
QUIET_S: Final = 1.0


class _Collected:
    """Takes batches as a journal does; threads of the server append, the backtest takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: list[TrackBatch] = []

    def append(self, batch: TrackBatch) -> None:
        """Keep a batch."""
        with self._lock:
            self._batches.append(batch)

    def close(self) -> None:
        """There is nothing to let go of."""

    def take(self) -> list[TrackBatch]:
        """What has come since the last time, in the order in which the code put it."""
        with self._lock:
            batches, self._batches = self._batches, []
            return batches


class BacktestPanorama:
    """One application's code on recordings. Use as a context manager.

    Args:
        plan: what it gets.
        python: interpreter that runs it.
        trust: whether it runs where it cannot be confined.
    """

    def __init__(self, plan: PanoramaPlan, *, python: Path, trust: bool = False) -> None:
        self._plan = plan
        self._python = python
        self._trust = trust
        self._stack = ExitStack()
        self._steps = LockStep(tuple(plan.inputs))
        self._collected = _Collected()
        self._samplers = {one.camera: Sampler(plan.settings.fps) for cameras in plan.inputs.values() for one in cameras}
        self._begun = False
        self._console: Console
        self._process: PanoramaProcess
        self._server: PanoramaServer

    def __enter__(self) -> BacktestPanorama:
        """Load the models and start the program.

        Raises:
            ModelError: a model is missing or does not fit.
            HookError: V801, V805 or V808, the program cannot be started.
        """
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and forget what it wrote."""
        self._stack.close()

    def step(self, info: FrameInfo, pixels: Pixels) -> list[TrackBatch]:
        """Give it one picture, and wait until it asks for another.

        Args:
            info: which picture it is.
            pixels: not to be changed any more.

        Returns:
            What it has put meanwhile, which with code of several threads may be of earlier pictures.

        Raises:
            HookError: V803, it does not ask for the next picture; V808, it has ended.
        """
        sampler = self._samplers.get(info.camera)
        if sampler is None or not sampler.wants(info.t_s):
            return self._collected.take()
        picture = RecordedPicture(info.camera, info, pixels)
        for port, cameras in self._plan.inputs.items():
            if info.camera in [one.camera for one in cameras]:
                self._steps.give(port, picture)
        limit_s = PICTURE_LIMIT_S if self._begun else START_LIMIT_S
        self._begun = True
        if not self._steps.idle(limit_s, lambda: not self._process.alive()):
            raise self._stuck(limit_s)
        return self._collected.take()

    def finish(self) -> list[TrackBatch]:
        """After the last picture: what its threads still put."""
        seen, since_s = self._server.figures.puts, time.monotonic()
        while self._process.alive() and time.monotonic() - since_s < QUIET_S:
            if self._server.figures.puts >= self._server.figures.pictures:
                break
            if self._server.figures.puts != seen:
                seen, since_s = self._server.figures.puts, time.monotonic()
            self._process.wait(0.02)
        return self._collected.take()

    @property
    def call_s(self) -> tuple[float, ...]:
        """Seconds that the last calls of models took, as the host sees it."""
        return tuple(self._server.figures.call_s)

    def _stuck(self, limit_s: float) -> HookError:
        application = self._plan.application
        said = self._console.last_lines(12)
        lines = f"\n{said}" if said else ""
        if not self._process.alive():
            self._process.close()
            return HookError(
                f"application {application}: its program ended: {self._process.exit_reason()}.{lines}",
                hint="Correct the code, or choose the interpreter that it was written for with --app-python.",
                code="V808",
            )
        return HookError(
            f"application {application}: it did not ask for the next picture within {limit_s:g} s.{lines}",
            hint="In a backtest the code gets one picture after another: it has to call get() in a loop.",
            code="V803",
        )

    def _start(self) -> None:
        plan = self._plan
        models = PanoramaModels(plan.models, ModelStore.default())
        models.load()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="vedette-panorama-")))
        folder.chmod(0o755)
        place = ProgramPlace(plan, home=folder, run=folder / "run", socket=folder / "host.sock")
        place.make_folders()
        outputs = OutputTracks(
            plan.application,
            plan.app_cameras,
            plan.settings.fps,
            self._collected,
            lambda pipeline: PipelineTracker(pipeline, ()),
        )
        interface = interface_of(plan, self._steps.sources, plan.values.__getitem__, models, outputs)
        self._server = self._stack.enter_context(place.serving(interface))
        self._console = Console(plan.application, folder / "logs")
        self._process = PanoramaProcess(place.settings(self._python, "backtest", trust=self._trust), self._console)
        self._stack.callback(self._end)
        self._process.start()

    def _end(self) -> None:
        with contextlib.suppress(HookError):
            self._process.close()


def drawn_pipelines(plans: Sequence[PanoramaPlan]) -> frozenset[str]:
    """Pipelines whose batches come from drawing."""
    return frozenset(pipeline for plan in plans for pipeline in plan.pipelines.values())
