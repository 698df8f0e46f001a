"""The program of one Panorama application put together: models, pictures, server, confined process, in a thread."""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vedette.adapters.hooks.broker import Broker
from vedette.adapters.hooks.directory import DataDirectory
from vedette.adapters.hooks.reactor import Reactor
from vedette.adapters.hooks.room import Finding, Room
from vedette.adapters.journal.sqlite import SqliteJournalWriter
from vedette.adapters.models.store import ModelStore
from vedette.adapters.panorama.code_files import check_code
from vedette.adapters.panorama.console import Console
from vedette.adapters.panorama.live import LivePictures
from vedette.adapters.panorama.process import PanoramaProcess
from vedette.adapters.panorama.server import PanoramaServer
from vedette.adapters.state.layout import StateLayout
from vedette.compose.hosted_hook import refusal_of_network
from vedette.compose.panorama_figures import PanoramaFigures
from vedette.compose.panorama_models import PanoramaModels
from vedette.compose.panorama_place import ProgramPlace, interface_of
from vedette.compose.resumed_tracker import resumed_tracker
from vedette.contracts.config import NetworkCeiling
from vedette.contracts.errors import HookError, StorageError, VedetteError
from vedette.contracts.plan import PanoramaPlan
from vedette.core.port_values import PortValue
from vedette.pipeline.drawn import OutputTracks, PictureTap

log = logging.getLogger(__name__)

#: How often the program is looked at.
STEP_S: Final = 0.2
#: A program that ended is started again after these pauses; from the start of them once it ran for so long.
PAUSES_S: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
STEADY_S: Final = 60.0
#: What cannot be used is tried again: a disk soon, a model or code not before somebody had time to bring another.
STORAGE_RETRY_S: Final = 2.0
RETRY_S: Final = 30.0
#: A model of the store may be replaced under its name.
STORE_S: Final = 5.0
#: Longest that the thread makes no step: reading and trying models, starting a process on a slow disk.
HANG_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class ProgramSettings:
    """What the device says of the program.

    Attributes:
        layout: the state directory.
        store: where models without a path are.
        python: interpreter that runs it.
        device: name of the device.
        region: of the account; empty where there is none.
        trust: whether it runs where it cannot be confined.
        ceiling: whether it may have a network.
    """

    layout: StateLayout
    store: ModelStore
    python: Path
    device: str = ""
    region: str = ""
    trust: bool = False
    ceiling: NetworkCeiling = NetworkCeiling.WITHOUT_PICTURES


