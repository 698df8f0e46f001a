"""What is in built artefacts: the libraries that are needed and no others, by digest; the same bytes every time."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import grimp
import pytest
import yaml
from packaging.utils import canonicalize_name, parse_wheel_filename

from tests.building.conftest import sources
from vedette.contracts.errors import UsageError
from vedette.local.application_tree import BuiltApplication, build_application
from vedette.local.building.libraries import COMPONENT_LIBRARIES
from vedette.local.component_tree import BuildSettings, Built, build_tree, read_tree
from vedette.local.data import data_directory
from vedette.local.recipe import load_recipe, machine_architecture

DEPLOYED = ("camera_ingest", "inference", "alerting", "app_host", "device_agent")
ROOTS = {
    "vedette.CameraIngest": "camera_ingest",
    "vedette.Inference": "inference",
    "vedette.Alerting": "alerting",
    "vedette.AppHost": "app_host",
    "vedette.DeviceAgent": "device_agent",
}


def wheels(artifact: Path) -> dict[str, zipfile.ZipFile]:
    """Library → its wheel, of an artefact."""
    with zipfile.ZipFile(artifact) as archive:
        names = [name for name in archive.namelist() if name.startswith("wheelhouse/")]
        return {
            str(canonicalize_name(parse_wheel_filename(Path(name).name)[0])): zipfile.ZipFile(
                io.BytesIO(archive.read(name))
            )
            for name in names
        }


def modules_of(wheel: zipfile.ZipFile) -> set[str]:
    """Names that can be imported once it is installed."""
    tops = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" not in name}
    return {top.split(".")[0] for top in tops}


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("vedette", *DEPLOYED, include_external_packages=True, cache_dir=None)


def named_modules(module: str) -> set[str]:
    """Modules that a module starts by name, in a process of its own."""
    spec = sys.modules.get(module)
    path = Path(spec.__file__) if spec is not None and spec.__file__ else None
    if path is None:
        top = data_directory("components") if module.split(".")[0] in DEPLOYED else Path(__file__).parents[2] / "src"
        path = top.joinpath(*module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    texts = (node.value for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant))
    return {text for text in texts if isinstance(text, str) and "." in text and text in graph().modules}


def imported(roots: Iterable[str]) -> dict[str, str]:
    """Everything that is not ours and can be imported from modules, sooner or later → by which module."""
    found: dict[str, str] = {}
    waiting, seen = list(roots), set[str]()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for other in {*graph().find_modules_directly_imported_by(module), *named_modules(module)}:
            if other.split(".")[0] in ("vedette", *DEPLOYED):
                parts = other.split(".")
                waiting += [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
            elif other.split(".")[0] not in sys.stdlib_module_names:
                found.setdefault(other.split(".")[0], module)
    return found


@pytest.mark.slow
def test_every_library_that_a_component_can_import_is_in_its_wheelhouse(built_components: tuple[Built, ...]) -> None:
    for one in built_components:
        package = ROOTS[one.name]
        there = set().union(*(modules_of(wheel) for wheel in wheels(one.artifacts[0].path).values()))
        needed = imported(module for module in graph().modules if module.split(".")[0] == package)
        assert {name: by for name, by in needed.items() if name not in there} == {}, one.name
        assert {"awsiot", "pydantic"} <= set(needed), "the walk finds what is surely there"


@pytest.mark.slow
def test_the_same_of_applications_and_candidates(built_application: BuiltApplication) -> None:
    attach = {"vedette.__main__", "vedette.cli.main", "vedette.cli.app_attach"}
    tries = attach | {name for name in ("vedette.cli.app_try", "vedette.cli.app_test") if name in graph().modules}
    for one, roots in zip(built_application.components, (attach, tries), strict=True):
        there = set().union(*(modules_of(wheel) for wheel in wheels(one.artifacts[-1].path).values()))
        needed = imported(roots)
        assert {name: by for name, by in needed.items() if name not in there} == {}, one.name
        assert {"typer", "yaml"} <= set(needed)


def test_every_recipe_has_a_list_of_libraries() -> None:
    assert {path.stem for path in data_directory("recipes").glob("*.yaml")} <= set(COMPONENT_LIBRARIES)


def test_requirements_name_exactly_the_wheels_and_the_lock_knows_them(
    built_components: tuple[Built, ...], built_application: BuiltApplication
) -> None:
    lock = (data_directory("requirements") / "edge.txt").read_text()
    for one in (*built_components, *built_application.components):
        with zipfile.ZipFile(one.artifacts[-1].path) as archive:
            lines = [line for line in archive.read("requirements.txt").decode().splitlines() if line[0] != "#"]
            assert "://" not in archive.read("requirements.txt").decode()
            asked = dict(line.split(" --hash=sha256:") for line in lines)
            held = {}
            for name in (name for name in archive.namelist() if name.startswith("wheelhouse/")):
                library, version, _, _ = parse_wheel_filename(Path(name).name)
                held[f"{canonicalize_name(library)}=={version}"] = hashlib.sha256(archive.read(name)).hexdigest()
            assert asked == held
            for name, digest in held.items():
                assert digest in lock or name.startswith("vedette=="), name
            (installer,) = (name for name in archive.namelist() if name.startswith("installer/"))
            digest = hashlib.sha256(archive.read(installer)).hexdigest()
            assert digest in (data_directory("requirements") / "installer.txt").read_text()


def test_what_only_laptops_need_stays_away(built_components: tuple[Built, ...]) -> None:
    for one in built_components:
        names = set(wheels(one.artifacts[0].path))
        assert not names & {"onvif-zeep-async", "wsdiscovery", "zeep", "boto3", "pytest", "onnxruntime-gpu", "pip"}
        package = wheels(one.artifacts[0].path)["vedette"].namelist()
        assert not [name for name in package if "/_data/" in name or "__pycache__" in name]
        assert {"dlr_worker/worker.py", "panoramasdk/__init__.py", "panoramasdk/py.typed"} <= set(package)


def test_recipes_say_what_they_were_built_for(built_components: tuple[Built, ...]) -> None:
    for one in built_components:
        recipe = load_recipe(one.recipe)
        assert recipe.manifests[0].platform["architecture"] == machine_architecture()
        assert f"Built for {one.target.platform}, cpu, Python {one.target.python}." in recipe.description
        assert len(one.recipe.read_bytes()) < 16_000
        other = {"amd64": "aarch64", "aarch64": "amd64"}[machine_architecture()]
        with pytest.raises(Exception, match="no manifest fits"):
            recipe.manifest(other)


def contents(tree: Path) -> dict[str, str]:
    return {
        path.relative_to(tree).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(tree.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def same_sources(built_of: str) -> Callable[[], None]:
    """Skips a comparison of builds where somebody saved a source file between them."""

    def check() -> None:
        if sources() != built_of:
            pytest.skip("the sources were changed since the first build of this run")

    return check


def different(one: Path, other: Path) -> list[str]:
    """What differs in two files; in archives member by member, in the wheels in them too."""
    if one.read_bytes() == other.read_bytes():
        return []
    if one.suffix not in {".zip", ".whl"}:
        return [one.name]
    found = []
    with zipfile.ZipFile(one) as first, zipfile.ZipFile(other) as second, tempfile.TemporaryDirectory() as folder:
        for name in sorted({*first.namelist(), *second.namelist()}):
            sides = []
            for side, archive in (("1", first), ("2", second)):
                sides.append(Path(folder, side, Path(name).name))
                sides[-1].parent.mkdir(exist_ok=True)
                sides[-1].write_bytes(archive.read(name) if name in archive.namelist() else b"absent")
            found += [f"{one.name}: {each}" for each in different(*sides)]
    return found or [f"{one.name}: the archive itself"]


def test_a_difference_is_named_down_to_the_file_in_the_wheel(tmp_path: Path) -> None:
    for side in ("1", "2"):
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as wheel:
            wheel.writestr(zipfile.ZipInfo("vedette/a.py"), "same")
            wheel.writestr(zipfile.ZipInfo("vedette/b.py"), side)
        (tmp_path / side).mkdir()
        with zipfile.ZipFile(tmp_path / side / "c.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("wheelhouse/v.whl"), inner.getvalue())
    assert different(tmp_path / "1" / "c.zip", tmp_path / "2" / "c.zip") == ["c.zip: v.whl: b.py"]
    assert different(tmp_path / "1" / "c.zip", tmp_path / "1" / "c.zip") == []


def test_two_builds_give_the_same_bytes(
    tmp_path: Path,
    built_tree: Path,
    built_application: BuiltApplication,
    application_folder: Path,
    same_sources: Callable[[], None],
) -> None:
    source = tmp_path / "elsewhere" / "visits"  # another place, other times
    shutil.copytree(application_folder, source, copy_function=shutil.copyfile)
    build_tree(tmp_path / "components", BuildSettings.choose())
    build_application(source, tmp_path / "application", BuildSettings.choose())
    same_sources()
    for before, again in (
        (built_tree, tmp_path / "components"),
        (built_application.components[0].recipe.parent.parent, tmp_path / "application"),
    ):
        first, second = contents(before), contents(again)
        assert first.keys() == second.keys()
        unlike = [name for name in first if first[name] != second[name]]
        assert [each for name in unlike for each in different(before / name, again / name)] == []
        assert len(first) > 4


def test_a_candidates_runtime_knows_nothing_of_the_application(
    built_application: BuiltApplication, application_folder: Path, tmp_path: Path, same_sources: Callable[[], None]
) -> None:
    other = tmp_path / "parcels"
    shutil.copytree(application_folder, other)
    document = yaml.safe_load((other / "vedette.yaml").read_text()) | {"name": "parcels", "version": "9.9.9"}
    (other / "vedette.yaml").write_text(yaml.safe_dump(document))
    again = build_application(other, tmp_path / "tree", BuildSettings.choose()).components[1]
    same_sources()
    content, runtime = built_application.components[1].artifacts
    assert again.artifacts[1].name == "runtime.zip"
    assert different(runtime.path, again.artifacts[1].path) == []
    assert again.artifacts[1].sha256 == runtime.sha256
    assert again.artifacts[0].sha256 != content.sha256


def test_a_tree_that_was_changed_is_refused_with_every_difference(
    built_application: BuiltApplication, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(built_application.components[0].recipe.parent.parent, tree)
    assert [one.name for one in read_tree(tree)] == ["vedette.app.visits", "vedette.candidate.visits"]
    (tree / "recipes" / "more.yaml").write_text("x: 1")
    next(tree.rglob("runtime.zip")).unlink()
    with next(tree.rglob("visits.zip")).open("r+b") as file:
        file.seek(100)
        file.write(b"\xff\xfe")
    with pytest.raises(UsageError) as caught:
        read_tree(tree)
    assert caught.value.code == "V708"
    for told in ("recipes/more.yaml: not in build.json", "runtime.zip: missing", "visits.zip: its SHA-256 is"):
        assert told in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 2, "components": []}',
        '{"components": [{"name": "a"}]}',
        json.dumps(
            {
                "components": [
                    {
                        "name": "a",
                        "version": "1.0.0",
                        "target": {"platform": "linux/arm64"},
                        "recipe": {"file": "../../etc/passwd", "sha256": "0" * 64, "bytes": 1},
                        "artifacts": [],
                    }
                ]
            }
        ),
    ],
)
def test_a_list_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "build.json").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_tree(tmp_path)
    assert caught.value.code == "V708"
    assert "build.json" in caught.value.message


def test_a_platform_that_nothing_is_built_for_is_refused_by_its_field(tmp_path: Path) -> None:
    component = {
        "name": "a",
        "version": "1.0.0",
        "target": {"platform": "linux/riscv64"},
        "recipe": {"file": "recipe.yaml", "sha256": "0" * 64, "bytes": 1},
        "artifacts": [],
    }
    (tmp_path / "build.json").write_text(json.dumps({"components": [component]}))
    with pytest.raises(UsageError) as caught:
        read_tree(tmp_path)
    assert caught.value.code == "V708"
    assert "target.platform" in caught.value.message
    assert "linux/arm64" in caught.value.message


def test_without_a_list_there_is_no_tree(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"build\.json: No such file"):
        read_tree(tmp_path)
