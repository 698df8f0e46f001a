"""The process that hosts the Panorama code of one application, under the supervisor of ``vedette.AppHost``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import cv2
from pydantic import Field

from vedette.adapters.models.store import ModelStore
from vedette.adapters.panorama.viewing import ViewServer, view_socket
from vedette.adapters.state.layout import StateLayout
from vedette.adapters.supervision import ChildLink
from vedette.compose.panorama_program import PanoramaProgram, ProgramSettings
from vedette.compose.processes import BEAT_S, serve_child
from vedette.contracts.base import Contract
from vedette.contracts.config import NetworkCeiling
from vedette.contracts.manifest.panorama import OWN_PYTHON
from vedette.contracts.plan import PanoramaPlan
from vedette.core.port_values import PortValue

#: How often everything known is told.
STATUS_S: Final = 1.0
#: Time the program has to end before this process goes, and its program with it.
END_S: Final = 0.8


class PanoramaSpec(Contract):
    """What the process is told on its standard input."""

    plan: Annotated[PanoramaPlan, Field(description="Without the values of parameter ports.")]
    values: Annotated[dict[str, PortValue], Field(description="Parameter port → value; told again where one changes.")]
    state_directory: str
    model_directory: str
    python: Annotated[str, Field(description="Interpreter that was chosen; empty where none was.")] = ""
    device: str = ""
    region: str = ""
    trust: bool = False
    ceiling: NetworkCeiling = NetworkCeiling.WITHOUT_PICTURES
    view: Annotated[bool, Field(description="Whether this device lets people look at outputs.")] = True
    log_level: str = "INFO"


class PanoramaHost:
    """Serves until its supervisor hangs up.

    Args:
        link: to the supervisor.
    """

    def __init__(self, link: ChildLink) -> None:
        self._link = link
        spec = self._spec = PanoramaSpec.model_validate(link.spec)
        layout = StateLayout(Path(spec.state_directory))
        self._values: dict[str, PortValue] = spec.values
        link.messages = self._hear
        settings = ProgramSettings(
            layout,
            ModelStore(Path(spec.model_directory)),
            interpreter(spec.python, Path(spec.plan.directory)),
            device=spec.device,
            region=spec.region,
            trust=spec.trust,
            ceiling=spec.ceiling,
        )
        self._view = (
            ViewServer(view_socket(layout.run, spec.plan.application)) if spec.view and spec.plan.viewable else None
        )
        self._program = PanoramaProgram(
            spec.plan,
            settings,
            lambda port: self._values[port],
            self._view,
            gap_reason=f"its host was restarted: {link.reason}" if link.restarts else "",
        )

    def run(self) -> None:
        """Serve."""
        self._program.start()
        told_s = float("-inf")
        while not self._link.closed.wait(BEAT_S):
            if hung := self._program.hung():
                self._link.stalled(hung)
                continue
            figures = self._program.figures
            if time.monotonic() - told_s < STATUS_S:
                self._link.beat(figures.progress)
                continue
            told_s = time.monotonic()
            self._link.beat(figures.progress, panorama=figures.status())
        self._program.stop()
        self._program.join(END_S)
        if self._view is not None:
            self._view.close()

    def _hear(self, message: dict[str, Any]) -> None:
        """Values change without a restart: the code asks for them again and again. From the link's thread."""
        if isinstance(message.get("values"), dict):
            self._values = {**self._values, **message["values"]}


def interpreter(chosen: str, directory: Path) -> Path:
    """What runs an application's code: what was chosen, else what the application brings, else what runs this."""
    if chosen:
        return Path(chosen)
    own = directory / OWN_PYTHON
    return own if own.exists() else Path(sys.executable)


def main() -> None:
    """Entry point of the process; started by ``vedette.AppHost``'s supervisor, never by hand."""
    cv2.setNumThreads(1)  # pictures are small and the cores are busy with models: its own pool only adds switches
    serve_child(lambda link: PanoramaHost(link).run())
