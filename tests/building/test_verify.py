"""A component starts only where every installed file is what was built, and nothing lies beside them."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import verify
from tests.building.conftest import or_skip
from tests.building.installed import Installed
from vedette.contracts.errors import ERROR_CODES, UsageError
from vedette.core.fleet.build_target import Platform
from vedette.local.building.archive import Member
from vedette.local.building.sealed import sealed
from vedette.local.component_tree import (
    BuildSettings,
    BuildTarget,
    bare_members,
    script_members,
    wheelhouses,
    write_component,
)
from vedette.local.recipe import machine_architecture

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
WHERE = "{artifacts:decompressedPath}"
CODE = 'print("the component runs")'
PLATFORM = next(each for each in Platform if each.architecture == machine_architecture())


def document(*archives: str) -> dict[str, object]:
    """A recipe with these artefacts; the last one has the scripts."""
    scripts = f"{WHERE}/{archives[-1]}"
    return {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": "vedette.Small",
        "ComponentVersion": "1.0.0",
        "Manifests": [
            {
                "Platform": {"os": "linux", "runtime": "*"},
                "Artifacts": [{"Uri": f"s3://BUCKET/{name}.zip", "Unarchive": "ZIP"} for name in archives],
                "Lifecycle": {
                    "install": {"Script": f"exec sh {scripts}/install.sh"},
                    "run": {"Script": f"exec sh {scripts}/run.sh -m small"},
                },
            }
        ],
    }


CONTENT = Member("small/__init__.py", b""), Member("small/data/table.csv", b"1,2\n")


def built_small(tree: Path, house: list[Member], python: str, *, apart: bool = False, path: str = "") -> Installed:
    """A small component, unpacked; where ``apart``, its content is an artefact of its own."""
    runtime = [*script_members(), *house]
    archives = {"small.zip": [*runtime, *CONTENT]}
    if apart:
        archives = {"content.zip": list(CONTENT), "runtime.zip": runtime}
    target = BuildTarget(platform=PLATFORM, python=python)
    recipe = document(*(name.removesuffix(".zip") for name in archives))
    return Installed.of(write_component(tree, recipe, archives, target), tree / "device", path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, impatient: str) -> Installed:
    folder = tmp_path_factory.mktemp("small")
    houses = or_skip(lambda: wheelhouses(BuildSettings.choose(), folder))
    path = f"{Path(sys.executable).parent}:{impatient}"
    small = built_small(folder, or_skip(lambda: houses.members(["packaging"])), HERE, path=path)
    done = small.install()
    assert done.returncode == 0, done.stderr
    return small


@pytest.fixture
def small(finished: Installed, tmp_path: Path) -> Installed:
    """A copy that may be changed."""
    copy = tmp_path / "device"
    before = finished.work.parent
    shutil.copytree(before, copy, symlinks=True)
    install, run = (text.replace(str(before), str(copy)) for text in (finished.install_script, finished.run_script))
    return Installed(copy / "unpacked", copy / "work", install, run, finished.path)


def site(small: Installed) -> Path:
    return small.environment / "lib" / f"python{HERE}" / "site-packages"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_what_was_built_starts_again_and_again(small: Installed) -> None:
    for _ in range(2):
        said = small.start("-c", "import packaging.tags, vedette, small; " + CODE)
        assert (said.returncode, said.stdout) == (0, "the component runs\n"), said.stderr
    assert small.install().returncode == 0


CHANGES: dict[str, Callable[[Installed], Path]] = {
    "a module": lambda small: site(small) / "packaging" / "tags.py",
    "a file of the component": lambda small: small.artefact / "small" / "data" / "table.csv",
    "the lock": lambda small: small.artefact / "requirements.txt",
    "what it is for": lambda small: small.artefact / "target",
    "the list": lambda small: small.artefact / ".files.json",
    "what compares": lambda small: small.artefact / "verify.py",
    "the script": lambda small: small.artefact / "run.sh",
    "the settings of the environment": lambda small: small.environment / "pyvenv.cfg",
}


@pytest.mark.parametrize("what", CHANGES)
def test_one_bit_is_enough_to_refuse_and_the_file_is_named(small: Installed, what: str) -> None:
    path = CHANGES[what](small)
    flip(path)
    said = small.start("-c", CODE)
    assert said.returncode == 1
    assert said.stdout == ""
    assert "error V606 installed files were changed: " in said.stderr
    assert str(path) in re.sub(r"/{2,}", "/", said.stderr)
    assert "again" in said.stderr


def found(small: Installed) -> list[str]:
    return verify.differences("start", [small.work, small.artefact])


def test_a_file_that_is_gone_is_named(small: Installed) -> None:
    gone = [site(small) / "packaging" / "tags.py", small.artefact / "small" / "data" / "table.csv"]
    for path in gone:
        path.unlink()
    assert sorted(found(small)) == sorted(f"{path}: missing" for path in gone)


ADDED = ("evil.pth", "sitecustomize.py", "json.py", "packaging/tags.pyc", "packaging/tags/__init__.py", "empty/")


def test_a_file_that_was_added_is_named(small: Installed) -> None:
    added = [top / name for top in (site(small), small.artefact) for name in ADDED]
    for path, name in zip(added, ADDED * 2, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_text("raise SystemExit(0)")
    assert {f"{path}: not of this component" for path in added} <= set(found(small))
    assert small.start("-c", CODE).returncode == 1


def test_without_its_list_nothing_starts(small: Installed) -> None:
    (small.artefact / ".files.json").unlink()
    said = small.start("-c", CODE)
    assert (said.returncode, said.stdout) == (1, "")
    assert "V606" in said.stderr


def test_a_list_that_was_written_to_fit_is_refused_too(small: Installed) -> None:
    path = small.artefact / "small" / "__init__.py"
    path.write_text("raise SystemExit(0)")
    listed = json.loads((small.artefact / ".files.json").read_text())
    listed["files"]["small/__init__.py"] = [path.stat().st_size, "0" * 64]
    (small.artefact / ".files.json").write_text(json.dumps(listed))
    assert "V606" in small.start("-c", CODE).stderr


def test_links_in_the_place_of_files_are_refused(small: Installed) -> None:
    path = site(small) / "packaging" / "tags.py"
    path.rename(small.work / "tags.py")
    path.symlink_to(small.work / "tags.py")
    assert found(small) == [f"{path}: it is not a plain file"]


def test_another_interpreter_in_the_environment_is_refused(small: Installed) -> None:
    python = small.environment / "bin" / "python3"
    python.unlink()
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)
    said = small.start("-c", CODE)
    assert f"{python}: it is not " in said.stderr
    assert said.returncode == 1


def test_byte_code_is_made_anew_at_each_start(small: Installed) -> None:
    folder = site(small) / "packaging" / "__pycache__"
    assert small.start("-c", "import packaging.tags").returncode == 0
    left = list(folder.glob("tags.*.pyc"))
    for path in left:
        path.write_bytes(path.read_bytes()[:16] + b"\0")  # would end the import, if it was read
    (folder / "more.txt").write_text("")
    assert left, "Python kept nothing"
    assert small.start("-c", "import packaging.tags").returncode == 0
    assert not (folder / "more.txt").exists()


def test_installing_again_mends_an_environment_that_was_changed(small: Installed) -> None:
    flip(site(small) / "packaging" / "tags.py")
    assert small.install().returncode == 0
    assert small.start("-c", "import packaging.tags; " + CODE).returncode == 0


def test_a_link_that_a_killed_installation_left_does_not_count_as_a_change(small: Installed) -> None:
    os.link(site(small) / "packaging" / "tags.py", small.environment / ".shared")
    made = (small.environment / "pyvenv.cfg").stat().st_ino
    said = small.install()
    assert said.returncode == 0
    assert "V606" not in said.stderr
    assert (small.environment / "pyvenv.cfg").stat().st_ino == made, "nothing had to be made anew"
    assert small.start("-c", CODE).returncode == 0


def test_a_wheel_or_the_installer_that_was_changed_is_not_installed(small: Installed) -> None:
    for folder in ("wheelhouse", "installer"):
        wheel = next((small.artefact / folder).glob("*.whl"))
        kept = wheel.read_bytes()
        flip(wheel)
        assert small.start("-c", CODE).returncode == 0, "starts need no wheels"
        said = small.install()
        assert said.returncode == 1
        assert f"{wheel}: it was changed" in said.stderr
        wheel.write_bytes(kept)


def test_content_in_an_artefact_of_its_own_and_no_libraries(tmp_path: Path) -> None:
    small = built_small(tmp_path, bare_members(), "", apart=True)
    assert small.install().returncode == 0
    assert small.start("-c", CODE).stdout == "the component runs\n"
    for path in (
        small.unpacked / "content" / "small" / "data" / "table.csv",
        small.artefact / "vedette" / "__init__.py",
    ):
        flip(path)
        assert f"{path}: it was changed" in small.start("-c", CODE).stderr
        flip(path)
    (small.unpacked / "content" / ".files.json").unlink()
    assert "V606" in small.start("-c", CODE).stderr


def test_a_script_that_would_compare_nothing_is_not_built() -> None:
    other = document("small")
    other["Manifests"][0]["Lifecycle"]["run"]["Script"] = f"exec python3 {WHERE}/small/x.py"  # type: ignore[index]
    with pytest.raises(ValueError, match="calls no script"):
        sealed(other, {"small.zip": script_members()}, "")


def test_its_code_is_that_of_the_error_tree() -> None:
    assert ERROR_CODES[verify.CODE].title == "installed files were changed"


def test_what_cannot_be_read_is_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main("start", str(tmp_path / "work"), str(tmp_path / "gone")) == 1
    (tmp_path / ".files.json").write_text('{"files": {"a": 3}}')
    (tmp_path / "a").write_text("")
    assert verify.main("artefact", str(tmp_path)) == 1
    said = capsys.readouterr().err
    assert "No such file" in said
    assert "it cannot be used" in said
    os.unlink(tmp_path / "a")


@pytest.mark.parametrize("record", [None, "", "small/__init__.py,sha256=\u00e4,0\n"])
def test_a_wheel_that_does_not_say_what_it_installs_is_not_packed(tmp_path: Path, record: str | None) -> None:
    wheel = tmp_path / "small-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("small/__init__.py", "")
        if record is not None:
            archive.writestr("small-1.0.dist-info/RECORD", record)
    house = [Member("wheelhouse/small-1.0-py3-none-any.whl", wheel), Member("requirements.txt", b"small==1.0\n")]
    with pytest.raises(UsageError, match=r"small-1.0-py3-none-any.whl: .* record") as caught:
        sealed(document("small"), {"small.zip": [*script_members(), *house]}, HERE)
    assert caught.value.code == "V710"
