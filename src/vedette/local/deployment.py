"""Which recipes a deployment needs, in which order they start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vedette.contracts.errors import CoreError
from vedette.local.recipe import CORE_COMPONENTS, Recipe, load_recipe
from vedette.local.versions import Requirement, Version


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """What a deployment says of one component.

    Attributes:
        version: exactly this one; the highest that fits where None.
        configuration_merge: merged into the component's configuration.
        reset: JSON pointers put back to the recipe's defaults before the merge; ``""`` is everything.
    """

    version: str | None = None
    configuration_merge: Mapping[str, Any] = field(default_factory=dict)
    reset: Sequence[str] = ()


class RecipeShelf:
    """Every recipe at hand.

    Args:
        folders: searched for ``<component>[-<version>].yaml``, ``.yml`` or ``.json``.
        extra: recipes that are not files; they go before files of the same version.
        lite_quirks: read YAML as nucleus lite does.
    """

    def __init__(self, folders: Sequence[Path], extra: Iterable[Recipe], *, lite_quirks: bool) -> None:
        self._folders = tuple(folders)
        self._extra = tuple(extra)
        self._lite = lite_quirks

    def versions_of(self, name: str) -> list[Recipe]:
        """Every recipe of a component, highest version first.

        Raises:
            CoreError: a file that should hold this component does not, or has a mistake.
        """
        found = [recipe for recipe in self._extra if recipe.name == name]
        for folder in self._folders:
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path.suffix not in (".yaml", ".yml", ".json"):
                    continue
                if path.stem != name and not path.stem.startswith(f"{name}-"):
                    continue
                recipe = load_recipe(path, lite_quirks=self._lite)
                if recipe.name != name:
                    raise CoreError(f"{path}: ComponentName is {recipe.name!r}, the file's name says {name!r}.")
                found.append(recipe)
        return sorted(found, key=lambda recipe: recipe.parsed_version, reverse=True)  # stable: extra stay first

    def __str__(self) -> str:
        return ", ".join(str(folder) for folder in self._folders) or "no folder"


def resolve(shelf: RecipeShelf, wanted: Mapping[str, str | None]) -> dict[str, Recipe]:
    """Picks a version of every component asked for and of everything those need.

    Args:
        shelf: the recipes at hand.
        wanted: component to version, None for the highest that fits.

    Returns:
        Component to recipe, dependencies before what needs them.

    Raises:
        CoreError: V602, a component is missing, no version fits all ranges, or the dependencies form a circle.
    """
    ranges: dict[str, list[tuple[str, Requirement]]] = {name: [] for name in wanted}
    chosen: dict[str, Recipe] = {}
    pending = list(wanted)
    while pending:
        name = pending.pop()
        recipe = _pick(shelf, name, wanted.get(name), ranges[name])
        if chosen.get(name) == recipe:
            continue
        chosen[name] = recipe
        for dependency, requirement in recipe.requirements().items():
            if dependency in CORE_COMPONENTS:
                continue
            entry = (name, requirement)
            if entry not in ranges.setdefault(dependency, []):
                ranges[dependency].append(entry)
            pending.append(dependency)
    return {name: chosen[name] for name in _order(chosen)}


def _pick(shelf: RecipeShelf, name: str, exactly: str | None, ranges: Sequence[tuple[str, Requirement]]) -> Recipe:
    recipes = shelf.versions_of(name)
    exact = Version.parse(exactly, where=f"{name}: version") if exactly is not None else None
    for recipe in recipes:
        version = recipe.parsed_version
        if (exact is None or version == exact) and all(each.allows(version) for _, each in ranges):
            return recipe
    asked = [f"{each.text!r} of {who}" for who, each in ranges] + ([f"exactly {exactly}"] if exactly else [])
    found = ", ".join(recipe.version for recipe in recipes) or "none"
    raise CoreError(
        f"component {name}: no recipe fits ({'; '.join(asked) or 'any version'}); found {found} in {shelf}.",
        code="V602",
    )


def _order(recipes: Mapping[str, Recipe]) -> list[str]:
    order: list[str] = []
    trail: list[str] = []

    def visit(name: str) -> None:
        if name in order or name not in recipes:
            return
        if name in trail:
            circle = " -> ".join([*trail[trail.index(name) :], name])
            raise CoreError(f"the dependencies form a circle: {circle}.", code="V602")
        trail.append(name)
        for dependency in sorted(recipes[name].dependencies):
            visit(dependency)
        trail.pop()
        order.append(name)

    for name in sorted(recipes):
        visit(name)
    return order
