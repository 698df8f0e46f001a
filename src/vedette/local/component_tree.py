"""Writes our components as a tree that can be deployed: recipes, and one zip for each with everything of ours in it.

    recipes/vedette.Inference-0.1.0.yaml
    artifacts/vedette.Inference/0.1.0/inference.zip
                                      ├── inference/   the component
                                      ├── vedette/     the package
                                      ├── dlr_worker/  runs what SageMaker Neo compiled
                                      └── edge.txt     the libraries that the device must have, locked

Libraries are not in it: such a tree serves devices whose image has them. The same sources give the same bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

import vedette
from vedette.contracts.errors import UsageError
from vedette.local.building.tree import BuildTarget, Built, BuiltArtifact, measured, read_tree, write_list
from vedette.local.data import data_directory
from vedette.local.recipe import Recipe, load_recipe, machine_architecture

__all__ = ["BuildTarget", "Built", "BuiltArtifact", "build_tree", "read_tree"]

#: The oldest time that a zip can hold, so that when it was made does not show.
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
_LEFT_OUT: Final = ("__pycache__", "_data")
_DECOMPRESSED: Final = "{artifacts:decompressedPath}/"


_PLATFORM: Final = {"aarch64": "linux/arm64", "amd64": "linux/amd64"}


def build_tree(target: Path) -> tuple[Built, ...]:
    """Write the tree; files of the same names are replaced.

    Args:
        target: folder, made where there is none.

    Returns:
        What is in it, by name.

    Raises:
        UsageError: V702 the installation is incomplete, V703 the folder cannot be written.
        CoreError: V601, a recipe cannot be used.
    """
    recipes = sorted(data_directory("recipes").glob("*.yaml"))
    try:
        made = tuple(_build(path, target) for path in recipes)
        write_list(target, made)
        return made
    except OSError as error:
        raise UsageError(f"{target}: the components cannot be written there: {error.strerror}.", code="V703") from None


def _build(path: Path, target: Path) -> Built:
    recipe = load_recipe(path)
    (artifact,) = recipe.manifest().artifacts
    folder = artifact.folder_name
    archive = target / "artifacts" / recipe.name / recipe.version / artifact.file_name
    archive.parent.mkdir(parents=True, exist_ok=True)
    _zip(archive, folder)
    written = target / "recipes" / f"{recipe.name}-{recipe.version}.yaml"
    written.parent.mkdir(parents=True, exist_ok=True)
    document = _rewritten(yaml.safe_load(path.read_text()), folder)
    written.write_text(yaml.safe_dump(document, sort_keys=False, width=120))
    _check(written, recipe)
    built_for = BuildTarget(platform=_PLATFORM[machine_architecture()])
    return Built(recipe.name, recipe.version, written, (measured(archive),), built_for)


def _zip(archive: Path, folder: str) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        for source, name in _sources(folder):
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            made.writestr(entry, source.read_bytes())


def _sources(folder: str) -> Iterator[tuple[Path, str]]:
    """Files and their names in the zip, in a fixed order."""
    package = Path(vedette.__file__).resolve().parent
    worker = package.parent / "dlr_worker"
    for top, prefix in ((data_directory("components") / folder, folder), (package, "vedette"), (worker, worker.name)):
        for path in sorted(top.rglob("*")):
            inside = path.relative_to(top)
            if path.is_file() and not set(inside.parts) & set(_LEFT_OUT):
                yield path, f"{prefix}/{inside.as_posix()}"
    lock = data_directory("requirements") / "edge.txt"
    yield lock, lock.name


def _rewritten(value: Any, folder: str) -> Any:
    """The recipe's scripts, one folder deeper: the zip holds the component's folder beside the package."""
    if isinstance(value, dict):
        return {key: _rewritten(one, folder) for key, one in value.items()}
    if isinstance(value, list):
        return [_rewritten(one, folder) for one in value]
    if isinstance(value, str):
        return value.replace(f"{_DECOMPRESSED}{folder}/", f"{_DECOMPRESSED}{folder}/{folder}/")
    return value


def _check(written: Path, recipe: Recipe) -> None:
    """What was written is read back: an error here is told now and not by a device."""
    again = load_recipe(written)
    if (again.name, again.version) != (recipe.name, recipe.version):
        raise UsageError(f"{written}: it names {again.name} {again.version}, not {recipe.name} {recipe.version}.")
