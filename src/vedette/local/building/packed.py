"""Bills of materials of what is really packed: the wheels in a tree's artefacts, and those of the functions."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.utils import canonicalize_name

import vedette
from vedette.adapters.state.files import write_durably
from vedette.contracts.errors import UsageError
from vedette.local.building.environment import TargetPython
from vedette.local.building.lock import read_lock
from vedette.local.building.sbom import Package, Part, bill_of_materials, licences
from vedette.local.building.tree import BuildTarget, ListedComponent, read_list
from vedette.local.building.wheels import Wheel, WheelCache, wheel_name
from vedette.local.data import data_directory

#: In a built tree, beside ``build.json``.
SBOM_NAME: Final = "sbom.cdx.json"
#: Where the functions of the account run: Python and Amazon Linux 2023, as ``infra/assets.py`` builds them.
FUNCTIONS: Final = TargetPython("3.14", "aarch64", (2, 34))
_CHUNK: Final = 1 << 20


def write_sbom(tree: Path) -> Path:
    """Write the bill of materials of all components of a tree into it.

    Returns:
        The file, ``sbom.cdx.json``.

    Raises:
        UsageError: V708, the tree cannot be used; V710, a wheel in it is damaged.
        OSError: the folder cannot be written.
    """
    path = tree / SBOM_NAME
    write_durably(path, tree_sbom(tree), 0o644)
    return path


def tree_sbom(tree: Path) -> bytes:
    """The bill of materials of a built tree, from what its artefacts hold.

    Raises:
        UsageError: V708, the tree cannot be used; V710, a wheel in it is damaged.
    """
    seen: dict[tuple[str, int, int], Package] = {}
    with tempfile.TemporaryDirectory(prefix="vedette-sbom-") as work:
        parts = [_part(tree, component, seen, Path(work)) for component in read_list(tree).components]
    return bill_of_materials("vedette on a device", vedette.__version__, parts)


def functions_sbom(cache: WheelCache) -> bytes:
    """The bill of materials of what the account's functions carry besides our own code.

    Raises:
        UsageError: V710, a library cannot be had.
    """
    lock = read_lock(data_directory("requirements") / "lambdas.txt", environment=FUNCTIONS.markers())
    wheels = cache.wheels([lock.pins[name] for name in sorted(lock.pins)], FUNCTIONS)
    packages = tuple(described(wheel, FUNCTIONS.markers()) for wheel in wheels)
    facts = {"platform": "linux/arm64", "python": FUNCTIONS.python}
    part = Part("vedette functions", vedette.__version__, packages, facts)
    return bill_of_materials("vedette in the account", vedette.__version__, [part])


def described(wheel: Wheel, markers: Mapping[str, str]) -> Package:
    """A wheel as a bill of materials has it.

    Args:
        wheel: the file.
        markers: of the environment that it is for.

    Raises:
        UsageError: V710, it is damaged.
    """
    needs = {
        str(canonicalize_name(need.name))
        for need in wheel.requirements()
        if need.marker is None or need.marker.evaluate(dict(markers))
    }
    said = licences(wheel.metadata())
    return Package(wheel.name, wheel.version, wheel.path.name, wheel.sha256, said, frozenset(needs))


def _part(tree: Path, component: ListedComponent, seen: dict[tuple[str, int, int], Package], work: Path) -> Part:
    packages: dict[str, Package] = {}
    for file in component.artifacts:
        for package in _packages(tree / file.file, _markers(component.target), seen, work):
            packages[package.reference] = package
    target = component.target
    facts = {name: text for name, text in target.model_dump().items() if text}
    files = {PurePosixPath(file.file).name: file.sha256 for file in component.artifacts}
    return Part(component.name, component.version, tuple(packages.values()), facts, files, complete=bool(target.python))


def _markers(target: BuildTarget) -> dict[str, str]:
    return TargetPython(target.python or "3.11", target.platform.machine, (2, 17)).markers()


def _packages(
    artefact: Path, markers: Mapping[str, str], seen: dict[tuple[str, int, int], Package], work: Path
) -> Iterator[Package]:
    """Of every wheel in it, wherever it lies; those that other artefacts had too are read once."""
    try:
        with zipfile.ZipFile(artefact) as archive:
            for info in archive.infolist():
                if not info.filename.endswith(".whl"):
                    continue
                key = (PurePosixPath(info.filename).name, info.CRC, info.file_size)
                if key not in seen:
                    wheel = _unpacked(archive, info, work)
                    seen[key] = described(wheel, markers)
                    wheel.path.unlink()
                yield seen[key]
    except (OSError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"{artefact}: it cannot be read: {getattr(error, 'strerror', None) or error}.",
            hint="Build it again into an empty folder: vedette build --out DIR.",
            code="V708",
        ) from None


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, work: Path) -> Wheel:
    path = work / PurePosixPath(info.filename).name
    named = wheel_name(path)
    if named is None:
        raise UsageError(f"{info.filename}: that is not the name of a wheel.", code="V710")
    told = hashlib.sha256()
    with archive.open(info) as source, path.open("wb") as copy:
        while chunk := source.read(_CHUNK):
            told.update(chunk)
            copy.write(chunk)
    return Wheel(*named, path, told.hexdigest(), info.file_size)
