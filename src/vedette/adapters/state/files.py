"""Small JSON files that survive a power cut."""

from __future__ import annotations

import errno
import glob
import json
import logging
import os
import time
from pathlib import Path
from typing import Any, Final

from vedette.adapters.state.layout import FILE_MODE, StateLayout
from vedette.contracts.errors import StorageError

logger = logging.getLogger(__name__)

_MAX_FILE_BYTES: Final = 16 << 20
#: What a process that was killed while it wrote has left is removed by whoever writes the file next, after this time.
_LEFT_BEHIND_S: Final = 60.0


def write_durably(path: Path, content: bytes, mode: int = FILE_MODE, *, sync: bool = True) -> None:
    """Replace a file so that after a crash or a power cut there is the old content or the new, never a mixture.

    Args:
        path: the file; its directory exists.
        content: everything it shall hold.
        mode: permission bits, whatever the umask.
        sync: wait until the disk has it.

    Raises:
        StorageError: V404, the disk or quota is full; V401, anything else.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _remove_left_behind(path)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        temporary.replace(path)
        if sync:
            sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StorageError(
            f"{path} cannot be written: {error.strerror}.",
            hint="Free some space on this disk." if full else "Check the owner and mode of the state directory.",
            code="V404" if full else "V401",
        ) from error


def _remove_left_behind(path: Path) -> None:
    """Remove unfinished versions of a file that nobody is going to finish."""
    for other in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        try:
            old = time.time() - other.stat().st_mtime > _LEFT_BEHIND_S
        except FileNotFoundError:
            continue
        if old:
            other.unlink(missing_ok=True)


def sync_directory(folder: Path) -> None:
    """Wait until the disk has what was created, renamed or removed in a directory.

    Raises:
        OSError: the disk does not take it, or there is no such directory.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bounded(path: Path, limit: int = _MAX_FILE_BYTES) -> bytes | None:
    """A file's content; None where there is no such file.

    Raises:
        StorageError: V401, cannot be read or is larger than anything this project writes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > limit:
        raise StorageError(f"{path} is larger than {limit} bytes; nothing here writes such a file.")
    return content


def quarantine(path: Path) -> Path:
    """Move a damaged file out of the way, keeping it for a person to look at."""
    target = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    path.replace(target)
    return target


def write_component_status(directory: Path, component: str, status: dict[str, Any]) -> None:
    """Leave how a component is for ``vedette status``; meant for once a second, not forced to the disk.

    Args:
        directory: the state directory.
        component: such as ``vedette.Inference``.
        status: small JSON; no credentials.

    Raises:
        StorageError: V401 or V404, cannot be written.
    """
    document = {"wall_s": time.time(), "pid": os.getpid(), **status}
    path = StateLayout(directory).component_status / f"{component}.json"
    write_durably(path, json.dumps(document, separators=(",", ":")).encode(), sync=False)


def read_component_status(directory: Path) -> dict[str, dict[str, Any]]:
    """What ``write_component_status`` left, by component; what cannot be read is left out."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(StateLayout(directory).component_status.glob("[!.]*.json")):
        try:
            document = json.loads(read_bounded(path, 1 << 20) or b"null")
        except (ValueError, RecursionError, StorageError) as error:
            logger.debug("%s left out: %s", path, error)
            continue
        if isinstance(document, dict):
            found[path.stem] = document
    return found
