"""A log file with a bound: when it is full it becomes ``<name>.1`` and the next one begins."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

MAX_BYTES: Final = 10 << 20


class BoundedLog:
    """Appends bytes to a file that never grows beyond a limit; at most one older file is kept.

    Args:
        path: the file; its folder must exist.
        max_bytes: size at which a new file begins.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max = max_bytes
        self._file: BinaryIO = self._open()
        self._size = self._file.tell()

    def _open(self) -> BinaryIO:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        file = open(descriptor, "ab", buffering=0)  # noqa: SIM115 (kept open for the life of the log)
        file.seek(0, os.SEEK_END)
        return file

    def write(self, data: bytes) -> None:
        """Appends; what would not even fit an empty file is cut to its end."""
        data = data[-self._max :]
        if self._size + len(data) > self._max:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._open()
            self._size = 0
        self._file.write(data)
        self._size += len(data)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
