"""install.sh and run.sh: without network, whole or not at all, for the right machine, as the right user."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.building.conftest import or_skip
from tests.edge.running import wait_until
from vedette.local.artifacts import unpack
from vedette.local.building.archive import write_archive
from vedette.local.component_tree import BuildSettings, script_members, wheelhouses
from vedette.local.data import data_directory

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give directories away")


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small artefact, unpacked as a nucleus unpacks it."""
    folder = tmp_path_factory.mktemp("artefact")
    houses = or_skip(lambda: wheelhouses(BuildSettings.choose(), folder))
    members = [*script_members(), *or_skip(lambda: houses.members(["packaging"]))]
    write_archive(folder / "small.zip", members)
    unpack(folder / "small.zip", folder / "small", where="test")
    return folder / "small"


@pytest.fixture
def open_tmp() -> Iterator[Path]:
    """A folder that another user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="vd", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def without_sync(impatient: str) -> Iterator[None]:
    """Nothing waits for the disk."""
    global SEARCH
    before, SEARCH = SEARCH, f"{impatient.partition(':')[0]}:{SEARCH}"
    yield
    SEARCH = before


SEARCH = f"{Path(sys.executable).parent}:/usr/bin:/bin"


def script(artefact: Path, name: str, work: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """Called as a nucleus calls it; what the machine says to Python and pip is wrong on purpose."""
    work.mkdir(exist_ok=True)
    return subprocess.run(
        ["sh", str(artefact / name), *arguments],
        cwd=work,
        env={
            "PATH": path or SEARCH,
            "PIP_INDEX_URL": "http://127.0.0.1:9/",
            "PIP_CONSTRAINT": "/none",
            "PYTHONPATH": "/none",
        },
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def finished(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which the installation has ended."""
    work = tmp_path_factory.mktemp("finished") / "work"
    done = script(artefact, "install.sh", work)
    assert done.returncode == 0, done.stderr
    return work


