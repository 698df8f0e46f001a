"""The files that a manifest's Panorama code needs: whether they are there. Nothing is executed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeGuard

from vedette.contracts.manifest.panorama import CODE_FOLDER
from vedette.core.manifest_checks import Finding, near_miss

#: Commands that an entry may begin with.
COMMANDS: Final = re.compile(r"(?:/usr)?(?:/local)?(?:/bin/)?(?:python|python3|python3\.\d{1,2}|bash|sh)")


def check_panorama_files(document: dict[str, Any], directory: Path) -> Iterator[Finding]:
    """The code's folder, the file that is started and the list of packages are there.

    Args:
        document: the manifest as read.
        directory: where it lies.
    """
    code = document.get("panorama")
    if not isinstance(code, dict):
        return
    requirements = code.get("requirements")
    if _is_beside(requirements) and not (directory / requirements).is_file():
        yield Finding(("panorama", "requirements"), f"there is no file {requirements}", "a file beside the manifest")
    name = code.get("code", "code")
    if not _is_beside(name):
        return
    folder = directory / name
    if not folder.is_dir():
        path = ("panorama", "code") if "code" in code else ("panorama",)
        yield Finding(path, f"there is no folder {name}", "a folder beside the manifest, with the code's files")
        return
    entry = code.get("entry")
    if isinstance(entry, list) and all(isinstance(part, str) for part in entry):
        yield from _check_entry(entry, folder)


def _is_beside(path: Any) -> TypeGuard[str]:
    """Whether it is a path that the types let pass; not where nothing is named."""
    if not isinstance(path, str) or not path or "\0" in path:
        return False
    return not (PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts)


def _check_entry(entry: list[str], folder: Path) -> Iterator[Finding]:
    if entry and not COMMANDS.fullmatch(entry[0]):
        near = near_miss(entry[0], ("python3", "python", "bash", "sh"))
        yield Finding(("panorama", "entry", 0), f"found {entry[0]!r}", "python3, python3.8 and the like, bash", near)
    for index, part in enumerate(entry[1:], start=1):
        if not part.startswith(f"{CODE_FOLDER}/"):
            continue
        relative = PurePosixPath(part).relative_to(CODE_FOLDER)
        if index == 1 and ".." not in relative.parts and not (folder / relative).is_file():
            beside = (folder / relative).parent.glob("*.*")
            there = sorted(f"{CODE_FOLDER}/{file.relative_to(folder).as_posix()}" for file in beside)
            message = f"{part}: there is no file {folder.name}/{relative}"
            yield Finding(("panorama", "entry", index), message, "a file of the code's folder", near_miss(part, there))
