"""Answers requests for diagnostics, one at a time, beside everything else."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from vedette.adapters.egress.s3 import S3Store, bucket_from_environment
from vedette.adapters.state.files import write_durably
from vedette.adapters.state.layout import StateLayout
from vedette.compose.diagnostics import RecentLines, diagnostics_bundle
from vedette.contracts.device_document import DiagnosticsReport, DiagnosticsRequest
from vedette.contracts.errors import VedetteError
from vedette.core.messages import one_line
from vedette.core.redact import RedactingFilter

logger = logging.getLogger(__name__)

#: Bundles that are kept where they cannot be sent; the oldest go.
MAX_KEPT: Final = 5


class ObjectStore(Protocol):
    """A bucket."""

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Store an object; raises VedetteError."""
        ...


def _open(bucket: str, region: str) -> ObjectStore:
    return S3Store(bucket_from_environment(bucket, region))


class Diagnostics:
    """Makes bundles.

    Args:
        directory: the state directory.
        thing: name of this device.
        redaction: knows this process' secrets.
        done: called from a thread of its own when a request was answered.
        connect: a bucket by name and region.
    """

    def __init__(
        self,
        directory: Path,
        thing: str,
        redaction: RedactingFilter,
        done: Callable[[DiagnosticsReport], None],
        connect: Callable[[str, str], ObjectStore] = _open,
    ) -> None:
        self._directory = directory
        self._thing = thing
        self._redaction = redaction
        self._done = done
        self._connect = connect
        self._recent = RecentLines()
        self._busy = ""
        logging.getLogger().addHandler(self._recent)

    def close(self) -> None:
        """Keep no lines any more."""
        logging.getLogger().removeHandler(self._recent)

    def begin(self, request: DiagnosticsRequest) -> None:
        """Answer a request, unless one is being answered; that one goes first."""
        if self._busy:
            return
        self._busy = request.id
        threading.Thread(target=self._work, args=(request,), name="diagnostics", daemon=True).start()

    def _work(self, request: DiagnosticsRequest) -> None:
        try:
            report = self.answer(request)
        except Exception as error:
            logger.exception("diagnostics cannot be made")
            report = DiagnosticsReport(id=request.id, state="FAILED", reason=type(error).__name__)
        self._busy = ""
        self._done(report)

    def answer(self, request: DiagnosticsRequest) -> DiagnosticsReport:
        """Make the bundle and send it; where that cannot be, keep it here."""
        body = diagnostics_bundle(
            self._directory,
            self._thing,
            secrets=self._redaction.secrets,
            recent={"camera-ingest": self._recent.text()},
            logs=Path.cwd().parent.parent / "logs",  # where a nucleus keeps them, seen from a component's directory
            about={"request": request.id, "asked_at": request.asked_at.isoformat()},
        )
        key, why = f"{self._thing}/diagnostics/{request.id}.tar.gz", "no bucket was named"
        if request.bucket:
            try:
                self._connect(request.bucket, request.region).put(key, body, "application/gzip")
            except VedetteError as error:
                why = error.message
                logger.warning("diagnostics cannot be sent and are kept: %s", why)
            else:
                return DiagnosticsReport(id=request.id, state="UPLOADED", where=f"s3://{request.bucket}/{key}"[:300])
        try:
            path = self._keep(request.id, body)
        except (VedetteError, OSError) as error:
            said = one_line(f"{why}; and it cannot be kept: {error}", 160)
            return DiagnosticsReport(id=request.id, state="FAILED", reason=said)
        return DiagnosticsReport(id=request.id, state="KEPT", where=str(path)[:300], reason=one_line(why, 160))

    def _keep(self, name: str, body: bytes) -> Path:
        folder = StateLayout(self._directory).diagnostics
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{name}.tar.gz"
        write_durably(path, body, 0o600)
        kept = sorted(folder.glob("[!.]*.tar.gz"), key=lambda each: each.stat().st_mtime_ns)
        for old in kept[:-MAX_KEPT]:
            old.unlink(missing_ok=True)
        return path


def thing_name() -> str:
    """The IoT thing's name, as the nucleus gives it to every component; empty where this is no device."""
    return os.environ.get("AWS_IOT_THING_NAME", "")
