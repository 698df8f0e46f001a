"""Bills of materials: what is packed, no more and no less, in the form that the specification asks for."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name, parse_wheel_filename

from infra import assets
from tests.cli.test_cli_main import vedette
from vedette.contracts.errors import UsageError
from vedette.local.application_tree import BuiltApplication
from vedette.local.building.packed import FUNCTIONS, SBOM_NAME, tree_sbom, write_sbom
from vedette.local.building.sbom import Package, Part, bill_of_materials, licences
from vedette.local.component_tree import BuildSettings, Built, build_tree


def loaded(tree: Path) -> dict[str, Any]:
    return json.loads((tree / SBOM_NAME).read_bytes())  # type: ignore[no-any-return]


def packed(built: tuple[Built, ...]) -> dict[tuple[str, str, str], str]:
    """(name, version, file) → SHA-256 of every wheel in the artefacts, found without what is tested."""
    found = {}
    for artefact in (artefact for one in built for artefact in one.artifacts):
        with zipfile.ZipFile(artefact.path) as archive:
            for name in (name for name in archive.namelist() if name.endswith(".whl")):
                library, version, _, _ = parse_wheel_filename(Path(name).name)
                key = (str(canonicalize_name(library)), str(version), Path(name).name)
                found[key] = hashlib.sha256(archive.read(name)).hexdigest()
    return found


def listed(document: dict[str, Any]) -> dict[tuple[str, str, str], str]:
    """The same of a document."""
    return {
        (one["name"], one["version"], one["properties"][0]["value"]): one["hashes"][0]["content"]
        for one in document["components"]
        if one["type"] == "library"
    }


def check(document: dict[str, Any]) -> None:
    """What schema 1.6 asks of the fields that we use; `make sbom` compares with the schema itself."""
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", document["serialNumber"])
    references = [one["bom-ref"] for one in (document["metadata"]["component"], *document["components"])]
    assert len(set(references)) == len(references)
    for one in document["components"]:
        assert one["type"] in ("application", "library")
        assert one["name"]
        assert one["version"]
        for digest in one.get("hashes", ()):
            assert digest["alg"] == "SHA-256"
            assert re.fullmatch("[0-9a-f]{64}", digest["content"])
        if one["type"] == "library":
            assert re.fullmatch(rf"pkg:(pypi|generic)/{re.escape(one['name'])}@\S+", one["purl"])
        said = one.get("licenses", [])
        assert sum("expression" in each for each in said) in (0, len(said))
        assert "expression" not in str(said) or len(said) == 1
    assert [each["ref"] for each in document["dependencies"]] == sorted(references)
    for each in document["dependencies"]:
        assert set(each["dependsOn"]) <= set(references)
        assert each["ref"] not in each["dependsOn"]


def test_a_build_lists_exactly_the_wheels_in_its_artefacts(
    built_tree: Path, built_components: tuple[Built, ...]
) -> None:
    document = loaded(built_tree)
    check(document)
    assert listed(document) == packed(built_components)
    parts = {one["name"] for one in document["components"] if one["type"] == "application"}
    assert parts == {one.name for one in built_components}
    needs = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    (runtime,) = (name for name in needs if name.startswith("onnxruntime-"))
    assert any(name.startswith("numpy-") for name in needs[runtime])
    assert runtime in needs[f"vedette.Inference@{built_components[0].version}"]
    assert document["compositions"] == [
        {"aggregate": "complete", "dependencies": sorted(f"{one.name}@{one.version}" for one in built_components)}
    ]


def test_applications_have_one_too(built_application: BuiltApplication) -> None:
    document = loaded(built_application.components[0].recipe.parent.parent)
    check(document)
    assert listed(document) == packed(built_application.components)


def test_a_wheel_that_is_taken_out_is_missed(built_components: tuple[Built, ...], built_tree: Path) -> None:
    document = loaded(built_tree)
    document["components"] = [one for one in document["components"] if one["name"] != "pyyaml"]
    missing = packed(built_components).keys() - listed(document).keys()
    assert [name for name, _, _ in missing] == ["pyyaml"]


def test_equal_trees_have_equal_bytes_and_name_no_place(built_tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    shutil.copytree(built_tree, other)
    (other / SBOM_NAME).unlink()
    assert write_sbom(other).read_bytes() == (built_tree / SBOM_NAME).read_bytes()
    text = (built_tree / SBOM_NAME).read_text()
    assert str(built_tree) not in text
    assert "timestamp" not in text
    assert set(re.findall(r"https?://\S+?[\"/]", text)) == {"http://cyclonedx.org/"}


def test_without_libraries_it_says_that_it_is_not_all(tmp_path: Path) -> None:
    build_tree(tmp_path, BuildSettings.choose(libraries=False))
    document = loaded(tmp_path)
    check(document)
    assert [each["aggregate"] for each in document["compositions"]] == ["incomplete"]
    assert listed(document) == {}


def test_a_damaged_artefact_is_named(tmp_path: Path) -> None:
    built = build_tree(tmp_path, BuildSettings.choose(libraries=False))
    built[0].artifacts[0].path.write_bytes(b"PK no more")
    with pytest.raises(UsageError, match=built[0].artifacts[0].name) as caught:
        tree_sbom(tmp_path)
    assert caught.value.code == "V708"
    built[0].artifacts[0].path.unlink()
    with pytest.raises(UsageError, match="No such file"):
        tree_sbom(tmp_path)


def metadata(*fields: tuple[str, str]) -> Message:
    made = Message()
    for name, value in fields:
        made[name] = value
    return made


def test_licences_are_what_the_distribution_says() -> None:
    expression = ("License-Expression", "Apache-2.0 OR BSD-2-Clause")
    classifier = ("Classifier", "License :: OSI Approved :: MIT License")
    assert licences(metadata(expression, classifier)) == (
        {"expression": "Apache-2.0 OR BSD-2-Clause", "acknowledgement": "declared"},
    )
    named = ({"license": {"name": "MIT License", "acknowledgement": "declared"}},)
    assert licences(metadata(classifier, ("License", "MIT"), ("Classifier", "License :: OSI Approved"))) == named
    (short,) = licences(metadata(("License", "BSD")))
    assert short["license"]["name"] == "BSD"
    assert licences(metadata(("License", "Copyright\nthe whole text"))) == ()
    assert licences(metadata()) == ()


def test_values_in_any_order_give_the_same_document() -> None:
    one = Package("numpy", "2.0", "numpy-2.0-cp311-cp311-any.whl", "a" * 64)
    two = Package("lapx", "1.0+cpu", "lapx-1.0.whl", "b" * 64, needs=frozenset({"numpy", "absent"}))
    first = bill_of_materials("all", "1", [Part("a", "1", (one, two)), Part("b", "1", (one,))])
    assert first == bill_of_materials("all", "1", [Part("b", "1", (one,)), Part("a", "1", (two, one))])
    document = json.loads(first)
    check(document)
    assert [each["purl"] for each in document["components"][2:]] == ["pkg:pypi/lapx@1.0%2Bcpu", "pkg:pypi/numpy@2.0"]
    changed = bill_of_materials("all", "1", [Part("a", "1", (one, two))])
    assert json.loads(changed)["serialNumber"] != document["serialNumber"]


def test_functions_are_described_for_where_they_run() -> None:
    assert FUNCTIONS.python == assets.PYTHON_VERSION
    assert set(assets._PLATFORMS) <= set(FUNCTIONS.platforms())
    assert assets._PLATFORMS[0] == FUNCTIONS.platforms()[0]


def test_the_command_prints_writes_and_refuses(tmp_path: Path) -> None:
    build_tree(tmp_path / "tree", BuildSettings.choose(libraries=False))
    kept = (tmp_path / "tree" / SBOM_NAME).read_text()
    assert vedette("sbom", str(tmp_path / "tree")).stdout == kept
    target = tmp_path / "new" / "sbom.json"
    assert vedette("sbom", str(tmp_path / "tree"), "--output", str(target)).returncode == 0
    assert target.read_text() == kept
    refused = vedette("sbom", str(tmp_path), "--functions")
    assert (refused.returncode, "do not go together" in refused.stderr) == (1, True)
    absent = vedette("sbom", str(tmp_path / "nothing"))
    assert (absent.returncode, "V708" in absent.stderr, "Traceback" in absent.stderr) == (1, True, False)
