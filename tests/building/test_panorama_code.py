"""Panorama code in an artefact: its files, the packages that it asks for, an environment of its own on the device."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.markers import default_environment

from tests.building.conftest import or_skip
from tests.building.made_wheels import digest, write_wheel
from tests.panorama.projects import make_project
from vedette.adapters.panorama_project import read_project
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import Panorama
from vedette.core.panorama_import.mapping import import_project
from vedette.local.application_tree import build_application
from vedette.local.artifacts import unpack
from vedette.local.building.code_notes import code_notes
from vedette.local.building.code_wheels import code_members
from vedette.local.building.settings import BuildSettings
from vedette.local.panorama_application import write_application

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An imported application whose code needs a package that is on this machine only."""
    root = tmp_path_factory.mktemp("imported")
    project = make_project("storage", root)
    package = next((project / "packages").glob("*-code-*"))
    (package / "src" / "run.sh").write_text("#!/bin/sh\n")
    (package / "src" / "run.sh").chmod(0o755)
    folder = root / "wheels"
    folder.mkdir()
    write_wheel(folder, "needed-here", "2.5", needs=("also-needed>=1",))
    write_wheel(folder, "also-needed", "1.0")
    (package / "requirements.txt").write_text(f"--no-index\n--find-links {folder}\nneeded-here\n")
    (package / "Dockerfile").write_text(f"FROM python:{HERE}\nCOPY src /panorama\n")
    made = import_project(read_project(project), {}, None)
    write_application(made, project, root / "out", {}, [], force=False)
    return root / "out"


@pytest.fixture
def application(imported: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(imported, tmp_path / "application"))


@dataclass(frozen=True)
class Made:
    """The tree of that application, its artefact as a nucleus unpacks it, a work directory where it is installed."""

    tree: Path
    artefact: Path
    work: Path
    notes: tuple[str, ...]


