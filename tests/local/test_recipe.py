"""Recipes: what both nuclei accept passes, everything else is named with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vedette.contracts.errors import CoreError
from vedette.local.deployment import RecipeShelf, resolve
from vedette.local.recipe import CORE_COMPONENTS, Recipe, load_recipe, parse_recipe
from vedette.local.versions import Requirement, Version

GOOD = """
RecipeFormatVersion: "2020-01-25"
ComponentName: vedette.Example
ComponentVersion: 1.2.3
ComponentDependencies:
  vedette.Other:
    VersionRequirement: ">=1.0.0 <2.0.0"
    DependencyType: SOFT
ComponentConfiguration:
  DefaultConfiguration:
    number: 5
    flag: true
    nothing: null
    list: [1, yes]
    nested: {deep: 1.50}
Manifests:
  - Platform:
      os: linux
      runtime: "*"
    Artifacts:
      - Uri: s3://BUCKET/example.zip
        Unarchive: ZIP
    Lifecycle:
      install: {Script: "true", Timeout: 30}
      run:
        Script: exec python3 -m example
        Setenv: {A: b}
        RequiresPrivilege: false
"""


def write(folder: Path, text: str, name: str = "vedette.Example.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_good_recipe_is_read(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    assert (recipe.name, str(recipe.parsed_version)) == ("vedette.Example", "1.2.3")
    assert recipe.requirements()["vedette.Other"].allows(Version(1, 5, 0))
    manifest = recipe.manifest()
    assert manifest.lifecycle.install is not None
    assert manifest.lifecycle.install.timeout_s == 30
    assert manifest.lifecycle.run is not None
    assert manifest.lifecycle.run.setenv == {"A": "b"}
    assert (manifest.artifacts[0].file_name, manifest.artifacts[0].folder_name) == ("example.zip", "example")
    assert recipe.configuration.default_configuration["number"] == 5


def test_lite_makes_every_yaml_scalar_a_string_and_keeps_json(tmp_path: Path) -> None:
    lite = load_recipe(write(tmp_path, GOOD), lite_quirks=True)
    assert lite.configuration.default_configuration == {
        "number": "5",
        "flag": "true",
        "nothing": "null",
        "list": ["1", "yes"],
        "nested": {"deep": "1.50"},
    }
    document = json.loads(load_recipe(write(tmp_path, GOOD)).model_dump_json(by_alias=True, exclude_none=True))
    path = write(tmp_path, json.dumps(document), "vedette.Example.json")
    assert load_recipe(path, lite_quirks=True).configuration.default_configuration["number"] == 5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Script: exec", "script: exec", r"Manifests\[0\].Lifecycle.run.*Script"),
        ("Setenv: {A", "SetEnv: {A", r"run.SetEnv: keys are case-sensitive.*'Setenv'"),
        ("      run:\n", "      Run:\n", r"Lifecycle.Run: keys are case-sensitive.*'run'"),
        ("      run:\n", "      startup:\n", r"startup: not available on every nucleus"),
        ("ComponentVersion:", "ComponentVersoin:", r"ComponentVersion: Field required|did you mean"),
        ('runtime: "*"', "architecture: amd64", r"Platform.runtime must be"),
        ("os: linux", "os: linux\n      architecture: /amd64|aarch64/", r"does not match patterns"),
        (">=1.0.0 <2.0.0", "^1.0.0", r"npm ranges"),
        (">=1.0.0 <2.0.0", "1.0.0", r"VersionRequirement"),
        ("1.2.3", "1.2.x", r"no version"),
        ("example.zip", "example.tar", r"no \.zip"),
        ("number: 5", "number: 5\n    number: 6", r"line \d+: key 'number' is given twice"),
        ("number: 5", "number: &x 5\n    other: *x", r"aliases are not allowed"),
        ("number: 5", "number: " + 2000 * "[" + 2000 * "]", r"more than 50 levels"),
        ("number: 5", "number: 2024-01-01", r"timestamp; put it in quotes"),
        ("vedette.Example\n", "../evil\n", r"ComponentName"),
        ("os: linux", "os: linux\n      colour: red", r"unknown key 'colour'"),
        ("Manifests:", "Manifests: [\n", r"vedette.Example.yaml"),
    ],
)
def test_mistakes_are_named_with_file_and_field(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(CoreError, match=message) as caught:
        load_recipe(write(tmp_path, GOOD.replace(old, new)))
    assert "vedette.Example.yaml" in str(caught.value)
    assert caught.value.code == "V601"


def test_the_recipe_of_the_documentation_is_a_good_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "localcore.md").read_text()
    recipe = load_recipe(write(tmp_path, page.split("```yaml\n")[1].split("```")[0]))
    assert recipe.configuration.default_configuration["level"] == "INFO"


def test_recipes_beyond_sixteen_thousand_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="16000 bytes"):
        load_recipe(write(tmp_path, GOOD + "#" * 16_000))
    with pytest.raises(CoreError, match="16000 bytes"):
        parse_recipe(b" " * 16_001)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match=r"gone\.yaml"):
        load_recipe(tmp_path / "gone.yaml")


def _two_manifests(**first: str) -> Recipe:
    def manifest(platform: dict[str, str], script: str) -> dict[str, Any]:
        return {"Platform": {"runtime": "*", **platform}, "Lifecycle": {"run": {"Script": script}}}

    return parse_recipe(
        {
            "RecipeFormatVersion": "2020-01-25",
            "ComponentName": "c",
            "ComponentVersion": "1.0.0",
            "Manifests": [manifest(first, "first"), manifest({"os": "linux"}, "second")],
        }
    )


@pytest.mark.parametrize(
    ("platform", "chosen"),
    [
        ({"os": "linux", "architecture": "aarch64"}, "first"),
        ({"os": "all"}, "first"),
        ({"os": "windows"}, "second"),
        ({"os": "linux", "architecture": "amd64"}, "second"),
    ],
)
def test_the_first_manifest_that_fits_is_taken(platform: dict[str, str], chosen: str) -> None:
    run = _two_manifests(**platform).manifest("aarch64").lifecycle.run
    assert run is not None
    assert run.script == chosen


def test_versions_sort_as_semver_says() -> None:
    texts = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.0.1", "2.0.0"]
    versions = [Version.parse(text) for text in texts]
    shuffled = versions[1::2] + versions[::2]
    assert sorted(shuffled) == versions


@pytest.mark.parametrize(
    ("text", "version", "allowed"),
    [
        (">=1.0.0", "1.0.0", True),
        (">1.0.0", "1.0.0", False),
        ("<=1.0.0", "1.0.0", True),
        ("<1.0.0", "0.9.9", True),
        ("=1.0.0", "1.0.1", False),
        (">= 1.0.0 <2.0.0", "2.0.0", False),
        (">=1.0.0 <2.0.0", "1.9.9", True),
    ],
)
def test_comparators(text: str, version: str, allowed: bool) -> None:
    assert Requirement.parse(text).allows(Version.parse(version)) is allowed


@pytest.mark.parametrize("text", ["", "^1.0.0", "~1.0", "1.x", "*", ">=1.0.0 || <0.1.0", ">=1"])
def test_other_ranges_are_refused(text: str) -> None:
    with pytest.raises(CoreError):
        Requirement.parse(text)


@pytest.mark.parametrize("name", sorted(CORE_COMPONENTS))
def test_what_both_nuclei_have_is_there(tmp_path: Path, name: str) -> None:
    write(tmp_path, GOOD.replace("vedette.Other", name))
    shelf = RecipeShelf([tmp_path], [], lite_quirks=True)
    assert list(resolve(shelf, {"vedette.Example": None})) == ["vedette.Example"]


@pytest.mark.parametrize("name", ["SecretManager", "ShadowManager", "LogManager"])
def test_what_nucleus_lite_has_not_is_no_dependency(tmp_path: Path, name: str) -> None:
    write(tmp_path, GOOD.replace("vedette.Other", f"aws.greengrass.{name}"))
    with pytest.raises(CoreError, match=rf"component aws\.greengrass\.{name}: no recipe fits"):
        resolve(RecipeShelf([tmp_path], [], lite_quirks=True), {"vedette.Example": None})
