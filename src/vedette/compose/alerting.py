"""The alerting component's first process: keeps one worker alive and its configuration current. No native work."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from vedette.adapters.state.log_levels import LEVEL
from vedette.adapters.supervision import ChildSpec, Supervisor
from vedette.compose.processes import device_name
from vedette.contracts.config import AlertingConfig
from vedette.contracts.errors import VedetteError
from vedette.ports.bus import Bus

log = logging.getLogger(__name__)

EVIDENCE: Final = (sys.executable, "-s", "-P", "-m", "alerting.evidence")
WORKER: Final = (sys.executable, "-s", "-P", "-m", "alerting.worker")
#: A disk may take its time for a flush; a worker that shows no progress for longer hangs.
SILENCE_S: Final = 30.0
START_S: Final = 20.0
STOP_S: Final = 10.0
#: A clip in which people are covered is encoded anew, which may take its time.
EVIDENCE_SILENCE_S: Final = 180.0
RETRY_S: Final = 2.0
#: Where memory is short; the worker, which writes the outbox, is the last of all.
EVIDENCE_GIVES_WAY: Final = 500


class AlertingService:
    """Runs until stopped; whatever happens to its worker does not end it.

    Args:
        bus: Greengrass.
        worker: command line of the worker.
        evidence: command line of the process that makes evidence; it runs while an application asks for some.
    """

    def __init__(self, bus: Bus, *, worker: tuple[str, ...] = WORKER, evidence: tuple[str, ...] = EVIDENCE) -> None:
        self._bus = bus
        self._worker = worker
        self._evidence = evidence
        self._wants_evidence = False
        self._supervisor = Supervisor(self._on_message, self._on_exit)
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._config: AlertingConfig | None = None

    def run(self) -> None:
        """Serve until ``stop``."""
        self._changed.set()
        self._supervisor.start()
        try:
            self._bus.on_configuration_change(self._changed.set)
            self._bus.report_running()
            while not self._stopping.is_set():
                self._changed.wait()
                self._changed.clear()
                if not self._stopping.is_set() and not self._configure():
                    self._stopping.wait(RETRY_S)
                    self._changed.set()
        finally:
            self._supervisor.stop()

    def stop(self) -> None:
        """End ``run``; from a signal handler too."""
        self._stopping.set()
        self._changed.set()

    def pids(self) -> dict[str, int]:
        """Process number of the worker."""
        return self._supervisor.pids()

    def _configure(self) -> bool:
        """Take over the configuration; one that cannot be used is reported, and the one before stays in force."""
        try:
            config = read_config(self._bus.configuration())
        except VedetteError as error:
            log.error("%s", error)
            return False
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            log.error("V103 configuration `%s`: %s. The configuration before stays in force.", field, first["msg"])
            if self._config is not None:
                return True
            config = AlertingConfig()
        LEVEL.configure(config.logLevel, Path(config.stateDirectory), "vedette.Alerting")
        self._config = config
        self._set_children(config)
        return True

    def _set_children(self, config: AlertingConfig) -> None:
        spec = {"config": config.model_dump(mode="json"), "device": device_name()}
        children = [
            ChildSpec(
                name="worker",
                argv=self._worker,
                spec=spec,
                silence_limit_s=SILENCE_S,
                start_limit_s=START_S,
                stop_limit_s=STOP_S,
                greengrass=True,
            )
        ]
        if self._wants_evidence:
            children.append(
                ChildSpec(
                    name="evidence",
                    argv=self._evidence,
                    spec=spec,
                    silence_limit_s=EVIDENCE_SILENCE_S,
                    start_limit_s=START_S,
                    gives_way=EVIDENCE_GIVES_WAY,
                )
            )
        self._supervisor.set_children(children)

    def _on_message(self, name: str, message: dict[str, Any]) -> None:
        """The worker says whether evidence is wanted: it is the one that reads the plan."""
        if name == "worker" and "evidence" in message:
            self._wants_evidence = bool(message["evidence"])
            self._changed.set()

    def _on_exit(self, name: str, reason: str) -> None:
        waits = "alerts wait" if name == "worker" else "evidence waits"
        log.warning("%s: %s; %s on disk until the next one", name, reason, waits)


def read_config(values: dict[str, Any]) -> AlertingConfig:
    """The component's configuration; keys of other releases are left out.

    Raises:
        ValidationError: a value is not allowed.
    """
    known = AlertingConfig.model_fields
    return AlertingConfig.model_validate({key: value for key, value in values.items() if key in known})
