"""What changes without a deployment: brings the device's document into force and reports it."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from camera_ingest.diagnostics import Diagnostics, ObjectStore
from camera_ingest.document import DocumentKeeper
from camera_ingest.parameters import sync_parameters
from camera_ingest.shadow_link import ShadowLink
from vedette.adapters.state.log_levels import write_log_levels
from vedette.adapters.state.owner import StateOwner
from vedette.contracts.camera import CameraConfig
from vedette.contracts.device_document import DeviceDocument, DiagnosticsReport, Refusal
from vedette.contracts.errors import VedetteError
from vedette.contracts.plan import AttachedApplication
from vedette.core.device_document import Decision, Surroundings, cameras_in_force
from vedette.core.redact import RedactingFilter
from vedette.ports.bus import Bus

logger = logging.getLogger(__name__)

_SHOWN: Final = 16


class RuntimeDocument:
    """The device's document in the account, and what of it is in force. For one thread, but for ``wake``.

    Args:
        bus: Greengrass.
        thing: name of this device; nobody is asked where it is empty, and what is remembered is in force.
        owner: of the state directory.
        redaction: of this process' log.
        wake: called from any thread where ``hear`` has something to do.
        connect: a bucket by name and region, for diagnostics.
    """

    def __init__(
        self,
        bus: Bus,
        thing: str,
        owner: StateOwner,
        redaction: RedactingFilter,
        wake: Callable[[], None],
        connect: Callable[[str, str], ObjectStore] | None = None,
    ) -> None:
        self._owner = owner
        self._wake = wake
        self._keeper = DocumentKeeper(owner.layout.document)
        self._link = ShadowLink(bus, thing, wake) if thing else None
        self._answers: queue.SimpleQueue[DiagnosticsReport] = queue.SimpleQueue()
        made = {} if connect is None else {"connect": connect}
        self._diagnostics = Diagnostics(owner.layout.root, thing, redaction, self._answered, **made)
        self._refused: tuple[Refusal, ...] = ()
        self._judged: tuple[AttachedApplication, ...] = ()
        self._store_failed = False

    @property
    def document(self) -> DeviceDocument:
        """In force."""
        return self._keeper.memory.good

    @property
    def problems(self) -> tuple[str, ...]:
        """For people: entries that are not in force."""
        return tuple(f"document: {one.entry}: {one.reason}" for one in self._refused[:_SHOWN])

    def start(self) -> None:
        """Take over what is remembered, then ask the account."""
        self._keeper.load()
        if self._link is not None:
            self._link.start()

    def stop(self) -> None:
        """End."""
        if self._link is not None:
            self._link.stop()
        self._diagnostics.close()

    def ask(self) -> None:
        """Something may have been missed: ask for the whole document."""
        if self._link is not None:
            self._link.ask()

    def hear(self) -> bool:
        """Take in what came; whether the document has to be judged and brought into force anew."""
        changed = not _same(self._owner.applications, self._judged)
        told = forced = False
        while not self._answers.empty():
            self._keeper.answered(self._answers.get())
            told = True
        for heard in self._link.take() if self._link is not None else ():
            news = self._keeper.hear(heard)
            changed |= news.changed
            told |= news.report
            forced |= news.report and heard.document is None
            if news.ask:
                self.ask()
        if told and not changed:
            self._store()
            self._report(force=forced)
        return changed

    def judge(self, cameras: Sequence[CameraConfig], networks: tuple[str, ...]) -> tuple[CameraConfig, ...]:
        """The cameras that the device has now.

        Args:
            cameras: of the deployment's configuration.
            networks: CIDR ranges that cameras may be in.
        """
        self._judged = self._owner.applications
        applications = {app.manifest.name: app for app in self._judged}
        decision: Decision = self._keeper.judge(Surroundings(cameras, networks, applications))
        self._refused = decision.refused
        self._store()  # before it is in force: a power cut leaves the old or the new
        return cameras_in_force(cameras, decision.document)

    def settle(self) -> None:
        """Bring into force what is not a camera, and report."""
        document = self.document
        more = sync_parameters(self._owner, document.parameters, self._keeper.memory.applied)
        self._refused = (*self._refused, *more)
        self._keeper.note(applied=document.parameters)
        try:
            write_log_levels(Path(self._owner.layout.root), document.log_level)
        except VedetteError as error:
            logger.warning("log levels cannot be set: %s", error)
        asked, answered = document.diagnostics, self._keeper.memory.diagnostics
        if asked is not None and (answered is None or answered.id != asked.id):
            self._diagnostics.begin(asked)
        self._store()
        self._report()

    def _report(self, *, force: bool = False) -> None:
        report = self._keeper.report(self._refused, force=force)
        if report is not None and self._link is not None:
            self._link.report(report)

    def _store(self) -> None:
        try:
            self._keeper.store()
            self._store_failed = False
        except VedetteError as error:
            if not self._store_failed:
                logger.error("the device's document cannot be kept: %s", error)
            self._store_failed = True

    def _answered(self, report: DiagnosticsReport) -> None:
        self._answers.put(report)
        self._wake()


def _same(now: tuple[AttachedApplication, ...], before: tuple[AttachedApplication, ...]) -> bool:
    return len(now) == len(before) and all(one is other for one, other in zip(now, before, strict=True))
