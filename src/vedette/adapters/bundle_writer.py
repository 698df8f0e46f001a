"""Writes a device's bundle: as a folder, or as an archive whose bytes depend on nothing but what is in it."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from vedette.contracts.device_bundle import MANIFEST
from vedette.contracts.errors import UsageError
from vedette.core.fleet.bundle import BundleFile

ARCHIVE: Final = ".tar.gz"


def write_bundle(target: Path, name: str, files: Mapping[str, BundleFile]) -> Path:
    """Write a bundle; one that is there already is replaced, anything else is left alone.

    It appears under its name when it is complete. Only its owner may look into it.

    Args:
        target: the archive to write where it ends in ``.tar.gz``, else the folder to write.
        name: of the folder inside the archive.
        files: by their path in the bundle.

    Returns:
        The archive, or the folder.

    Raises:
        UsageError: V703, it cannot be written, or something else is there.
    """
    check_target(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.name.endswith(ARCHIVE):
            _archive(target, name, files)
        else:
            _folder(target, files)
    except OSError as error:
        why = error.strerror or error  # what tarfile says of a file that became shorter has no number
        raise UsageError(f"{target}: the bundle cannot be written: {why}.", code="V703") from None
    return target


def check_target(target: Path) -> None:
    """See that a bundle may be written there, before anything is made that belongs into it.

    Raises:
        UsageError: V703, something else is there.
    """
    if target.name.endswith(ARCHIVE):
        if target.is_dir():
            raise UsageError(f"{target} is a folder.", hint="Another name: --out", code="V703")
    elif target.exists() and not (target / MANIFEST).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is there and is no bundle.", hint="An empty or new folder: --out", code="V703")


def write_archive(target: BinaryIO, name: str, files: Mapping[str, BundleFile]) -> None:
    """Write the archive: sorted, no owner, no times. No more than a part of a file is held.

    Raises:
        OSError: a file cannot be read, or the archive cannot be written.
    """
    with (
        gzip.GzipFile(filename="", fileobj=target, mode="wb", mtime=0) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        top = tarfile.TarInfo(name)
        top.type, top.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(top)
        for path, file in sorted(files.items()):
            entry = tarfile.TarInfo(f"{name}/{path}")
            with _opened(file) as (content, size):
                entry.size, entry.mode = size, file.mode
                archive.addfile(entry, content)


def _archive(target: Path, name: str, files: Mapping[str, BundleFile]) -> None:
    work = target.with_name(f".{target.name}.new")
    try:
        with _created(work, 0o600) as opened:
            write_archive(opened, name, files)
        os.replace(work, target)
    finally:
        work.unlink(missing_ok=True)  # half of one has secrets too


def _folder(target: Path, files: Mapping[str, BundleFile]) -> None:
    work = target.with_name(f".{target.name}.new")
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(mode=0o700)
        for path, file in files.items():
            with _opened(file) as (content, _), _created(work / path, file.mode) as opened:
                shutil.copyfileobj(content, opened)
        if target.exists():
            shutil.rmtree(target)
        os.replace(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _opened(file: BundleFile) -> Iterator[tuple[BinaryIO, int]]:
    """The content and its size in bytes."""
    if isinstance(file.content, bytes):
        yield io.BytesIO(file.content), len(file.content)
        return
    with open(file.content, "rb") as opened:
        yield opened, os.fstat(opened.fileno()).st_size


@contextmanager
def _created(path: Path, mode: int) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    # Never for others to read, not even for the moment between making and changing rights.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
        os.fchmod(opened.fileno(), mode)
        yield opened
