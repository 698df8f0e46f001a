"""What lies in a tree of built components, and its list ``build.json``.

    build.json                                   every file below with its SHA-256, and what it was built for
    sbom.cdx.json                                the bill of materials, see ``packed.py``
    recipes/vedette.Inference-0.1.0.yaml
    artifacts/vedette.Inference/0.1.0/inference.zip

Both nuclei take the folders as they are; the list is for whoever publishes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationError

from vedette.adapters.artefact_file import ArtefactFile, measured
from vedette.adapters.state.files import write_durably
from vedette.contracts.base import Contract, Digest, mistakes
from vedette.contracts.errors import UsageError
from vedette.core.fleet.build_target import Platform
from vedette.local.recipe import load_recipe

LIST_NAME: Final = "build.json"
MAX_LIST_BYTES: Final = 4 << 20


def _inside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in value:
        raise ValueError("a path below the tree is needed")
    return value


_Inside = Annotated[str, AfterValidator(_inside)]


class BuildTarget(Contract):
    """What a component was built for.

    Attributes:
        platform: operating system and processor.
        accelerator: ``cpu``, ``cuda`` or ``tensorrt``.
        python: of the wheels, such as ``3.11``; empty where there are none in it.
        device: kind of device, where one was named.
    """

    platform: Platform
    accelerator: str = "cpu"
    python: str = ""
    device: str = ""


class ListedFile(Contract):
    """One file of the tree."""

    file: _Inside
    sha256: Digest
    bytes: Annotated[int, Field(ge=0)]


class ListedComponent(Contract):
    """One component of the tree."""

    name: str
    version: str
    target: BuildTarget
    recipe: ListedFile
    artifacts: tuple[ListedFile, ...]
    parts: dict[str, int] = Field(default_factory=dict)
    installed_bytes: int = 0


class TreeList(Contract):
    """``build.json``."""

    format: Literal[1] = 1
    components: tuple[ListedComponent, ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """One component in the tree.

    Attributes:
        name: of the component.
        version: of its recipe.
        recipe: its file.
        artifacts: what the recipe names, in its order.
        target: what it was built for.
        parts: bytes of each part inside the artefacts: code, libraries, models, tests.
        installed_bytes: on the device's disk after the installation: unpacked artefacts and the installed libraries.
    """

    name: str
    version: str
    recipe: Path
    artifacts: tuple[ArtefactFile, ...]
    target: BuildTarget
    parts: Mapping[str, int] = field(default_factory=dict)
    installed_bytes: int = 0

    @property
    def size(self) -> int:
        """Bytes of all artefacts."""
        return sum(artifact.size for artifact in self.artifacts)


def write_list(tree: Path, made: Iterable[Built]) -> None:
    """Add components to the tree's list; those that are in it under the same name and version are replaced.

    Raises:
        UsageError: V708, there is a list already, and it cannot be used.
        OSError: the folder cannot be written.
    """
    found = read_list(tree).components if (tree / LIST_NAME).exists() else ()
    known = {(one.name, one.version): one for one in found if (tree / one.recipe.file).is_file()}
    known |= {(one.name, one.version): _listed(tree, one) for one in made}
    document = TreeList(components=tuple(known[key] for key in sorted(known)))
    text = json.dumps(document.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    write_durably(tree / LIST_NAME, text.encode(), 0o644)


def read_tree(tree: Path) -> tuple[Built, ...]:
    """A tree that was built before, by name and version, each file compared with the list.

    Raises:
        UsageError: V708, there is no list, or the tree is not what it says; the message has every difference.
    """
    document = read_list(tree)
    wrong: list[str] = []
    for entry in (file for one in document.components for file in (one.recipe, *one.artifacts)):
        wrong += _difference(tree, entry)
    listed = {file.file for one in document.components for file in (one.recipe, *one.artifacts)}
    wrong += [f"{name}: not in {LIST_NAME}" for name in _present(tree) if name not in listed]
    if not wrong:
        for one in document.components:
            wrong += _recipe_difference(tree, one)
    if wrong:
        raise UsageError(
            f"{tree}: not the tree that was built: {'; '.join(wrong)}.",
            hint="Build it again into an empty folder: vedette build --out DIR.",
            code="V708",
        )
    return tuple(_built(tree, one) for one in document.components)


def _difference(tree: Path, entry: ListedFile) -> list[str]:
    path = tree / entry.file
    if not path.is_file():
        return [f"{entry.file}: missing"]
    try:
        found = measured(path)
    except OSError as error:
        return [f"{entry.file}: {error.strerror}"]
    if found.sha256 != entry.sha256:
        return [f"{entry.file}: its SHA-256 is {found.sha256[:12]}…, not {entry.sha256[:12]}…"]
    return []


def _recipe_difference(tree: Path, one: ListedComponent) -> list[str]:
    recipe = load_recipe(tree / one.recipe.file)
    wrong = []
    if (recipe.name, recipe.version) != (one.name, one.version):
        wrong.append(f"{one.recipe.file}: {recipe.name} {recipe.version}, listed as {one.name} {one.version}")
    asked = {artifact.file_name for manifest in recipe.manifests for artifact in manifest.artifacts}
    there = {PurePosixPath(file.file).name for file in one.artifacts}
    if asked != there:
        wrong.append(f"{one.recipe.file}: asks for {', '.join(sorted(asked))}; listed {', '.join(sorted(there))}")
    return wrong


def _present(tree: Path) -> list[str]:
    folders = (tree / "recipes", tree / "artifacts")
    return sorted(path.relative_to(tree).as_posix() for top in folders for path in top.rglob("*") if path.is_file())


def read_list(tree: Path) -> TreeList:
    """A tree's list; whether the files are what it says is not looked at.

    Raises:
        UsageError: V708, there is none, or it cannot be used.
    """
    path = tree / LIST_NAME
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_LIST_BYTES + 1)
        if len(raw) > MAX_LIST_BYTES:
            raise ValueError("too long")
        return TreeList.model_validate_json(raw)
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}.", hint="Build the components first: vedette build --out DIR.", code="V708"
        ) from None
    except ValidationError as error:
        raise UsageError(f"{path}: {'; '.join(mistakes(error, 'the file')[:5])}.", code="V708") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}.", code="V708") from None


def _listed(tree: Path, one: Built) -> ListedComponent:
    return ListedComponent(
        name=one.name,
        version=one.version,
        target=one.target,
        recipe=_entry(tree, measured(one.recipe)),
        artifacts=tuple(_entry(tree, artifact) for artifact in one.artifacts),
        parts=dict(one.parts),
        installed_bytes=one.installed_bytes,
    )


def _entry(tree: Path, file: ArtefactFile) -> ListedFile:
    return ListedFile(file=file.path.relative_to(tree).as_posix(), sha256=file.sha256, bytes=file.size)


def _built(tree: Path, one: ListedComponent) -> Built:
    artifacts = tuple(ArtefactFile(tree / file.file, file.sha256, file.bytes) for file in one.artifacts)
    return Built(
        one.name, one.version, tree / one.recipe.file, artifacts, one.target, dict(one.parts), one.installed_bytes
    )
