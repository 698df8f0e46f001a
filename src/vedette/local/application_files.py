"""The files of an application with hooks, as a build would pack them: copied to where its component finds them."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vedette.adapters.panorama.code_files import code_digests
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import Panorama

log = logging.getLogger(__name__)

#: Larger files are recordings and models rather than what code reads; they are left out, and it is said.
MAX_FILE_BYTES: Final = 16 << 20
MAX_FILES: Final = 2_000
_MANIFEST: Final = "vedette.yaml"


def copy_application(source: Path, target: Path) -> None:
    """Copy the files beside a manifest; the manifest itself is left to the caller.

    Hidden files, byte code and links to folders are left out. Everybody may read the copies: the code runs as a user
    of its own.

    Raises:
        UsageError: V701, there are too many files for an application.
        OSError: a file cannot be read, or the disk refuses.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    target.chmod(0o755)
    for relative, path in application_files(source):
        copy = target / relative
        for folder in reversed(copy.relative_to(target).parents[:-1]):
            (target / folder).mkdir(exist_ok=True)
            (target / folder).chmod(0o755)
        shutil.copyfile(path, copy)
        copy.chmod(0o644)


def copy_panorama_code(source: Path, target: Path, settings: Panorama) -> None:
    """Copy the folder of Panorama code, whatever is in it, as code finds it where it runs; and what it requires.

    Args:
        source: where the manifest lies.
        target: of the copy of the application.
        settings: of the manifest.

    Raises:
        ConfigurationError: V101, there is no such folder, a file cannot be read or is none, or there is too much.
        OSError: the disk refuses.
    """
    shutil.rmtree(target / settings.code, ignore_errors=True)
    target.mkdir(parents=True, exist_ok=True)
    for name in panorama_files(source, settings):
        copy = target / name
        for folder in reversed(copy.relative_to(target).parents[:-1]):
            (target / folder).mkdir(exist_ok=True)
            (target / folder).chmod(0o755)
        shutil.copyfile(source / name, copy)
        copy.chmod(0o755 if os.access(source / name, os.X_OK) else 0o644)


def panorama_files(source: Path, settings: Panorama) -> list[str]:
    """Files that belong to Panorama code, from the folder of the manifest: the code, and what it requires.

    Raises:
        ConfigurationError: V101, there is no such folder, a file cannot be read or is none, or there is too much.
    """
    return [*code_digests(source, settings.code), *filter(None, (settings.requirements,))]


def application_files(source: Path) -> Iterator[tuple[Path, Path]]:
    """The files beside a manifest that belong to the application, in order: each path below ``source``, and the file.

    Raises:
        UsageError: V701, there are too many files for an application.
        OSError: a file cannot be looked at.
    """
    count = 0
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if any(part.startswith(".") or part == "__pycache__" for part in relative.parts) or relative == Path(_MANIFEST):
            continue
        if path.is_dir():
            continue
        size = path.stat().st_size if path.is_file() else 0
        if not path.is_file() or size > MAX_FILE_BYTES:
            log.warning("%s is not copied: %s", relative, f"{size >> 20} MB" if size else "it is no file")
            continue
        count += 1
        if count > MAX_FILES:
            raise UsageError(
                f"{source} holds more than {MAX_FILES} files, which are all copied where an application has hooks.",
                hint="Keep the application in a folder of its own.",
            )
        yield relative, path
