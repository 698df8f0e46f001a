"""Our components, from the sources to versions in the account."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.building.conftest import write_application
from tests.cloud.conftest import resources, templates
from tests.cloud.iot_policy import as_list, resolved
from vedette.cli.main import main
from vedette.contracts.errors import ConfigurationError
from vedette.local.application_tree import build_application
from vedette.local.artifacts import prepare_artifacts
from vedette.local.component_tree import BuildSettings, Built, build_tree
from vedette.local.data import data_directory
from vedette.local.edge import EDGE_COMPONENTS
from vedette.local.recipe import load_recipe

BARE = BuildSettings.choose(libraries=False)


FUNCTION = "AWS::Lambda::Function"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("components")
    build_tree(target, BARE)
    return target


@pytest.fixture(scope="module")
def built(tree: Path) -> tuple[Built, ...]:
    return build_tree(tree, BARE)


def test_all_components_are_in_it(built: tuple[Built, ...]) -> None:
    names = sorted(path.stem for path in data_directory("recipes").glob("*.yaml"))
    assert [one.name for one in built] == names
    assert set(EDGE_COMPONENTS) <= set(names)


def test_the_same_sources_give_the_same_bytes(built: tuple[Built, ...], tmp_path: Path) -> None:
    for one, again in zip(built, build_tree(tmp_path, BARE), strict=True):
        assert again.artifacts[0].path.read_bytes() == one.artifacts[0].path.read_bytes()
        assert again.recipe.read_bytes() == one.recipe.read_bytes()


def test_scripts_lie_where_the_recipe_says(tree: Path, built: tuple[Built, ...], tmp_path: Path) -> None:
    for one in built:
        recipe, unpacked = load_recipe(one.recipe), tmp_path / one.name / "unpacked"
        files = tmp_path / one.name / "files"
        prepare_artifacts(recipe, artifacts=files, decompressed=unpacked, trees=[tree / "artifacts"], sources={})
        lifecycle = recipe.manifest().lifecycle
        assert lifecycle.run is not None
        script = str(lifecycle.run.script).rpartition("exec sh ")[2].split()[0]
        script = script.replace("{artifacts:decompressedPath}", str(unpacked))
        assert Path(script).is_file()
        beside = Path(script).parent  # what run.sh makes importable
        assert (beside / "vedette" / "__init__.py").is_file()
        assert (beside / "dlr_worker" / "worker.py").is_file()
        assert (beside / "panoramasdk" / "__init__.py").is_file()
        assert (beside / "edge.txt").is_file()


def test_nothing_but_sources_is_packed(built: tuple[Built, ...]) -> None:
    for one in built:
        names = zipfile.ZipFile(one.artifacts[0].path).namelist()
        assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc") or "/_data/" in name]
        assert "edge.txt" in names


@pytest.fixture(scope="module")
def stack(tree: Path, built: tuple[Built, ...]) -> dict[str, Any]:
    return templates(json.dumps({"components": str(tree)}))["deployments"]


def test_each_becomes_a_version_that_stays(stack: dict[str, Any], built: tuple[Built, ...]) -> None:
    versions = resources(stack, "AWS::GreengrassV2::ComponentVersion")
    assert len(versions) == len(built)
    for version in versions.values():
        assert version["DeletionPolicy"] == version["UpdateReplacePolicy"] == "Retain"
        recipe = json.loads(resolved(version["Properties"]["InlineRecipe"]))
        assert len(json.dumps(recipe)) < 16_000
        (manifest,) = recipe["Manifests"]
        (artifact,) = manifest["Artifacts"]
        assert artifact["Uri"].startswith("s3://")
        unpacked = artifact["Uri"].rpartition("/")[2].removesuffix(".zip")
        for phase in ("install", "run"):
            folder = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", recipe["ComponentName"].rpartition(".")[2]).lower()
            script = manifest["Lifecycle"][phase]["Script"]
            arguments = f" -m {folder}" if phase == "run" else ""
            if (phase, folder) == ("install", "camera_ingest"):
                arguments = " '{configuration:/stateDirectory}'"
            there = f"{{artifacts:decompressedPath}}/{unpacked}"
            assert script.rpartition("; ")[2] == f"exec sh {there}/{phase}.sh --verify {there}/{arguments}"
            assert f"  {there}/.files.json" in script


def baselines(stack: dict[str, Any]) -> list[dict[str, Any]]:
    """What new rings run, as each function that decides it is told."""
    functions = [one["Properties"]["Environment"]["Variables"] for one in resources(stack, FUNCTION).values()]
    found = [json.loads(variables["BASELINE"]) for variables in functions if "BASELINE" in variables]
    assert found
    return found


def test_new_rings_run_them(stack: dict[str, Any], built: tuple[Built, ...]) -> None:
    for baseline in baselines(stack):
        assert {one.name: one.version for one in built}.items() <= {
            n: c["version"] for n, c in baseline.items()
        }.items()


def test_devices_may_load_these_objects_and_no_others(stack: dict[str, Any], built: tuple[Built, ...]) -> None:
    (policy,) = [p for name, p in resources(stack, "AWS::IAM::Policy").items() if name.startswith("ComponentsLoad")]
    allowed = {
        one["Action"]: as_list(resolved(one["Resource"])) for one in policy["Properties"]["PolicyDocument"]["Statement"]
    }
    assert set(allowed) == {"s3:GetBucketLocation", "s3:GetObject"}
    assert len(allowed["s3:GetObject"]) == len(built)
    assert len(allowed["s3:GetBucketLocation"]) == 1
    assert "*" not in json.dumps([*allowed.values()])


def test_devices_may_ask_where_each_bucket_is_that_they_load_from(tree: Path) -> None:
    """The classic nucleus does, before it loads anything."""
    lent = [
        statement
        for template in templates(json.dumps({"components": str(tree)})).values()
        for policy in resources(template, "AWS::IAM::Policy").values()
        if "DeviceRole" in json.dumps(policy["Properties"]["Roles"])
        for statement in resolved(policy["Properties"]["PolicyDocument"]["Statement"])
    ]

    def where(action: str) -> set[str]:
        found = [one["Resource"] for one in lent if action in as_list(one["Action"])]
        return {resource.partition("/")[0] for resources_ in found for resource in as_list(resources_)}

    assert where("s3:GetBucketLocation") == where("s3:GetObject")
    assert len(where("s3:GetObject")) == 2, "components published by hand, and those of the stack"


def test_a_changed_content_is_another_resource(tree: Path, stack: dict[str, Any], tmp_path: Path) -> None:
    other = tmp_path / "tree"
    shutil.copytree(tree, other)
    archive = next((other / "artifacts" / "vedette.Inference").rglob("*.zip"))
    with zipfile.ZipFile(archive, "a") as changed:
        changed.writestr("more.txt", "more")
    again = templates(json.dumps({"components": str(other)}))["deployments"]
    before = set(resources(stack, "AWS::GreengrassV2::ComponentVersion"))
    after = set(resources(again, "AWS::GreengrassV2::ComponentVersion"))
    assert len(before - after) == len(after - before) == 1


def test_an_application_with_two_artefacts_becomes_versions_and_no_ring_runs_it_unasked(
    tree: Path, tmp_path: Path
) -> None:
    other = tmp_path / "tree"
    shutil.copytree(tree, other)
    build_application(write_application(tmp_path / "visits"), other, BARE)
    stack = templates(json.dumps({"components": str(other)}))["deployments"]
    made = [
        json.loads(resolved(version["Properties"]["InlineRecipe"]))
        for version in resources(stack, "AWS::GreengrassV2::ComponentVersion").values()
    ]
    (candidate,) = [recipe for recipe in made if recipe["ComponentName"] == "vedette.candidate.visits"]
    (manifest,) = candidate["Manifests"]
    content, runtime = (one["Uri"].rpartition("/")[2].removesuffix(".zip") for one in manifest["Artifacts"])
    assert content != runtime
    where = "{artifacts:decompressedPath}"
    compared, _, called = manifest["Lifecycle"]["run"]["Script"].rpartition("; ")
    assert called == (
        f"exec sh {where}/{runtime}/run.sh --verify {where}/{content}/ -m vedette app try {where}/{content}"
    )
    assert f"  {where}/{runtime}/.files.json" in compared
    assert f"  {where}/{content}/.files.json" in compared
    for baseline in baselines(stack):
        assert not {"vedette.app.visits", "vedette.candidate.visits"} & baseline.keys()


def test_a_folder_without_components_is_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no recipes/\*\.yaml"):
        templates(json.dumps({"components": str(tmp_path)}))
    broken = tmp_path / "tree"
    shutil.copytree(tree, broken)
    next((broken / "artifacts" / "vedette.Alerting").rglob("*.zip")).unlink()
    with pytest.raises(ConfigurationError, match=r"alerting\.zip is missing, which vedette\.Alerting needs"):
        templates(json.dumps({"components": str(broken)}))


def test_the_command_lists_what_it_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["build", "--no-libraries", "--out", str(tmp_path / "out"), "--json"])
    assert not ended.value.code
    told = json.loads(capsys.readouterr().out)["components"]
    assert [one["name"] for one in told] == sorted(one["name"] for one in told)
    for one in told:
        assert Path(one["recipe"]).is_file()
        assert sum(Path(file["file"]).stat().st_size for file in one["artifacts"]) == one["bytes"]
    with pytest.raises(SystemExit) as ended:
        main(["build", "--no-libraries", "--out", "/proc/nowhere"])
    assert ended.value.code == 1
    assert "V703" in capsys.readouterr().err