@pytest.fixture(scope="module")
def made(imported: Path, impatient: str, tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("made")
    notes = or_skip(lambda: build_application(imported, root / "tree", BuildSettings.choose())).notes
    (archive,) = (root / "tree" / "artifacts").glob("vedette.app.storage/*/storage.zip")
    unpack(archive, root / "artefact", where="test")
    done = install(root / "artefact", root / "work", impatient)
    assert done.returncode == 0, done.stderr
    return Made(root / "tree", root / "artefact", root / "work", notes)


def install(artefact: Path, work: Path, path: str) -> subprocess.CompletedProcess[str]:
    work.mkdir(exist_ok=True)
    environment = {**os.environ, "PATH": path}
    return subprocess.run(
        ["sh", str(artefact / "install.sh")], cwd=work, env=environment, capture_output=True, text=True
    )


def linked(folder: Path, copy: Path) -> Path:
    """A copy in which no file may be changed in place."""
    return Path(shutil.copytree(folder, copy, symlinks=True, copy_function=os.link))


def test_code_gets_an_environment_of_its_own(imported: Path, made: Made, impatient: str) -> None:
    for file in (imported / "code").iterdir():
        assert digest(made.artefact / "application" / "code" / file.name) == digest(file)
    lock = (made.artefact / "code-runtime" / "requirements.txt").read_text()
    for wheel in (made.artefact / "code-runtime" / "wheelhouse").iterdir():
        assert f"--hash=sha256:{digest(wheel)}" in lock
    assert any("needed-here 2.5" in note and "also-needed 1.0" in note for note in made.notes)
    python = made.work / "code-venv" / "bin" / "python3"
    found = subprocess.run(
        [str(python), "-c", "import needed_here, also_needed, sys; print(sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(sys.version_info[:2])
    there = os.stat(python.parent.parent).st_ino
    assert install(made.artefact, made.work, impatient).returncode == 0
    assert os.stat(python.parent.parent).st_ino == there, "what is there is not made again"
    recipe = next((made.tree / "recipes").glob("vedette.app.storage-*.yaml")).read_text()
    assert "--code-python code-venv/bin/python3" in recipe


def test_a_device_without_that_python_is_told(made: Made, impatient: str, tmp_path: Path) -> None:
    artefact, work = linked(made.artefact, tmp_path / "artefact"), linked(made.work, tmp_path / "work")
    target = artefact / "code-runtime" / "target"
    facts = target.read_text()
    target.unlink()
    target.write_text(facts.replace(f"python={HERE}", "python=3.4"))
    (work / "code-venv").unlink()
    shutil.rmtree(next(work.glob("code-venv-*")))
    done = install(artefact, work, impatient)
    assert done.returncode == 1
    assert "for Python 3.4, and this machine has none" in done.stderr
    assert not list(work.glob("code-*"))


def test_a_package_that_cannot_be_had_is_named(application: Path, tmp_path: Path) -> None:
    file = application / "requirements.txt"
    file.write_text(file.read_text() + "nowhere-to-be-had==9\n")
    with pytest.raises(UsageError, match="nowhere-to-be-had==9") as caught:
        or_skip(lambda: build_application(application, tmp_path / "tree", BuildSettings.choose()))
    assert caught.value.code == "V710"


def packages(folder: Path, wanted: str) -> dict[str, str]:
    """What is packed for code of Python 3.7, and the wheels that are beside it."""
    (folder / "requirements.txt").write_text(f"--no-index\n--find-links {folder}\n{wanted}\n")
    settings = Panorama.model_validate({"entry": ["python3", "/panorama/a.py"], "python": "3.7"})
    plan = BuildSettings.choose().plan
    members, found = code_members("old", settings, folder / "requirements.txt", plan, folder / "work", lambda _: None)
    wheels = {Path(member.name).name.split("-")[0] for member in members if member.name.endswith(".whl")}
    assert wheels == {name.replace("-", "_") for name in found}
    return found


def test_what_only_the_codes_own_python_needs_is_packed(tmp_path: Path) -> None:
    machine = BuildSettings.choose().plan.platform.machine
    write_wheel(tmp_path, "numpy", "1.21", tags=f"cp37-cp37m-manylinux2014_{machine}")
    clicks = ('backport>=1 ; python_version < "3.8"', 'only-new ; python_version >= "3.8"')
    write_wheel(tmp_path, "clicks", needs=clicks)
    write_wheel(tmp_path, "backport", "1.5")
    core = ('net<1.27 ; python_version < "3.10"', 'net>=2 ; python_version >= "3.10"', 'bells ; extra == "all"')
    write_wheel(tmp_path, "core", needs=core)
    write_wheel(tmp_path, "net", "1.26.9")
    write_wheel(tmp_path, "net", "2.2")
    wanted = 'numpy\nclicks\ncore\ntop ; python_version < "3.8"\nnever ; python_version >= "3.8"'
    write_wheel(tmp_path, "top")
    found = {"numpy": "1.21", "clicks": "1.0", "backport": "1.5", "core": "1.0", "net": "1.26.9", "top": "1.0"}
    assert packages(tmp_path, wanted) == found


def test_packages_that_are_not_complete_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(tmp_path, "clicks", needs=('backport>=2 ; python_version < "3.8"',))
    with pytest.raises(UsageError, match="backport>=2"):
        packages(tmp_path, "clicks")
    # Of a pip that compares markers with the Python that runs it.
    there = {key: value for key, value in default_environment().items() if isinstance(value, str)}
    monkeypatch.setattr("vedette.local.building.downloads._markers", lambda _target: there)
    with pytest.raises(UsageError, match=r"clicks-1.0-.* needs backport >=2 on Python 3.7; found no wheel") as caught:
        packages(tmp_path, "clicks")
    assert caught.value.code == "V710"


def test_what_code_will_miss_and_what_looks_secret_is_said(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(
        "import numpy\nimport cv2\nimport os\nimport helper\n"
        "try:\n    import shapely.geometry\nexcept ImportError:\n    pass\n"
    )
    (tmp_path / "code" / "helper.py").write_text("x = 1\n")
    (tmp_path / "code" / "camera.pem").write_text("anything")
    (tmp_path / "code" / "notes.txt").write_bytes(b"-----BEGIN RSA PRIVATE KEY-----\nMII")
    files = sorted(f"code/{path.name}" for path in (tmp_path / "code").iterdir())
    secret = (
        "code/camera.pem, code/notes.txt may hold a secret: whoever may read the artefact can read it. "
        "Take it out of the code's folder."
    )
    assert code_notes(tmp_path, files, None) == [
        "code/app.py imports shapely, and devices have NumPy and OpenCV alone: "
        "add shapely to the file of `panorama.requirements`.",
        secret,
    ]
    assert code_notes(tmp_path, files, {"shapely", "numpy", "opencv-python"}) == [secret]
    bare = code_notes(tmp_path, files[:1], {"shapely"})
    assert [note.split(":")[0] for note in bare] == [
        "its requirements bring no numpy, which panoramasdk needs",
        "code/app.py imports cv2, and its requirements do not name it",
        "code/app.py imports helper, and its requirements do not name it",
    ]


def test_a_candidate_brings_what_its_tests_need(made: Made, impatient: str, tmp_path: Path) -> None:
    folder = tmp_path / "candidate"
    for archive in (made.tree / "artifacts").glob("vedette.candidate.storage/*/*.zip"):
        unpack(archive, folder / archive.stem, where="test")
    done = install(folder / "runtime", tmp_path / "work", impatient)
    assert done.returncode == 0, done.stderr
    python = tmp_path / "work" / "code-venv" / "bin" / "python3"
    subprocess.run([str(python), "-c", "import needed_here"], check=True)
    recipe = next((made.tree / "recipes").glob("vedette.candidate.storage-*.yaml")).read_text()
    assert "app try {artifacts:decompressedPath}/application --code-python code-venv/bin/python3" in " ".join(
        recipe.split()
    )
