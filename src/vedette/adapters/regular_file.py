"""Opens files that anyone may have put there: what is no regular file is refused, and nothing is waited for."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vedette.contracts.errors import ConfigurationError


@contextmanager
def open_regular(path: Path) -> Iterator[io.BufferedReader]:
    """A file, open for reading; how much of it is read is the caller's to bound.

    Raises:
        ConfigurationError: V101, it is no regular file, or cannot be opened or read.
    """
    try:
        # Not blocking: opening a named pipe would wait for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigurationError(f"{path} is not a file.", code="V101")
            yield file
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.", code="V101") from error
