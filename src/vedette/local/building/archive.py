"""Zip archives whose bytes depend on nothing but what is in them."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: The oldest time that a zip can hold, so that when it was made does not show.
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
#: These are compressed already, or grow too little smaller to be worth the time.
_STORED: Final = frozenset({".whl", ".onnx", ".mp4", ".mkv", ".jpg", ".png", ".zip"})
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive.

    Attributes:
        name: in the archive, with slashes.
        source: the file, or its content.
        part: what its size is counted for: ``code``, ``libraries``, ``models`` or ``tests``.
    """

    name: str
    source: Path | bytes
    part: str = "code"

    def size(self) -> int:
        """Bytes, before compression."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size


def source_files(top: Path, prefix: str, left_out: Callable[[Path], bool] = lambda _path: False) -> list[Member]:
    """The files below a folder, without byte code.

    Args:
        top: the folder.
        prefix: the folder's name in the archive.
        left_out: told a path relative to the folder.
    """
    found = []
    for path in sorted(top.rglob("*")):
        inside = path.relative_to(top)
        if path.is_file() and "__pycache__" not in inside.parts and path.suffix != ".pyc" and not left_out(inside):
            found.append(Member(f"{prefix}/{inside.as_posix()}" if prefix else inside.as_posix(), path))
    return found


def write_archive(target: Path, members: Iterable[Member]) -> dict[str, int]:
    """Write a zip: names in order, one time, two modes.

    Args:
        target: the file; its folder is made.
        members: no name twice.

    Returns:
        Bytes in the archive of each part.

    Raises:
        OSError: a file cannot be read, or the archive not written.
        ValueError: a name is given twice.
    """
    ordered = sorted(members, key=lambda member: member.name)
    names = [member.name for member in ordered]
    if len(set(names)) != len(names):
        raise ValueError(f"a name is given twice: {next(name for name in names if names.count(name) > 1)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    parts: dict[str, int] = {}
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w") as archive:
            for member in ordered:
                entry = _entry(member)
                _copy(archive, entry, member.source)
                parts[member.part] = parts.get(member.part, 0) + archive.getinfo(member.name).compress_size
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return parts


def _entry(member: Member) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(member.name, _LONG_AGO)
    entry.create_system = 3  # Unix, so that the modes count
    entry.external_attr = (0o100755 if member.name.endswith(".sh") else 0o100644) << 16
    stored = Path(member.name).suffix.lower() in _STORED
    entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    entry.file_size = member.size()
    return entry


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, source: Path | bytes) -> None:
    with archive.open(entry, "w") as sink:
        if isinstance(source, bytes):
            sink.write(source)
            return
        with source.open("rb") as content:
            shutil.copyfileobj(content, sink, _CHUNK)
