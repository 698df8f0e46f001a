"""Puts a component's artefacts where ``{artifacts:path}`` and ``{artifacts:decompressedPath}`` say.

Either from the flat tree of a build (``artifacts/<component>/<version>/file.zip``, really unpacked) or, while
developing, from source folders that are linked in place of the unpacked zip, so that an edit needs no build.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from vedette.contracts.errors import CoreError
from vedette.core.zip_directory import MAX_DIRECTORY_BYTES, stated_directory_bytes
from vedette.local.recipe import Artifact, Recipe

MAX_MEMBERS: Final = 10_000
MAX_UNPACKED_BYTES: Final = 4 << 30
MAX_RATIO: Final = 200
_RATIO_FREE_BYTES: Final = 1 << 20
_COPY_BYTES: Final = 1 << 20


def prepare_artifacts(
    recipe: Recipe,
    *,
    artifacts: Path,
    decompressed: Path,
    trees: Sequence[Path],
    sources: Mapping[str, Path],
) -> None:
    """Lays out every artefact of the manifest for this machine.

    Args:
        recipe: the component.
        artifacts: folder for the files themselves; emptied first.
        decompressed: folder for what is unpacked; emptied first.
        trees: folders that hold ``<component>/<version>/<file>``.
        sources: zip name to source folder, taken before any tree.

    Raises:
        CoreError: an artefact is nowhere to be found, or its zip is refused.
    """
    for folder in (artifacts, decompressed):
        _empty(folder)
    for artifact in recipe.manifest().artifacts:
        where = f"{recipe.name} {recipe.version}: artefact {artifact.file_name!r}"
        source = sources.get(artifact.file_name)
        if source is not None and artifact.unarchive == "ZIP":
            if not source.is_dir():
                raise CoreError(f"{where}: the source folder {source} does not exist.")
            (decompressed / artifact.folder_name).symlink_to(source.resolve(), target_is_directory=True)
            continue
        file = source if source is not None else _find(recipe, artifact, trees, where)
        target = artifacts / artifact.file_name
        shutil.copyfile(file, target)
        if artifact.unarchive == "ZIP":
            unpack(target, decompressed / artifact.folder_name, where=where)


def _empty(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)  # links inside are removed, never followed
    folder.mkdir(parents=True, mode=0o755)


def _find(recipe: Recipe, artifact: Artifact, trees: Sequence[Path], where: str) -> Path:
    for tree in trees:
        file = tree / recipe.name / recipe.version / artifact.file_name
        if file.is_file():
            return file
    searched = ", ".join(str(tree / recipe.name / recipe.version) for tree in trees) or "no folder"
    raise CoreError(f"{where} not found (searched: {searched}).", hint="Build the component first.")


def unpack(archive: Path, target: Path, *, where: str) -> None:
    """Unpacks a zip, refusing whatever could escape the folder or fill the disk.

    Refused: absolute names, ``..``, backslashes, links and devices, names given twice, a directory of more than
    ``MAX_DIRECTORY_BYTES``, more than ``MAX_MEMBERS`` members, more than ``MAX_UNPACKED_BYTES``, or a member that grows
    more than ``MAX_RATIO`` times.

    Raises:
        CoreError: the archive is damaged or refused; nothing of it is left behind.
    """
    target.mkdir(parents=True)
    try:
        _check_directory(archive, where)
        with zipfile.ZipFile(archive) as bundle:
            _unpack_members(bundle, target, where)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise CoreError(f"{where}: the zip cannot be unpacked ({error}).") from None
    except CoreError:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _check_directory(archive: Path, where: str) -> None:
    """Refuse a directory that would fill the memory, before it is read."""
    with archive.open("rb") as file:
        stated = stated_directory_bytes(file)
    if stated > MAX_DIRECTORY_BYTES:
        raise CoreError(f"{where}: a directory of {stated} bytes; at most {MAX_DIRECTORY_BYTES} are allowed.")


def _unpack_members(bundle: zipfile.ZipFile, target: Path, where: str) -> None:
    members = bundle.infolist()
    if len(members) > MAX_MEMBERS:
        raise CoreError(f"{where}: {len(members)} members; at most {MAX_MEMBERS} are allowed.")
    names = [member.filename.rstrip("/") for member in members]
    if len(set(names)) != len(names):
        raise CoreError(f"{where}: a name is given twice.")
    budget = MAX_UNPACKED_BYTES
    for member in members:
        _check_member(member, where)
        path = target / member.filename
        if member.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        budget -= _copy_member(bundle, member, path, budget, where)
        mode = member.external_attr >> 16
        path.chmod(0o755 if mode & 0o111 else 0o644)


def _check_member(member: zipfile.ZipInfo, where: str) -> None:
    name = PurePosixPath(member.filename)
    if name.is_absolute() or ".." in name.parts or "\\" in member.filename or not name.parts:
        raise CoreError(f"{where}: member {member.filename!r} would land outside its folder.")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise CoreError(f"{where}: member {member.filename!r} is a link or a device.")


def _copy_member(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, budget: int, where: str) -> int:
    """Copies one member, counting what really comes out instead of trusting the sizes the zip states."""
    allowed = min(budget, max(_RATIO_FREE_BYTES, member.compress_size * MAX_RATIO))
    written = 0
    with bundle.open(member) as source, path.open("xb") as sink:
        while piece := source.read(_COPY_BYTES):
            written += len(piece)
            if written > allowed:
                raise CoreError(f"{where}: member {member.filename!r} unpacks to more than {allowed} bytes.")
            sink.write(piece)
    return written
