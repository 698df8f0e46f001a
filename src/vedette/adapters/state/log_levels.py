"""Log levels that are changed while everything runs: one small file, which every process looks at."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vedette.adapters.state.files import read_bounded, write_durably
from vedette.adapters.state.layout import StateLayout
from vedette.contracts.errors import StorageError

#: How often a process looks; costs one ``stat``.
LOOK_S: Final = 2.0
#: By which children know where to look and whose processes they are.
FILE_VARIABLE: Final = "VEDETTE_LOG_LEVELS"
COMPONENT_VARIABLE: Final = "VEDETTE_COMPONENT"
EVERY_COMPONENT: Final = "*"
_LEVELS: Final = frozenset({"DEBUG", "INFO", "WARNING", "ERROR"})
_MAX_BYTES: Final = 16 << 10


def write_log_levels(directory: Path, levels: Mapping[str, str]) -> None:
    """Say which levels hold instead of the configured ones.

    Args:
        directory: the state directory.
        levels: component, or ``*``, → level.

    Raises:
        StorageError: V401 or V404, cannot be written.
    """
    path = StateLayout(directory).log_levels
    content = json.dumps(dict(levels), sort_keys=True).encode()
    if read_bounded(path, _MAX_BYTES) != content:
        write_durably(path, content, sync=False)


class LogLevel:
    """The level of this process: the one that was set while it runs, else the configured one. Safe for threads.

    Args:
        path: of the file; None until it is known.
        component: whose process this is.
        configured: level of the configuration.
    """

    def __init__(self, path: Path | None = None, component: str = "", configured: str = "INFO") -> None:
        self._lock = threading.Lock()
        self._path = path
        self._component = component
        self._configured = configured
        self._seen: tuple[int, int, int] | None = None
        self._set = ""
        self._thread: threading.Thread | None = None

    def configure(self, level: str, directory: Path | None = None, component: str = "") -> None:
        """Use a level unless another was set; with a directory, look for that there, and let children do so too."""
        with self._lock:
            self._configured = level
            if directory is not None:
                self._path, self._component = StateLayout(directory).log_levels, component
                os.environ[FILE_VARIABLE], os.environ[COMPONENT_VARIABLE] = str(self._path), component
                self._seen = None
        self._look(anew=True)
        self._follow()

    def look(self) -> None:
        """See whether another level was set, and use it from now on."""
        self._look(anew=False)

    def _look(self, *, anew: bool) -> None:
        with self._lock:
            mark = None if self._path is None else _mark(self._path)
            if mark == self._seen and not anew:
                return
            self._seen = mark
            self._set = "" if self._path is None else self._read(self._path)
            logging.getLogger().setLevel(self._set or self._configured)

    def _read(self, path: Path) -> str:
        try:
            levels = json.loads(read_bounded(path, _MAX_BYTES) or b"{}")
        except (StorageError, ValueError):
            return ""
        if not isinstance(levels, dict):
            return ""
        level = levels.get(self._component, levels.get(EVERY_COMPONENT, ""))
        return level if level in _LEVELS else ""

    def _follow(self) -> None:
        with self._lock:
            if self._thread is not None or self._path is None:
                return
            self._thread = threading.Thread(target=self._look_for_ever, name="log-level", daemon=True)
        self._thread.start()

    def _look_for_ever(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK_S):
            self.look()


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_ino, info.st_mtime_ns, info.st_size


#: Of this process.
LEVEL: Final = LogLevel()


def follow_log_levels(level: str) -> None:
    """For a child: as its first process says by the environment, else the level alone."""
    path = os.environ.get(FILE_VARIABLE)
    if path:
        LEVEL.configure(level, Path(path).parent.parent, os.environ.get(COMPONENT_VARIABLE, ""))
    else:
        LEVEL.configure(level)
