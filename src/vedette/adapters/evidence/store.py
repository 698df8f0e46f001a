"""Evidence on the disk: ``<state>/evidence/<time>-<alert_id>/``, a record and the files it names.

A folder begins as a pending record and a mark in ``.pending``; both are there before the alert's row leaves the outbox.
Whatever kills the process, the record is found again, and files that no record names are removed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Collection, Iterator
from datetime import UTC
from hashlib import file_digest
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from vedette.adapters.state.files import sync_directory, write_durably
from vedette.contracts.alert import Alert
from vedette.contracts.errors import EvidenceError, StorageError
from vedette.contracts.evidence import RECORD, EvidenceRecord, EvidenceState
from vedette.core.evidence import Kept, give_way

_MARKS: Final = ".pending"
_FOLDER: Final = re.compile(r"[0-9]{8}T[0-9]{9}Z-([0-9a-f]{32})")
_MODE: Final = 0o2770
_FILE_MODE: Final = 0o660
MAX_RECORD_BYTES: Final = 1 << 20
#: Shortest beginning of an alert's id that is taken for it.
LEAST_DIGITS: Final = 6


def folder_name(alert: Alert) -> str:
    """The alert's folder; folders sort by time."""
    moment = alert.time.astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z-{alert.alert_id}"


class EvidenceStore:
    """The folders of one device. Several processes may have one; each folder is written by one of them at a time.

    Args:
        directory: ``<state>/evidence``; made where it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._measured: dict[str, Kept] = {}

    def begin(self, record: EvidenceRecord) -> None:
        """Keep a pending record, durably; one that is there already stays as it is.

        Raises:
            StorageError: V405, the disk does not take it.
        """
        name = folder_name(record.alert)
        folder = self.directory / name
        try:
            self._make()
            if not (folder / RECORD).exists():
                folder.mkdir(exist_ok=True)
                folder.chmod(_MODE)
                self.write(record)
                (self.directory / _MARKS / name).touch(mode=_FILE_MODE)
                sync_directory(self.directory / _MARKS)
                sync_directory(self.directory)
        except OSError as error:
            raise StorageError(f"evidence {folder} cannot be begun: {error.strerror or error}.", code="V405") from error

    def write(self, record: EvidenceRecord) -> None:
        """Replace the record of an alert in one step.

        Raises:
            StorageError: V405, the disk does not take it.
        """
        path = self.directory / folder_name(record.alert) / RECORD
        try:
            write_durably(path, record.model_dump_json(exclude_none=True).encode(), _FILE_MODE)
        except StorageError as error:
            raise StorageError(error.message, code="V405") from error

    def finish(self, record: EvidenceRecord) -> None:
        """Replace the record for good, and take the mark and files it does not name away.

        Raises:
            StorageError: V405, the disk does not take it.
        """
        self.write(record)
        name = folder_name(record.alert)
        files = {part.file for part in (record.snapshot, record.clip) if part is not None}
        for path in (self.directory / name).iterdir():
            if path.name in files:
                path.chmod(_FILE_MODE)  # whatever the umask: nobody else on this machine looks at pictures
            elif path.name != RECORD:
                path.unlink(missing_ok=True)
        (self.directory / _MARKS / name).unlink(missing_ok=True)

    def pending(self, known: Collection[str] = ()) -> list[EvidenceRecord]:
        """Records that wait to be made, oldest first. Marks of folders that are gone are removed.

        Args:
            known: names of folders that are left out.
        """
        found = []
        for name in sorted(_names(self.directory / _MARKS).difference(known)):
            try:
                record = self.read(self.directory / name)
            except EvidenceError:
                record = None
            if record is not None and record.state is EvidenceState.PENDING:
                found.append(record)
            else:
                (self.directory / _MARKS / name).unlink(missing_ok=True)
        return found

    def recover(self) -> None:
        """Mark pending records whose mark was lost; remove folders without a record. Once, at the start."""
        with contextlib.suppress(OSError):
            self._make()
            for folder in self.folders():
                try:
                    if self.read(folder).state is EvidenceState.PENDING:
                        (self.directory / _MARKS / folder.name).touch(mode=_FILE_MODE)
                except EvidenceError:
                    if not (folder / RECORD).exists():
                        shutil.rmtree(folder, ignore_errors=True)

    def folders(self) -> Iterator[Path]:
        """Every alert's folder, oldest first."""
        for name in sorted(_names(self.directory)):
            if _FOLDER.fullmatch(name):
                yield self.directory / name

    def read(self, folder: Path) -> EvidenceRecord:
        """The record in a folder.

        Raises:
            EvidenceError: V905, there is none, or it is damaged.
        """
        try:
            with (folder / RECORD).open("rb") as file:
                return EvidenceRecord.model_validate_json(file.read(MAX_RECORD_BYTES))
        except OSError as error:
            raise EvidenceError(f"{folder / RECORD} cannot be read: {error.strerror}.", code="V905") from error
        except ValidationError as error:
            raise EvidenceError(f"{folder / RECORD} is damaged, or of another release.", code="V905") from error

    def find(self, alert_id: str) -> tuple[Path, EvidenceRecord]:
        """The folder and record of an alert.

        Args:
            alert_id: the whole id, or an unambiguous beginning of at least six digits.

        Raises:
            EvidenceError: V905, there is none, or more than one.
        """
        digits = alert_id.lower()
        if len(digits) < LEAST_DIGITS or not re.fullmatch(r"[0-9a-f]{1,32}", digits):
            raise EvidenceError(
                f"{alert_id!r} is no beginning of an alert's id: it takes six hexadecimal digits or more.", code="V905"
            )
        found = [folder for folder in self.folders() if folder.name.rpartition("-")[2].startswith(digits)]
        if len(found) > 1:
            shown = ", ".join(folder.name.rpartition("-")[2][:12] for folder in found[:4])
            raise EvidenceError(f"{len(found)} alerts begin with {digits}: {shown}.", code="V905")
        if not found:
            raise EvidenceError(
                f"no evidence of alert {alert_id} is kept in {self.directory}.",
                hint="Its application must ask for it (`evidence` in its manifest); the limit may have taken it. "
                "`vedette evidence list` shows what there is.",
                code="V905",
            )
        return found[0], self.read(found[0])

    def attempt(self, name: str) -> int:
        """Count one more attempt at a pending record; how many there were, this one included."""
        mark = self.directory / _MARKS / name
        with contextlib.suppress(OSError):
            with mark.open("ab") as file:
                file.write(b".")
            return mark.stat().st_size
        return 1

    def make_room(self, limit_bytes: int, free_bytes: int) -> list[str]:
        """Keep within the limit, and leave room on the disk; the names of the folders that went.

        Args:
            limit_bytes: of everything that is kept.
            free_bytes: room on the disk that may still be used; below 0, so much has to be given back.
        """
        kept = list(self._kept())
        used = sum(one.size_bytes for one in kept)
        gone = [one.name for one in give_way(kept, min(limit_bytes, used + free_bytes))]
        for name in gone:
            # Renamed first: nobody reads half a folder.
            removed = self.directory / f".gone-{name}"
            with contextlib.suppress(OSError):
                (self.directory / name).rename(removed)
            shutil.rmtree(removed, ignore_errors=True)
        return gone

    def _kept(self) -> Iterator[Kept]:
        """Every folder. What is finished is measured once: neither its files nor its severity change any more."""
        pending = _names(self.directory / _MARKS)
        measured, self._measured = self._measured, {}
        for folder in self.folders():
            one = measured.get(folder.name)
            if one is None:
                try:
                    severity = self.read(folder).alert.severity
                except EvidenceError:
                    shutil.rmtree(folder, ignore_errors=True)
                    continue
                size = sum(path.stat().st_size for path in folder.iterdir())
                one = Kept(folder.name, size, severity, folder.name in pending)
            if not one.pending:
                self._measured[folder.name] = one
            yield one

    def _make(self) -> None:
        for folder in (self.directory, self.directory / _MARKS):
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(_MODE)


def digest_of(path: Path) -> str:
    """SHA-256 of a file that has been flushed to the disk by this call."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return file_digest(file, "sha256").hexdigest()


def _names(directory: Path) -> set[str]:
    try:
        return set(os.listdir(directory))
    except FileNotFoundError:
        return set()
