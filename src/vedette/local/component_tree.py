"""Writes our components as a tree that can be deployed: recipes, and one zip for each with everything that it runs on.

    build.json                                   what is in the tree, with digests
    sbom.cdx.json                                which software it is: the bill of materials
    recipes/vedette.Inference-0.1.0.yaml
    artifacts/vedette.Inference/0.1.0/inference.zip
                                      ├── install.sh, run.sh    called by the recipe; these call python.sh, share.py
                                      │                         and verify.py
                                      ├── .files.json           every file, installed ones too, with digests
                                      ├── inference/            the component
                                      ├── requirements.txt      the wheels, with digests
                                      ├── target                Python and machine that they are for
                                      ├── installer/            pip, which installs them
                                      └── wheelhouse/           the package `vedette` and its libraries

The same sources, lock and settings give the same bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from vedette.adapters.artefact_file import measured
from vedette.contracts.errors import UsageError
from vedette.local.building.archive import Member, source_files, write_archive
from vedette.local.building.libraries import COMPONENT_LIBRARIES
from vedette.local.building.package_wheel import package_members
from vedette.local.building.packed import write_sbom
from vedette.local.building.sealed import sealed
from vedette.local.building.settings import BuildSettings
from vedette.local.building.tree import BuildTarget, Built, read_tree, write_list
from vedette.local.building.wheelhouse import Wheelhouses, scratch
from vedette.local.building.wheels import WheelCache
from vedette.local.data import data_directory
from vedette.local.recipe import Recipe, load_recipe

__all__ = ["BuildSettings", "BuildTarget", "Built", "build_tree", "read_tree"]

_SCRIPTS = ("install.sh", "python.sh", "run.sh", "share.py", "verify.py")


def build_tree(target: Path, settings: BuildSettings | None = None) -> tuple[Built, ...]:
    """Write the tree; files of the same names are replaced, other components stay.

    Args:
        target: folder, made where there is none.
        settings: what for; this machine where None.

    Returns:
        What was built, by name.

    Raises:
        UsageError: V702 the installation is incomplete, V703 the folder cannot be written, V708 its list cannot be
            used, V709 or V710 see ``Wheelhouses``.
        CoreError: V601, a recipe cannot be used.
    """
    settings = settings or BuildSettings.choose()
    recipes = sorted(data_directory("recipes").glob("*.yaml"))
    with scratch() as work:
        houses = wheelhouses(settings, Path(work)) if settings.libraries else None
        try:
            made = tuple(_build(path, target, settings, houses) for path in recipes)
            write_list(target, made)
            write_sbom(target)
        except OSError as error:
            raise not_writable(target, error) from None
    return made


def wheelhouses(settings: BuildSettings, work: Path) -> Wheelhouses:
    """What makes the wheelhouses of a build."""
    return Wheelhouses(settings.plan, settings.runtime_wheel, WheelCache(settings.cache, settings.progress), work)


def not_writable(target: Path, error: OSError) -> UsageError:
    """The tree's folder does not do."""
    return UsageError(f"{target}: the components cannot be written there: {error.strerror}.", code="V703")


def script_members() -> list[Member]:
    """The scripts that a recipe calls; every artefact has the same."""
    folder = data_directory("components")
    return [Member(name, folder / name) for name in _SCRIPTS]


def bare_members() -> list[Member]:
    """In the place of a wheelhouse: the package, and the lock that says which libraries the device must have."""
    lock = data_directory("requirements") / "edge.txt"
    return [*package_members(), Member(lock.name, lock)]


def _build(path: Path, target: Path, settings: BuildSettings, houses: Wheelhouses | None) -> Built:
    recipe = load_recipe(path)
    settings.progress(f"building {recipe.name}")
    (artifact,) = recipe.manifest().artifacts
    folder = artifact.folder_name
    members = [*script_members(), *source_files(data_directory("components") / folder, folder)]
    if houses is not None:
        members += houses.members(_libraries(recipe.name))
    else:
        members += bare_members()
    document = rendered(yaml.safe_load(path.read_text()), settings)
    return write_component(target, document, {artifact.file_name: members}, settings.target())


def _libraries(name: str) -> tuple[str, ...]:
    try:
        return COMPONENT_LIBRARIES[name]
    except KeyError:
        raise UsageError(f"the libraries of the component {name} are not known.", code="V710") from None


def rendered(document: dict[str, Any], settings: BuildSettings) -> dict[str, Any]:
    """A recipe that says what it was built for: a nucleus refuses it on another architecture."""
    if not settings.libraries:
        return document
    plan = settings.plan
    about = f"Built for {plan.platform.value}, {plan.accelerator.value}, Python {plan.python}."
    described = f"{document.get('ComponentDescription', '')} {about}".strip()
    architecture = {"architecture": plan.platform.architecture}
    manifests = [
        {**manifest, "Platform": {**manifest["Platform"], **architecture}} for manifest in document["Manifests"]
    ]
    return {**document, "ComponentDescription": described, "Manifests": manifests}


def write_component(
    target: Path, document: dict[str, Any], archives: Mapping[str, list[Member]], built_for: BuildTarget
) -> Built:
    """Write a recipe and its artefacts.

    Args:
        target: the tree.
        document: the recipe.
        archives: name of each artefact → what is in it, in the order of the recipe.
        built_for: for the tree's list.

    Raises:
        OSError: the tree cannot be written.
        CoreError: V601, the recipe cannot be used.
        UsageError: V710, a wheel does not say what it installs.
    """
    document, archives = sealed(document, archives, built_for.python)
    name, version = str(document["ComponentName"]), str(document["ComponentVersion"])
    artifacts, parts, installed = [], dict[str, int](), 0
    for file_name, members in archives.items():
        archive = target / "artifacts" / name / version / file_name
        for part, size in write_archive(archive, members).items():
            parts[part] = parts.get(part, 0) + size
        installed += sum(member.size() + _installed(member) for member in members)
        artifacts.append(measured(archive))
    written = target / "recipes" / f"{name}-{version}.yaml"
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(yaml.safe_dump(document, sort_keys=False, width=120), "utf-8")
    _check(written, load_recipe(written), name, version, set(archives))
    return Built(name, version, written, tuple(artifacts), built_for, parts, installed)


def _installed(member: Member) -> int:
    """What the installation adds to the unpacked file."""
    if not member.name.startswith("wheelhouse/") or isinstance(member.source, bytes):
        return 0
    with zipfile.ZipFile(member.source) as wheel:
        return sum(info.file_size for info in wheel.infolist())


def _check(written: Path, recipe: Recipe, name: str, version: str, archives: set[str]) -> None:
    """What was written is read back: an error here is told now and not by a device."""
    asked = {artifact.file_name for manifest in recipe.manifests for artifact in manifest.artifacts}
    if (recipe.name, recipe.version, asked) != (name, version, archives):
        raise UsageError(f"{written}: it names {recipe.name} {recipe.version} and {asked}.", code="V708")
