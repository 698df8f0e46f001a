"""Alerts or reports as JSON lines in a file: each exactly once, whole, on disk before it counts as delivered."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from vedette.contracts.errors import ConfigurationError, DeliveryError
from vedette.ports.outbox import OutboxRow

#: Rows written and flushed together.
BATCH: Final = 200
#: Read back at the start: more than one batch, which is all that a kill can leave written but not yet forgotten.
TAIL_BYTES: Final = 8 << 20
#: Alert ids remembered: those of the tail, and of what was written since.
KNOWN: Final = 20_000
#: At this size the file becomes ``<name>.1`` and a new one begins.
MAX_BYTES: Final = 256 << 20
#: What a relative path must not name, because the components keep it there themselves.
_OURS: Final = ("journal", "outbox", "plan.json", "attachments.json", "run", "secrets", "models")


class FileReceiver:
    """Implements ``vedette.ports.action.Action``.

    A kill between writing and forgetting the row would write it again: so the end of the file is read back at the
    start, and what is there already is not written. A line cut short by a kill is taken away; its row comes again.

    Args:
        path: as in the manifest.
        directory: the state directory, where relative paths start.
        id_field: of a line, that names what it tells of.
        max_bytes: size at which the file is put aside as ``<name>.1``.

    Raises:
        ConfigurationError: V103, the path leads out of the state directory or to a file of ours.
    """

    batch = BATCH
    together = False

    def __init__(self, path: str, directory: Path, *, id_field: str = "alert_id", max_bytes: int = MAX_BYTES) -> None:
        self._path = _inside(path, directory)
        self._id_field = id_field
        self._max_bytes = max_bytes
        self._descriptor = -1
        self._inode = 0
        self._known: dict[str, None] = {}  # an ordered set

    def deliver(self, rows: Sequence[OutboxRow], done: Callable[[OutboxRow], None]) -> None:
        """Append what is not there yet and flush it.

        Raises:
            DeliveryError: V502, the file cannot be written to.
        """
        try:
            self._open()
            new = [row for row in rows if row.alert_id not in self._known]
            if new:
                content = b"".join(row.body.replace(b"\n", b" ") + b"\n" for row in new)
                self._rotate(len(content))
                with self._locked():
                    self._append(content)
        except OSError as error:
            self.close()
            raise DeliveryError(
                f"{self._path} cannot be written to: {error.strerror or error}.",
                hint="Alerts wait in the outbox. Make room, or give the component's user access.",
                code="V502",
            ) from error
        for row in rows:
            self._remember(row.alert_id)
            done(row)

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        if self._descriptor >= 0 and self._same_file():
            return
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o660)
        self._inode = os.fstat(self._descriptor).st_ino
        with self._locked():
            self._mend()
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _same_file(self) -> bool:
        """False where a person or a log rotation has taken the file away."""
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Several applications may write to one file."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _mend(self) -> None:
        """Take away a last line without an end, and remember whose alerts the last lines are."""
        size = os.fstat(self._descriptor).st_size
        begin = max(0, size - TAIL_BYTES)
        tail = b""
        while len(tail) < size - begin:
            chunk = os.pread(self._descriptor, size - begin - len(tail), begin + len(tail))
            if not chunk:
                break
            tail += chunk
        whole = tail.rfind(b"\n") + 1
        if whole < len(tail):
            os.ftruncate(self._descriptor, begin + whole)
            os.fsync(self._descriptor)
        for line in tail[:whole].splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                self._remember(str(json.loads(line)[self._id_field]))

    def _remember(self, alert_id: str) -> None:
        self._known[alert_id] = None
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]

    def _rotate(self, coming: int) -> None:
        size = os.fstat(self._descriptor).st_size
        if size and size + coming > self._max_bytes:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._open()

    def _append(self, content: bytes) -> None:
        size = os.fstat(self._descriptor).st_size
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):  # a full disk: leave no half line behind
                os.ftruncate(self._descriptor, size)
            raise


def _inside(path: str, directory: Path) -> Path:
    given = Path(path)
    if given.is_absolute():
        return given
    target = Path(os.path.normpath(directory / given))
    root = Path(os.path.normpath(directory))
    parts = target.relative_to(root).parts if target.is_relative_to(root) else ()
    if not parts or parts[0].startswith(_OURS):
        raise ConfigurationError(
            f"file action: the path {path!r} is not allowed in the state directory.",
            hint="Name a file of its own, such as alerts.jsonl, or give an absolute path.",
            code="V103",
        )
    return target
