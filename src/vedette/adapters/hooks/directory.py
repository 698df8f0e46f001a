"""A hook's own directory: made for its user, watched so that it stays within its room."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

from vedette.contracts.errors import StorageError

#: More files and folders than this count as a full directory, whatever their size.
MAX_ENTRIES: Final = 4096
_BLOCK_BYTES: Final = 512


class DataDirectory:
    """The folder that a hook may write to.

    Args:
        path: made where it does not exist.
        user: whose it is; None where the process stays the user that it is.
        limit_bytes: room.

    Raises:
        StorageError: V401, it cannot be made.
    """

    def __init__(self, path: Path, user: int | None, limit_bytes: int) -> None:
        self.path = path
        self.limit_bytes = limit_bytes
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
            if user is not None and path.stat().st_uid != user:
                os.chown(path, user, user)
        except OSError as error:
            raise StorageError(
                f"directory {path} of a hook cannot be made: {error.strerror}.",
                hint="Check the owner and mode of the state directory.",
            ) from error

    def used_bytes(self) -> int:
        """Bytes on the disk; as many as the limit and one where there are too many entries. Follows no link."""
        used = entries = 0
        for folder, folders, files in os.walk(self.path):
            for name in (*folders, *files):
                entries += 1
                if entries > MAX_ENTRIES:
                    return max(used, self.limit_bytes + 1)
                with contextlib.suppress(OSError):  # removed meanwhile
                    info = os.lstat(os.path.join(folder, name))
                    size = info.st_blocks * _BLOCK_BYTES
                    used += max(size, info.st_size) if stat.S_ISREG(info.st_mode) else size
        return used
