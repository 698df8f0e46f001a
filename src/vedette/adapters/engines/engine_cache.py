"""Where what TensorRT built is kept: one directory per model, precision, library versions and device.

An engine is code for one device and one version of TensorRT. So that a wrong one is never read, the directory's name
is a digest of everything it depends on; and so that half of one is never read, a mark is written after it is whole and
on the disk.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vedette.contracts.errors import StorageError
from vedette.contracts.manifest import Precision

#: Written last.
WHOLE: Final = "whole.json"
#: Engines kept; the ones that were used longest ago go first.
KEPT: Final = 8
#: What tells one device, driver or JetPack from another, where it exists.
_DEVICE_FILES: Final = (
    "proc/driver/nvidia/version",
    "proc/device-tree/model",
    "etc/nv_tegra_release",
)
_GPUS: Final = "proc/driver/nvidia/gpus"
_TENSORRT: Final = ("libnvinfer.so.10", "libnvinfer.so.8", "libnvinfer.so")
_FILE_LIMIT: Final = 4096


def device_marks(root: Path = Path("/")) -> tuple[str, ...]:
    """What the kernel and JetPack say of the graphics processors: their models and drivers, one entry per file.

    Args:
        root: of the file system.
    """
    files = [root / name for name in _DEVICE_FILES] + sorted((root / _GPUS).glob("*/information"))
    marks = []
    for file in files:
        with contextlib.suppress(OSError), file.open("rb") as source:
            marks.append(source.read(_FILE_LIMIT).decode(errors="replace"))
    return tuple(marks)


def tensorrt_version(names: Iterable[str] = _TENSORRT) -> int:
    """Version number of TensorRT's library, such as 100300; 0 where there is none."""
    for name in names:
        with contextlib.suppress(OSError, AttributeError):
            return int(ctypes.CDLL(name).getInferLibVersion())
    return 0


@dataclass(frozen=True, slots=True)
class EngineKey:
    """Everything an engine depends on.

    Attributes:
        model: SHA-256 of the file.
        precision: numbers it may compute with.
        workspace_bytes: memory it was built with.
        runtime: version of ONNX Runtime.
        tensorrt: version of TensorRT.
        gpu: number of the device.
        device: what ``device_marks`` says.
    """

    model: str
    precision: Precision
    workspace_bytes: int
    runtime: str
    tensorrt: int
    gpu: int
    device: tuple[str, ...]

    def name(self) -> str:
        """Name of its directory."""
        parts = [self.model, self.precision.value, self.workspace_bytes, self.runtime, self.tensorrt, self.gpu]
        return hashlib.sha256(json.dumps([*parts, *self.device]).encode()).hexdigest()[:32]


class EngineCache:
    """The directories of engines below one folder. What lies there is code: only the owner may write.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, key: EngineKey) -> Path:
        """The directory of a key, whether it exists or not."""
        return self._folder / key.name()

    def whole(self, key: EngineKey) -> bool:
        """Whether what was built for a key is complete: every file has the size it had when it was marked.

        It counts as a use.
        """
        place = self.place(key)
        try:
            sizes = json.loads((place / WHOLE).read_bytes())
            complete = bool(sizes) and all((place / name).stat().st_size == size for name, size in sizes.items())
            os.utime(place)
        except (OSError, ValueError, AttributeError, TypeError):
            return False
        return complete

    def prepare(self, key: EngineKey) -> Path:
        """An empty directory to build in.

        Raises:
            StorageError: V401, it cannot be made.
        """
        place = self.place(key)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.forget(key)
            place.mkdir(mode=0o700)
        except OSError as error:
            raise StorageError(
                f"{place} cannot be made for TensorRT's engines: {error.strerror or error}.",
                hint="Give the user that runs the components write access to the state directory.",
            ) from error
        return place

    def keep(self, key: EngineKey) -> bool:
        """Bring what was built to the disk and mark it whole; then let go of the oldest. False: nothing was built."""
        place = self.place(key)
        files = [file for file in sorted(place.iterdir()) if file.is_file() and file.name != WHOLE]
        if not files:
            return False
        for file in files:
            _sync(file)
        (place / WHOLE).write_text(json.dumps({file.name: file.stat().st_size for file in files}))
        _sync(place / WHOLE)
        _sync(place)
        others = [other for other in self._folder.iterdir() if other.is_dir() and other != place]
        others.sort(key=lambda other: other.stat().st_mtime_ns, reverse=True)
        for other in others[KEPT - 1 :]:
            shutil.rmtree(other, ignore_errors=True)
        return True

    def forget(self, key: EngineKey) -> None:
        """Remove what was built for a key: it was cut off, or does not load."""
        shutil.rmtree(self.place(key), ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
