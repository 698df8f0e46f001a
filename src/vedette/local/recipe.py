"""Component recipes, read as strictly as the stricter of the two Greengrass nuclei reads them.

A recipe that passes here means the same on nucleus lite and on the classic nucleus: keys in the exact case of
the documentation, life-cycle phases in lower case, comparator-only version ranges, 16,000 bytes at most.
"""

from __future__ import annotations

import difflib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from vedette.contracts.errors import CoreError
from vedette.local.recipe_yaml import load_plain, load_texts
from vedette.local.versions import Requirement, Version

MAX_RECIPE_BYTES: Final = 16_000
COMPONENT_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"

#: What either nucleus itself provides; a dependency on these is always met. Nucleus lite passes over no others: what
#: else it is asked for, such as a secret manager, it looks for in the account, and AWS has none for it.
CORE_COMPONENTS: Final = frozenset(f"aws.greengrass.{name}" for name in ("Nucleus", "TokenExchangeService", "Cli"))

ComponentName = Annotated[str, StringConstraints(pattern=COMPONENT_NAME)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class Phase(_Strict):
    """One script of the life cycle (``install`` or ``run``)."""

    script: str = Field(alias="Script", min_length=1)
    setenv: dict[str, str] = Field(default_factory=dict, alias="Setenv")
    requires_privilege: bool | Literal["true", "false"] = Field(default=False, alias="RequiresPrivilege")
    timeout_s: int | None = Field(default=None, alias="Timeout", ge=1)


class Lifecycle(_Strict):
    """The life cycle of one manifest. ``shutdown`` and ``recover`` are read and never run, as on nucleus lite."""

    setenv: dict[str, str] = Field(default_factory=dict, alias="Setenv")
    install: Phase | None = None
    run: Phase | None = None
    shutdown: Phase | None = None
    recover: Phase | None = None


class Artifact(_Strict):
    """A file that belongs to the component."""

    uri: str = Field(alias="Uri", min_length=1)
    unarchive: Literal["NONE", "ZIP"] = Field(default="NONE", alias="Unarchive")
    permission: dict[str, str] = Field(default_factory=dict, alias="Permission")
    digest: str | None = Field(default=None, alias="Digest")
    algorithm: str | None = Field(default=None, alias="Algorithm")

    @property
    def file_name(self) -> str:
        """The last part of the URI, such as ``camera_ingest.zip``."""
        return self.uri.rstrip("/").rsplit("/", 1)[-1]

    @property
    def folder_name(self) -> str:
        """The folder its content lands in: the file name without ``.zip``."""
        return self.file_name.removesuffix(".zip")


class Manifest(_Strict):
    """What to run on one kind of device."""

    name: str | None = Field(default=None, alias="Name")
    platform: dict[str, str] = Field(default_factory=dict, alias="Platform")
    lifecycle: Lifecycle = Field(default_factory=Lifecycle, alias="Lifecycle")
    artifacts: tuple[Artifact, ...] = Field(default=(), alias="Artifacts")


class Dependency(_Strict):
    """What must be there before the component runs."""

    version_requirement: str = Field(alias="VersionRequirement")
    dependency_type: Literal["HARD", "SOFT"] = Field(default="HARD", alias="DependencyType")


class ComponentConfiguration(_Strict):
    """The configuration a component starts with."""

    default_configuration: dict[str, JsonValue] = Field(default_factory=dict, alias="DefaultConfiguration")


class Recipe(_Strict):
    """One component, as Greengrass describes it."""

    format_version: Literal["2020-01-25"] = Field(alias="RecipeFormatVersion")
    name: ComponentName = Field(alias="ComponentName")
    version: str = Field(alias="ComponentVersion")
    component_type: Literal["aws.greengrass.generic"] = Field(default="aws.greengrass.generic", alias="ComponentType")
    description: str = Field(default="", alias="ComponentDescription")
    publisher: str = Field(default="", alias="ComponentPublisher")
    configuration: ComponentConfiguration = Field(
        default_factory=ComponentConfiguration, alias="ComponentConfiguration"
    )
    dependencies: dict[ComponentName, Dependency] = Field(default_factory=dict, alias="ComponentDependencies")
    manifests: tuple[Manifest, ...] = Field(alias="Manifests", min_length=1)

    @property
    def parsed_version(self) -> Version:
        """The version, comparable."""
        return Version.parse(self.version, where=f"{self.name}: ComponentVersion")

    def requirements(self) -> dict[str, Requirement]:
        """The version range of each dependency."""
        return {
            name: Requirement.parse(
                dependency.version_requirement,
                where=f"{self.name}: ComponentDependencies.{name}.VersionRequirement",
            )
            for name, dependency in self.dependencies.items()
        }

    def manifest(self, architecture: str | None = None) -> Manifest:
        """The first manifest for this machine.

        Args:
            architecture: the name Greengrass uses (``amd64``, ``aarch64``); this machine's where None.

        Raises:
            CoreError: no manifest fits.
        """
        architecture = architecture or machine_architecture()
        for manifest in self.manifests:
            wanted = manifest.platform
            if wanted.get("os", "*") in ("linux", "all", "*") and wanted.get("architecture", "*") in (
                architecture,
                "all",
                "*",
            ):
                return manifest
        raise CoreError(f"{self.name}: no manifest fits this machine (os linux, architecture {architecture}).")


def machine_architecture() -> str:
    """This machine's architecture under the name Greengrass uses."""
    machine = platform.machine()
    return {"x86_64": "amd64", "arm64": "aarch64", "armv7l": "arm"}.get(machine, machine)


def load_recipe(path: Path, *, lite_quirks: bool = False) -> Recipe:
    """Reads a recipe file (``.yaml``, ``.yml`` or ``.json``).

    Args:
        path: the file.
        lite_quirks: as nucleus lite, make every scalar of a YAML ``DefaultConfiguration`` a string.

    Raises:
        CoreError: the file cannot be read, is too long, or has a mistake; the message names file and field.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_RECIPE_BYTES + 1)
    except OSError as error:
        raise CoreError(f"{path}: the recipe cannot be read ({error.strerror}).") from None
    if path.suffix == ".json":
        return parse_recipe(raw, source=str(path))
    _check_size(raw, str(path))
    try:
        text = raw.decode()
        document = load_plain(text)
        if lite_quirks and isinstance(document, dict):
            _stringify(document, load_texts(text))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise CoreError(f"{path}: {' '.join(str(error).split())}") from None
    return parse_recipe(document, source=str(path))


def _check_size(raw: bytes, where: str) -> None:
    if len(raw) > MAX_RECIPE_BYTES:
        raise CoreError(f"{where}: longer than the {MAX_RECIPE_BYTES} bytes Greengrass accepts.")


def _stringify(document: dict[str, Any], texts: Any) -> None:
    """Puts the scalars of DefaultConfiguration back as written: nucleus lite reads each as a string."""
    section, text_section = document.get("ComponentConfiguration"), texts.get("ComponentConfiguration")
    if isinstance(section, dict) and "DefaultConfiguration" in section:
        section["DefaultConfiguration"] = text_section["DefaultConfiguration"]


def parse_recipe(document: object, *, source: str = "recipe") -> Recipe:
    """Validates a recipe that is already data, or JSON text.

    Args:
        document: a mapping, or JSON as bytes or text.
        source: where it came from, for messages.

    Raises:
        CoreError: the first mistake, with its field.
    """
    where = source
    if isinstance(document, (bytes, str)):
        _check_size(document if isinstance(document, bytes) else document.encode(), where)
        try:
            document = json.loads(document)
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise CoreError(f"{where}: {error}.") from None
    if not isinstance(document, Mapping):
        raise CoreError(f"{where}: a recipe is a mapping, found {type(document).__name__}.")
    try:
        recipe = Recipe.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = _field(first["loc"])
        if first["type"] == "extra_forbidden":
            raise CoreError(f"{where}: {field}: {_unknown_key(first['loc'])}") from None
        raise CoreError(f"{where}: {field}: {first['msg']}.") from None
    try:
        _check(recipe)
    except CoreError as error:
        raise CoreError(f"{where}: {error.message}", hint=error.hint) from None
    return recipe


def _field(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else ("." if path else "") + str(part)
    return path or "(top level)"


def _known_keys() -> set[str]:
    models = (Phase, Lifecycle, Artifact, Manifest, Dependency, ComponentConfiguration, Recipe)
    return {info.alias or name for model in models for name, info in model.model_fields.items()}


def _unknown_key(location: tuple[int | str, ...]) -> str:
    key = str(location[-1])
    if key in ("bootstrap", "startup", "Skipif", "skipif", "Selections"):
        return "not available on every nucleus; use 'install' and 'run'."
    same = [known for known in sorted(_known_keys()) if known.lower() == key.lower()]
    near = same or difflib.get_close_matches(key, _known_keys(), 1)
    if same:
        return f"keys are case-sensitive on nucleus lite; write {same[0]!r}."
    return "unknown key" + (f"; did you mean {near[0]!r}?" if near else ".")


def _check(recipe: Recipe) -> None:
    _ = recipe.parsed_version
    _ = recipe.requirements()
    for index, manifest in enumerate(recipe.manifests):
        path = f"Manifests[{index}]"
        unknown = set(manifest.platform) - {"os", "architecture", "runtime"}
        if unknown:
            raise CoreError(f"{path}.Platform: unknown key {sorted(unknown)[0]!r}.")
        for key, value in manifest.platform.items():
            if value.startswith("/"):
                raise CoreError(f"{path}.Platform.{key}: nucleus lite does not match patterns such as {value!r}.")
        if manifest.platform.get("runtime") != "*":
            raise CoreError(
                f'{path}.Platform.runtime must be "*".',
                hint="Without it nucleus lite answers 'no lifecycle found'.",
            )
        names = [artifact.file_name for artifact in manifest.artifacts]
        for artifact in manifest.artifacts:
            if names.count(artifact.file_name) > 1 or artifact.file_name in (".", ".."):
                raise CoreError(f"{path}.Artifacts: file name {artifact.file_name!r} is not usable or given twice.")
            if artifact.unarchive == "ZIP" and not artifact.file_name.endswith(".zip"):
                raise CoreError(f"{path}.Artifacts: {artifact.file_name!r} is to be unarchived and is no .zip.")