@pytest.fixture
def work(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(finished, tmp_path / "work", symlinks=True)
    return tmp_path / "work"


def environments(work: Path) -> set[str]:
    return {path.name for path in work.glob("venv*")}


def test_what_was_installed_is_what_runs(artefact: Path, work: Path) -> None:
    (name,) = environments(work)
    code = "import vedette, packaging, sys; print(vedette.__file__, packaging.__file__, sys.flags.safe_path, sys.path)"
    said = script(artefact, "run.sh", work, "-c", code)
    assert said.returncode == 0, said.stderr
    first, second, safe, rest = said.stdout.split(" ", 3)
    assert first.startswith(f"{work / name}/")
    assert second.startswith(f"{work / name}/")
    assert safe == "True"
    assert str(Path(__file__).parents[2]) not in rest
    missing = script(artefact, "run.sh", work, "-c", "import numpy")
    assert "No module named 'numpy'" in missing.stderr


def test_a_finished_environment_is_used_again_and_one_before_is_kept(artefact: Path, work: Path) -> None:
    (current,) = environments(work)
    mark = work / current / "mark"
    mark.touch()
    for number, name in enumerate(("venv-oldest", "venv-before")):
        (work / name).mkdir()
        os.utime(work / name, (number, number))
    assert script(artefact, "install.sh", work).returncode == 0
    assert mark.exists()
    assert environments(work) == {"venv-before", current}


def test_a_broken_environment_is_made_anew(artefact: Path, work: Path) -> None:
    (name,) = environments(work)
    (work / name / "bin" / "python3").unlink()
    (work / name / "bin" / "python3").symlink_to("/gone/python3")
    assert script(artefact, "run.sh", work, "-c", "").returncode == 1
    assert script(artefact, "install.sh", work).returncode == 0
    assert script(artefact, "run.sh", work, "-c", "import vedette").returncode == 0


def test_a_second_component_shares_its_libraries_with_the_first(artefact: Path, finished: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "vedette.First", tmp_path / "vedette.Second"
    shutil.copytree(finished, first, symlinks=True)
    done = script(artefact, "install.sh", second)
    assert done.returncode == 0, done.stderr
    assert "files" in done.stdout
    (name,) = environments(second)
    libraries = [path.relative_to(second) for path in (second / name).glob("lib/python*/site-packages/packaging/*.py")]
    assert libraries
    assert all((first / library).samefile(second / library) for library in libraries)
    shutil.rmtree(first)
    assert script(artefact, "run.sh", second, "-c", "import vedette, packaging.tags").returncode == 0


def test_an_environment_that_cannot_share_is_used_as_it_is(artefact: Path, work: Path, altered: Path) -> None:
    (altered / "share.py").write_text("raise SystemExit(3)")
    assert script(altered, "install.sh", work).returncode == 0
    assert script(artefact, "run.sh", work, "-c", "import vedette").returncode == 0


def test_killed_half_way_it_leaves_nothing_that_counts_and_the_next_one_succeeds(
    artefact: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for moment in ("pyvenv.cfg", "lib/python*/site-packages/*"):
        shutil.rmtree(
            next(work.glob("venv-new.*"), work / "none"), ignore_errors=True
        )  # so that the next is waited for
        kill_at(artefact, work, f"venv-new.*/{moment}")
        assert all(name.startswith("venv-new.") for name in environments(work))
        assert script(artefact, "run.sh", work, "-c", "").returncode == 1
    done = script(artefact, "install.sh", work)
    assert done.returncode == 0, done.stderr
    (name,) = environments(work)
    assert not name.startswith("venv-new.")
    assert script(artefact, "run.sh", work, "-c", "import vedette").returncode == 0


def kill_at(artefact: Path, work: Path, sign: str) -> None:
    """Install, and kill it once there is such a file."""
    process = subprocess.Popen(
        ["sh", str(artefact / "install.sh")],
        cwd=work,
        env={"PATH": SEARCH},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: any(work.glob(sign)) or process.poll() is not None, 60, sign)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.fixture
def altered(artefact: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "altered"
    shutil.copytree(artefact, folder)
    return folder


def test_a_wheel_that_was_changed_is_refused_and_nothing_is_left(altered: Path, tmp_path: Path) -> None:
    wheel = next((altered / "wheelhouse").glob("packaging-*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    done = script(altered, "install.sh", tmp_path / "work")
    assert done.returncode != 0
    assert "HASH" in done.stderr.upper()
    assert environments(tmp_path / "work") == set()


@pytest.mark.parametrize(
    ("fact", "other", "told"),
    [
        (f"python={HERE}", "python=3.99", "this artefact is for Python 3.99; found:"),
        (f"machine={platform.machine()}", "machine=riscv64", "this artefact is for riscv64, this machine is"),
    ],
)
def test_the_wrong_python_or_machine_is_told_before_anything_is_made(
    altered: Path, tmp_path: Path, fact: str, other: str, told: str
) -> None:
    facts = (altered / "target").read_text()
    assert fact in facts
    (altered / "target").write_text(facts.replace(fact, other))
    done = script(altered, "install.sh", tmp_path / "work")
    assert done.returncode == 1
    assert told in done.stderr
    assert environments(tmp_path / "work") == set()


def tools(folder: Path, *names: str) -> str:
    """A search path with a few programs and no Python."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found is not None, name
        (folder / name).symlink_to(found)
    return str(folder)


BASICS = ("sh", "dirname", "sed", "uname", "cut", "sha256sum", "id", "stat", "rm", "ls", "touch")


def test_no_python_at_all_is_told(artefact: Path, tmp_path: Path) -> None:
    if Path("/opt/vedette/python/current/bin/python3").exists():
        pytest.skip("this machine has a Python of its own for vedette")
    done = script(artefact, "install.sh", tmp_path / "work", path=tools(tmp_path / "bin", *BASICS))
    assert done.returncode == 1
    assert "no Python at all" in done.stderr


def test_an_older_python_in_front_is_passed_over(artefact: Path, tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", *BASICS)
    old = tmp_path / "bin" / "python3"
    old.write_text("#!/bin/sh\necho 3.6\n")
    old.chmod(0o755)
    done = script(artefact, "install.sh", tmp_path / "work", path=path)
    assert done.returncode == 1
    assert f"{old} (3.6)" in done.stderr


def test_a_checkout_has_nothing_to_install(artefact: Path, tmp_path: Path) -> None:
    components = data_directory("components")
    assert script(components, "install.sh", tmp_path / "work", str(tmp_path / "state")).returncode == 0
    assert environments(tmp_path / "work") == set()


STUB = """#!/bin/sh
case "$*" in
*version_info*) echo WANTED ;;
*"-m venv"*) for last; do :; done; mkdir -p "$last/bin"; cp "$0" "$last/bin/python3"; id -u >"$last/uid" ;;
esac
"""


@AS_ROOT
def test_as_root_it_makes_the_state_directory_for_the_owner_and_nothing_else_as_root(
    artefact: Path, open_tmp: Path
) -> None:
    copy, work, state = open_tmp / "artefact", open_tmp / "work", open_tmp / "var" / "state"
    shutil.copytree(artefact, copy)
    stub = open_tmp / "bin"
    stub.mkdir()
    (stub / f"python{HERE}").write_text(STUB.replace("WANTED", HERE))
    (stub / f"python{HERE}").chmod(0o755)
    work.mkdir()
    os.chown(work, 4321, 4321)
    done = script(copy, "install.sh", work, str(state), path=f"{stub}:/usr/bin:/bin")
    assert done.returncode == 0, done.stderr
    assert (state.stat().st_uid, state.stat().st_gid, state.stat().st_mode & 0o7777) == (4321, 4321, 0o2770)
    assert state.parent.stat().st_uid == 0
    assert [path.name for path in state.parent.iterdir()] == ["state"]
    (venv,) = work.glob("venv-*")
    assert (venv / "uid").read_text().strip() == "4321"
    assert {path.lstat().st_uid for path in work.rglob("*")} == {4321}


@AS_ROOT
def test_a_user_without_name_and_home_can_install(artefact: Path, open_tmp: Path) -> None:
    if shutil.which(f"python{HERE}", path="/usr/bin") is None:
        pytest.skip(f"needs a Python {HERE} that every user may run")
    copy, work = open_tmp / "artefact", open_tmp / "work"
    shutil.copytree(artefact, copy)
    work.mkdir()
    os.chown(work, 4321, 4321)
    done = script(copy, "install.sh", work, str(open_tmp / "state"), path="/usr/bin:/bin")
    assert done.returncode == 0, done.stderr
    assert {path.lstat().st_uid for path in work.rglob("*")} == {4321}
    assert script(copy, "run.sh", work, "-c", "import vedette", path="/usr/bin:/bin").returncode == 0


@AS_ROOT
def test_as_root_it_leaves_a_directory_that_is_there_as_it_is(open_tmp: Path) -> None:
    from vedette.local.data import data_directory

    shutil.copytree(data_directory("components"), open_tmp / "code")
    work, state = open_tmp / "work", open_tmp / "state"
    work.mkdir()
    os.chown(work, 4321, 4321)
    state.mkdir(mode=0o700)
    for _ in range(2):
        assert script(open_tmp / "code", "install.sh", work, str(state)).returncode == 0
    assert (state.stat().st_uid, state.stat().st_mode & 0o7777) == (0, 0o700)
    elsewhere = open_tmp / "link"
    elsewhere.symlink_to(state)
    assert script(open_tmp / "code", "install.sh", work, str(elsewhere)).returncode == 0
    assert elsewhere.is_symlink()


@pytest.mark.parametrize("closed", ["", "<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_process_has_open_standard_streams_and_names_in_utf8_however_it_is_started(
    closed: str, tmp_path: Path
) -> None:
    found = tmp_path / "found"
    shown = "[each is not None for each in (sys.stdin, sys.stdout, sys.stderr)], os.fsencode(chr(228))"
    code = f"import os, sys; open(sys.argv[1], 'w').write(str(({shown})))"
    run = data_directory("components") / "run.sh"
    env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LC_ALL": "C", "PYTHONUTF8": "0"}
    subprocess.run(
        ["sh", "-c", f'exec sh "$@" {closed}', "sh", run, "-c", code, found],
        cwd=tmp_path,
        env=env,
        check=True,
        timeout=60,
    )
    assert found.read_text() == r"([True, True, True], b'\xc3\xa4')"
