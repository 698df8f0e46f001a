"""The device's helper, which runs as root: requests to it, and its answers, are files.

The folder of requests belongs to the components' user; the answers to root. The helper is started by systemd when
a request appears (``vedette-device-helper.path``), which no component has the right to do.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vedette.adapters.state.files import write_durably
from vedette.contracts.device_job import MAX_DETAIL, JobProgress, UpdateJob
from vedette.contracts.errors import StorageError
from vedette.core.fleet.device_job import Ask

log = logging.getLogger(__name__)

_MAX_ANSWER: Final = 4096
#: As its text files say it, so that a new kind of answer is no surprise to an older agent.
_ANSWERS: Final = frozenset({"done", "confirmed", "restored", "reverted", "refused", "failed"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the helper said.

    Attributes:
        status: one of ``_ANSWERS``; empty where it has said nothing.
        reason: for people.
    """

    status: str = ""
    reason: str = ""


class DeviceHelper:
    """The helper as an unprivileged process reaches it.

    Args:
        state: state directory of the components.
        helper: the helper's own directory.
    """

    def __init__(self, state: Path, helper: Path) -> None:
        self._ask = state / "agent" / "ask"
        self._answers = helper / "results"

    @property
    def package(self) -> Path:
        """Where a package is handed over."""
        return self._ask / "package"

    def ask(self, progress: JobProgress, what: Ask) -> None:
        """Leave a request; one that was not taken yet is replaced.

        Raises:
            StorageError: V401, V404, it cannot be written.
        """
        lines = [f"id={progress.request_id}", f"operation={what.value}"]
        job = progress.job
        if what is Ask.APPLY and isinstance(job, UpdateJob):
            lines += [f"kind={job.kind}", f"version={job.version}", f"sha256={job.sha256}"]
            lines += [f"signature={job.signature}", f"probation={job.probation_s}"]
        try:
            self._ask.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{self._ask} cannot be made: {error.strerror}.", code="V401") from None
        write_durably(self._ask / "request", ("\n".join(lines) + "\n").encode(), 0o640)

    def answer(self, progress: JobProgress) -> Answer:
        """What the helper said last about a job."""
        try:
            with (self._answers / progress.request_id).open("rb") as file:
                text = file.read(_MAX_ANSWER).decode(errors="replace")
        except OSError:
            return Answer()
        said = dict(line.partition("=")[::2] for line in text.splitlines())
        status = said.get("status", "")
        if status not in _ANSWERS:
            log.warning("the helper answered %r, which is not known", status[:40])
            return Answer()
        return Answer(status, said.get("reason", "")[:MAX_DETAIL])

    def forget_package(self) -> None:
        """Remove a package that nobody will use."""
        for name in ("package", "package.part"):
            try:
                os.unlink(self._ask / name)
            except OSError:
                continue
