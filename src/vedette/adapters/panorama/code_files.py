"""The files of Panorama code: known by their digests, and still the same when the code is started."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from vedette.adapters.regular_file import open_regular
from vedette.contracts.errors import ConfigurationError, HookError

#: Code, labels, weights of its own; libraries belong into ``requirements``.
MAX_FILES: Final = 2000
MAX_BYTES: Final = 4 << 30
#: Folders that are made anew wherever the code runs, or that it has no use for.
PASSED_OVER: Final = frozenset({"__pycache__", ".git"})
_NAMED: Final = 3


def code_digests(directory: Path, code: str) -> dict[str, str]:
    """SHA-256 of every file of the code, by path from the manifest's directory.

    Args:
        directory: where the manifest lies.
        code: the code's folder, from there.

    Raises:
        ConfigurationError: V101, there is no such folder, a file cannot be read or is none, or there is too much.
    """
    folder = directory / code
    if not folder.is_dir():
        raise ConfigurationError(
            f"{folder} is no folder; `panorama.code` names it.",
            hint="Put the files there that the code's container had in /panorama.",
            code="V101",
        )
    found: dict[str, str] = {}
    total = 0
    inside = folder.resolve()
    for path in _files(folder):
        name = path.relative_to(directory).as_posix()
        if not path.resolve().is_relative_to(inside):
            raise ConfigurationError(
                f"{path} is a link to a file outside of {folder}.", hint="Copy the file itself.", code="V101"
            )
        found[name], size = _digest(path)
        total += size
        if len(found) > MAX_FILES or total > MAX_BYTES:
            raise ConfigurationError(
                f"{folder} holds more than {MAX_FILES} files or {MAX_BYTES >> 30} GiB.",
                hint="Let `panorama.requirements` name the libraries instead of keeping them with the code.",
                code="V101",
            )
    return found


def check_code(application: str, directory: Path, code: str, attached: Mapping[str, str]) -> None:
    """Refuse code that is not what was attached.

    Args:
        application: its name, for messages.
        directory: where the manifest lies.
        code: the code's folder, from there.
        attached: path → SHA-256.

    Raises:
        HookError: V801, files differ, are missing or are too many, or cannot be read.
    """
    try:
        found = code_digests(directory, code)
    except ConfigurationError as error:
        raise HookError(
            f"Panorama code of {application}: {error.message}", hint="Deploy the application again.", code="V801"
        ) from error
    differing = sorted(name for name in found.keys() | attached.keys() if found.get(name) != attached.get(name))
    if differing:
        more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        raise HookError(
            f"Panorama code of {application}: {', '.join(differing[:_NAMED])}{more} "
            f"{'is' if len(differing) == 1 else 'are'} not as attached.",
            hint="Deploy the application again.",
            code="V801",
        )


def _files(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        for name in folders:
            if (Path(here) / name).is_symlink():
                raise ConfigurationError(
                    f"{Path(here) / name} is a link to a folder.", hint="Copy the folder itself.", code="V101"
                )
        folders[:] = sorted(set(folders) - PASSED_OVER)
        yield from (Path(here) / name for name in sorted(files))


def _digest(path: Path) -> tuple[str, int]:
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        return hashlib.file_digest(file, "sha256").hexdigest(), size
