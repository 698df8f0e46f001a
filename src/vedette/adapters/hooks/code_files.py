"""The Python files of an application: read within bounds, and known by their digests."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from vedette.adapters.regular_file import open_regular
from vedette.contracts.errors import ConfigurationError

MAX_FILE_BYTES: Final = 1 << 20
MAX_FILES: Final = 256


def code_digests(directory: Path) -> dict[str, str]:
    """SHA-256 of every Python file below a directory, by path from there.

    Raises:
        ConfigurationError: V101, one cannot be read, is too large, or there are too many.
    """
    found: dict[str, str] = {}
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in sorted(files):
            if not name.endswith(".py"):
                continue
            path = Path(folder) / name
            found[path.relative_to(directory).as_posix()] = hashlib.sha256(read_code(path)).hexdigest()
            if len(found) > MAX_FILES:
                raise ConfigurationError(
                    f"{directory} holds more than {MAX_FILES} Python files.",
                    hint="Keep an application with hooks in a directory of its own.",
                    code="V101",
                )
    return found


def read_code(path: Path) -> bytes:
    """A Python file's content.

    Raises:
        ConfigurationError: V101, no file, cannot be read, or larger than 1 MiB.
    """
    with open_regular(path) as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB.", code="V101")
    return content
