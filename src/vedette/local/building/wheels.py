"""Wheels of a lock for a target: from the cache, else by pip; each compared with its digest, whoever brought it."""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from vedette.adapters.artefact_file import measured
from vedette.adapters.state.files import write_durably
from vedette.contracts.errors import UsageError
from vedette.local.building.downloads import download
from vedette.local.building.environment import TargetPython
from vedette.local.building.lock import Pin

Progress = Callable[[str], None]

_MAX_METADATA_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that is here.

    Attributes:
        name: of the library, normalised.
        version: of the library.
        path: of the file.
        sha256: of the file.
        size: bytes.
    """

    name: str
    version: str
    path: Path
    sha256: str
    size: int

    def metadata(self) -> Message:
        """Its ``METADATA``.

        Raises:
            UsageError: V710, it has none or the file is damaged.
        """
        try:
            with zipfile.ZipFile(self.path) as archive:
                (entry,) = (
                    info
                    for info in archive.infolist()
                    if info.filename.count("/") == 1 and info.filename.endswith(".dist-info/METADATA")
                )
                if entry.file_size > _MAX_METADATA_BYTES:
                    raise ValueError("it is too long")
                return BytesHeaderParser().parsebytes(archive.read(entry))
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise UsageError(f"{self.path.name}: its metadata cannot be read: {error}.", code="V710") from None

    def requirements(self) -> list[Requirement]:
        """What it says that it needs."""
        return [Requirement(text) for text in self.metadata().get_all("Requires-Dist") or []]


class WheelCache:
    """Wheels by digest, and for each target which one of a library it takes. Whoever deletes it loses only time.

    Args:
        directory: made where there is none.
        progress: told what is downloaded.
    """

    def __init__(self, directory: Path, progress: Progress = lambda _text: None) -> None:
        self.directory = directory
        self._progress = progress

    def wheels(self, pins: Sequence[Pin], target: TargetPython) -> list[Wheel]:
        """The wheels of libraries, in the same order.

        Raises:
            UsageError: V710, a library has no wheel for the target, or it cannot be downloaded.
        """
        found = {pin.name: self._kept(pin, target) for pin in pins}
        missing = [pin for pin in pins if found[pin.name] is None]
        if missing:
            self._progress(f"downloading {', '.join(pin.name for pin in missing)}")
            found |= {wheel.name: wheel for wheel in self._download(missing, target)}
        return [wheel for pin in pins if (wheel := found[pin.name]) is not None]

    def _choice(self, pin: Pin, target: TargetPython) -> Path:
        """Where is noted which file it was: the same again, whatever else lies in the cache by then."""
        key = json.dumps([pin.name, pin.version, sorted(pin.hashes), target.python, target.platforms()])
        return self.directory / "choices" / f"{pin.name}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"

    def _kept(self, pin: Pin, target: TargetPython) -> Wheel | None:
        try:
            noted = json.loads(self._choice(pin, target).read_bytes())
            path = self.directory / str(noted["sha256"]) / Path(str(noted["file"])).name
            file = measured(path)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if file.sha256 not in pin.hashes:  # damaged: what is downloaded now takes its place
            return None
        return Wheel(pin.name, pin.version, path, file.sha256, file.size)

    def _download(self, pins: Sequence[Pin], target: TargetPython) -> list[Wheel]:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.directory, prefix=".download-") as work:
                _pip(pins, target, Path(work))
                return [self._keep(pin, target, Path(work)) for pin in pins]
        except OSError as error:
            raise UsageError(
                f"{error.filename or self.directory}: wheels cannot be kept there: {error.strerror}.",
                hint="Free some space, or set XDG_CACHE_HOME to a folder that this user may write to.",
                code="V710",
            ) from None

    def _keep(self, pin: Pin, target: TargetPython, work: Path) -> Wheel:
        path = next((file for file in sorted(work.glob("*.whl")) if wheel_name(file) == (pin.name, pin.version)), None)
        if path is None:
            raise UsageError(f"{pin.name} {pin.version}: pip brought no wheel of it.", code="V710")
        file = measured(path)
        if file.sha256 not in pin.hashes:
            raise UsageError(f"{path.name}: its SHA-256 {file.sha256} is not in the lock.", code="V710")
        check_tags(path, target)
        kept = self.directory / file.sha256 / path.name
        kept.parent.mkdir(exist_ok=True)
        path.replace(kept)
        choice = self._choice(pin, target)
        choice.parent.mkdir(exist_ok=True)
        write_durably(choice, json.dumps({"file": kept.name, "sha256": file.sha256}).encode(), sync=False)
        return Wheel(pin.name, pin.version, kept, file.sha256, file.size)


def wheel_name(path: Path) -> tuple[str, str] | None:
    """Library and version that a file name says; None where it is not the name of a wheel."""
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename:
        return None
    return str(canonicalize_name(name)), str(version)


def check_tags(path: Path, target: TargetPython, *more: str) -> None:
    """Refuse a wheel that the target would not load.

    Raises:
        UsageError: V710, it is for something else.
    """
    if not set(parse_wheel_filename(path.name)[3]) & set(target.tags(*more)):
        raise UsageError(
            f"{path.name} is not for Python {target.python} on {target.machine} with glibc "
            f"{'.'.join(map(str, target.glibc))}.",
            code="V710",
        )


def _pip(pins: Sequence[Pin], target: TargetPython, folder: Path) -> None:
    lock = folder / "lock.txt"
    lock.write_text("\n".join(pin.requirement() for pin in pins) + "\n")
    if complaint := download(target, lock, folder, "--require-hashes", "--no-deps"):
        names = ", ".join(f"{pin.name} {pin.version}" for pin in pins)
        raise UsageError(
            f"libraries for Python {target.python} on {target.machine} could not be downloaded: "
            f"{complaint} (asked for: {names}).",
            hint="pip needs its package index, or a folder of wheels (pip config), once; what it brought is kept.",
            code="V710",
        )