class PanoramaProgram:
    """Runs the program of one application until stopped, whatever becomes of it.

    Args:
        plan: what it gets; the values of its parameter ports apart.
        settings: of the device.
        value: parameter port → value as it is now.
        tap: who looks at the pictures that it puts.
        gap_reason: why it did not run before.
        monotonic: clock of all intervals.
    """

    def __init__(
        self,
        plan: PanoramaPlan,
        settings: ProgramSettings,
        value: Callable[[str], PortValue],
        tap: PictureTap | None = None,
        gap_reason: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._settings = settings
        self._value = value
        self._tap = tap
        self._gap_reason = gap_reason
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._models = PanoramaModels(plan.models, settings.store)
        self._place = ProgramPlace(
            plan,
            home=settings.layout.panorama / plan.application,
            run=settings.layout.run / "panorama" / plan.application,
            socket=settings.layout.run / f"panorama-{zlib.crc32(plan.application.encode()):08x}.sock",
        )
        self._pauses = 0
        self._process: PanoramaProcess | None = None
        self._seen_s = monotonic()
        self.figures = PanoramaFigures(monotonic)
        self._thread = threading.Thread(target=self._run, name="panorama", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end."""
        self._stopping.set()
        process = self._process
        if process is not None:
            process.terminate()

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the program, not for everything to be tidied up."""
        process = self._process
        if process is not None:
            process.wait(timeout_s)
        else:
            self._thread.join(timeout_s)

    def hung(self) -> str:
        """What hangs so that only a new process helps; empty where nothing does."""
        if self._monotonic() - self._seen_s > HANG_S:
            return "the thread that looks after the program hangs"
        node = self._models.hung()
        return f"a run of model node {node} does not end" if node else ""

    # -- in its thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._serve()
                pause_s = PAUSES_S[min(self._pauses, len(PAUSES_S) - 1)]
                self._pauses += 1
            except VedetteError as error:
                log.error("application %s: %s", self._plan.application, error)
                self.figures.failed(error)
                pause_s = STORAGE_RETRY_S if isinstance(error, StorageError) else RETRY_S
            except Exception as error:  # a thread's outermost frame: without it the program would vanish unnoticed
                log.exception("application %s: its host failed and begins anew", self._plan.application)
                self.figures.failed(
                    HookError(f"its host failed ({type(error).__name__}) and begins anew.", code="V808")
                )
                pause_s = RETRY_S
            self._seen_s = self._monotonic()
            self._stopping.wait(pause_s)

    def _serve(self) -> None:
        """One life of the program, from its models to its end."""
        plan, layout = self._plan, self._settings.layout
        self.figures.loading("its models are being checked" if plan.models else "its code is being checked")
        self._models.load()
        self.figures.degraded = self._models.degraded
        check_code(plan.application, Path(plan.directory), plan.settings.code, plan.code)
        self._seen_s = self._monotonic()
        with ExitStack() as stack:
            room = self._room()
            journal = stack.enter_context(
                closing(SqliteJournalWriter(layout.root / "journal.db", layout.run / "alerting.bell"))
            )
            outputs = self._outputs(journal)
            sources = {
                port: stack.enter_context(
                    closing(LivePictures([one.camera for one in cameras], plan.settings.fps, layout.frames))
                )
                for port, cameras in plan.inputs.items()
            }
            interface = interface_of(plan, sources, self._value, self._models, outputs)
            server = stack.enter_context(self._place.serving(interface, self._monotonic))
            self._live(room, server, outputs, sources)

    def _live(
        self,
        room: Room,
        server: PanoramaServer,
        outputs: OutputTracks,
        sources: Mapping[str, LivePictures],
    ) -> None:
        plan = self._plan
        console = Console(plan.application, self._place.home / "logs")
        brokers: list[Broker] = []

        def make_broker(reactor: Reactor) -> Broker:
            refusal = refusal_of_network(
                "application", self._settings.ceiling, wanted=True, pictures=any(plan.inputs.values())
            )
            brokers.append(Broker(plan.application, plan.settings.peers(), refusal, reactor))
            return brokers[-1]

        given = self._settings
        settings = replace(
            self._place.settings(given.python, given.device, trust=given.trust),
            routes=plan.settings.routes,
            network=bool(plan.settings.network),
            region=given.region,
            full=room.full_at_start,
        )
        process = PanoramaProcess(settings, console, make_broker if settings.network else None)
        self.figures.starting()
        try:
            process.start()
            self._process = process
            self.figures.began(server, process, outputs, sources, console, brokers)
            ended = self._watch(process, room)
        finally:
            self._process = None
            process.close()
            self.figures.close()
        if ended and not self._stopping.is_set():
            self._gap_reason = f"its program ended: {process.exit_reason()}"
            lines = console.last_lines()
            self.figures.ended(self._gap_reason + (f"\n{lines}" if lines else ""))
            log.warning("application %s: %s", plan.application, self._gap_reason)

    def _watch(self, process: PanoramaProcess, room: Room) -> bool:
        """Look after it until it ends, or is to end; whether it ended by itself.

        Raises:
            HookError: V809, it filled its folders or the disk.
        """
        begun_s = self._monotonic()
        store_s = begun_s + STORE_S
        while not process.wait(STEP_S):
            now_s = self._seen_s = self._monotonic()
            if self._stopping.is_set():
                return False
            if now_s - begun_s > STEADY_S:
                self._pauses = 0
            if now_s >= store_s:
                store_s = now_s + STORE_S
                if self._models.replaced():
                    log.info("application %s: a model was replaced; it starts anew", self._plan.application)
                    self._models = PanoramaModels(self._plan.models, self._settings.store)
                    self._pauses = 0
                    return False
            self._check_room(process, room)
        return True

    def _check_room(self, process: PanoramaProcess, room: Room) -> None:
        finding = room.look()
        if finding is Finding.NOTHING:
            return
        lost = room.lost_bytes()
        process.close()
        if finding is Finding.SUSPECT and room.came_back(lost) <= self._place.limit_bytes:
            return  # somebody else took it; the program is started again
        room_mb = self._plan.settings.disk_mb
        raise HookError(
            f"application {self._plan.application}: its storage and logs hold more than {room_mb} MB.",
            hint="Raise `panorama.disk_mb` in the manifest, or have the code remove what it does not need.",
            code="V809",
        )

    # -- its parts ----------------------------------------------------------------------------------------------------

    def _room(self) -> Room:
        """Its folders, made where they do not exist, and the watch over their size."""
        whole = DataDirectory(self._place.home, None, self._place.limit_bytes)
        self._place.make_folders()
        return Room(whole)

    def _outputs(self, journal: SqliteJournalWriter) -> OutputTracks:
        plan, file = self._plan, self._settings.layout.root / "journal.db"
        return OutputTracks(
            plan.application,
            plan.app_cameras,
            plan.settings.fps,
            journal,
            lambda pipeline: resumed_tracker(file, pipeline, (), more_labels=True),
            self._tap,
            self._gap_reason,
        )
