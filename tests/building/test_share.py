"""Environments side by side share the files that are equal: only these, whatever goes wrong; each stays whole."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import share
from tests.edge.running import wait_until
from tests.local.conftest import PROPERTY

ONE, OTHER = "venv-0123456789abcdef", "venv-fedcba9876543210"
SITE = Path("lib", "python3.11", "site-packages")


def environment(work: Path, files: dict[str, bytes], name: str = ONE) -> Path:
    """An environment with these files below its site-packages."""
    for path, content in files.items():
        file = work / name / SITE / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return work / name


def same(one: Path, other: Path, name: str) -> bool:
    """Whether the file is one on the disk."""
    return (one / SITE / name).samefile(other / SITE / name)


def contents(made: Path) -> dict[str, bytes]:
    return {path.relative_to(made / SITE).as_posix(): path.read_bytes() for path in made.rglob("*") if path.is_file()}


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return environment(tmp_path / "vedette.One", {"lib/a.so": b"a" * 70_000, "b.py": b"b", "c.py": b"c"})


def test_equal_files_are_shared_and_others_are_not(first: Path, tmp_path: Path) -> None:
    mine = {"lib/a.so": b"a" * 69_999 + b"!", "b.py": b"b", "empty": b"", "new.py": b"c"}
    second = environment(tmp_path / "vedette.Two", mine)
    assert share.share(second) == (1, 1)
    assert same(first, second, "b.py")
    assert contents(second) == mine
    assert share.share(second) == (0, 0)
    assert {path.name for path in second.iterdir()} == {"lib"}


def test_each_stays_whole_where_the_other_is_removed(first: Path, tmp_path: Path) -> None:
    before = contents(first)
    second = environment(tmp_path / "vedette.Two", before)
    assert share.share(second)[0] == 3
    shutil.rmtree(first)
    assert contents(second) == before


def test_an_environment_before_of_the_same_component_shares_too(first: Path) -> None:
    newer = environment(first.parent, {"b.py": b"b"}, OTHER)
    assert share.share(newer) == (1, 1)


@pytest.mark.parametrize("name", ["venv-new.4711", "venv-before", "other"])
def test_nothing_is_taken_of_what_is_not_finished(tmp_path: Path, name: str) -> None:
    environment(tmp_path / "vedette.One", {"b.py": b"b"}, name)
    assert share.share(environment(tmp_path / "vedette.Two", {"b.py": b"b"})) == (0, 0)


def test_nothing_is_taken_of_other_components(tmp_path: Path) -> None:
    environment(tmp_path / "com.example.Theirs", {"b.py": b"b"})
    assert share.share(environment(tmp_path / "vedette.Two", {"b.py": b"b"})) == (0, 0)


def test_a_file_with_other_rights_is_not_taken(first: Path, tmp_path: Path) -> None:
    (first / SITE / "b.py").chmod(0o666)
    second = environment(tmp_path / "vedette.Two", {"b.py": b"b", "c.py": b"c"})
    assert share.share(second) == (1, 1)
    assert not same(first, second, "b.py")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_of_another_owner_is_not_taken(first: Path, tmp_path: Path) -> None:
    os.chown(first / SITE / "b.py", 4321, -1)
    second = environment(tmp_path / "vedette.Two", {"b.py": b"b"})
    assert share.share(second) == (0, 0)


def test_links_are_neither_followed_nor_replaced(first: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"b")
    (first / SITE / "b.py").unlink()
    (first / SITE / "b.py").symlink_to(tmp_path / "outside")
    second = environment(tmp_path / "vedette.Two", {"b.py": b"b", "d.py": b"d"})
    (second / SITE / "c.py").symlink_to(second / SITE / "b.py")
    assert share.share(second) == (0, 0)
    assert (second / SITE / "c.py").is_symlink()
    assert not (second / SITE / "b.py").is_symlink()


@pytest.mark.parametrize(
    "error", [PermissionError(1, "not permitted"), OSError(18, "other disk"), OSError(31, "links")]
)
def test_where_links_cannot_be_made_the_copy_stays(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def refuse(*_paths: Path, follow_symlinks: bool) -> None:
        raise error

    second = environment(tmp_path / "vedette.Two", contents(first))
    monkeypatch.setattr(os, "link", refuse)
    assert share.share(second) == (0, 0)
    assert contents(second) == contents(first)


def test_where_the_first_cannot_be_linked_the_next_one_is_tried(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = environment(tmp_path / "vedette.Three", {"b.py": b"b"})
    second = environment(tmp_path / "vedette.Two", {"b.py": b"b"})
    link = os.link

    def full(source: Path, target: Path, *, follow_symlinks: bool) -> None:
        if first in source.parents:
            raise OSError(31, "too many links")
        link(source, target, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "link", full)
    assert share.share(second) == (1, 1)
    assert same(third, second, "b.py")


def test_a_file_that_is_exchanged_after_it_was_looked_at_is_not_taken(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = environment(tmp_path / "vedette.Two", {"b.py": b"b"})
    link = os.link

    def exchanged(source: Path, target: Path, *, follow_symlinks: bool) -> None:
        evil = tmp_path / "evil"
        evil.write_bytes(b"b")
        os.replace(evil, source)
        link(source, target, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "link", exchanged)
    assert share.share(second) == (0, 0)
    assert {path.name for path in second.iterdir()} == {"lib"}


def test_an_environment_that_vanishes_meanwhile_costs_nothing(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(first)
    second = environment(tmp_path / "vedette.Two", before)
    link = os.link

    def gone(source: Path, target: Path, *, follow_symlinks: bool) -> None:
        link(source, target, follow_symlinks=follow_symlinks)
        shutil.rmtree(first)

    monkeypatch.setattr(os, "link", gone)
    assert share.share(second)[0] == 1
    assert contents(second) == before


def run(made: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-I", "-S", share.__file__, made.name], cwd=made.parent)


def test_killed_in_the_middle_it_leaves_whole_files_and_the_next_run_goes_on(tmp_path: Path) -> None:
    files = {f"{number}.py": b"%d" % number * 9000 for number in range(800)}
    first = environment(tmp_path / "vedette.One", files)
    second = environment(tmp_path / "vedette.Two", files)
    process = run(second)
    wait_until(lambda: any(same(first, second, name) for name in files) or process.poll() is not None, 60, "a link")
    process.send_signal(signal.SIGKILL)
    process.wait()
    (second / ".shared").unlink(missing_ok=True)
    os.link(first / SITE / "0.py", second / ".shared")  # as if it came a moment before the end of one
    assert {name: (second / SITE / name).read_bytes() for name in files} == files
    share.main(second)
    assert all(same(first, second, name) for name in files)
    assert {path.name for path in second.iterdir()} == {"lib"}


def test_two_at_once_share_everything_once(tmp_path: Path) -> None:
    files = {f"{number}.py": b"%d" % number * 100 for number in range(100)}
    made = [environment(tmp_path / f"vedette.{name}", files) for name in ("One", "Two", "Three")]
    for process in [run(each) for each in made]:
        assert process.wait(60) == 0
    assert all(same(made[0], other, name) for other in made[1:] for name in files)


def test_somebody_who_never_lets_go_holds_nobody_up(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    second = environment(tmp_path / "vedette.Two", {"b.py": b"b"})
    lock = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    monkeypatch.setattr(share, "LOCK_LIMIT_S", 0.05)
    try:
        share.main(second)
    finally:
        os.close(lock)
    assert capsys.readouterr().out == "install: 1 files (0 MB) are shared with other environments\n"


NAMES = st.sampled_from(["a", "b", "lib/a", "lib/b"])
CONTENTS = st.dictionaries(NAMES, st.sampled_from([b"", b"x", b"y", b"xx", b"x" * 100]))


@settings(PROPERTY, max_examples=40)
@given(st.lists(CONTENTS, min_size=2, max_size=4))
def test_whatever_is_installed_no_environment_changes(
    tmp_path_factory: pytest.TempPathFactory, several: list[dict[str, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("several")
    made = [environment(folder / f"vedette.{number}", files) for number, files in enumerate(several)]
    for each in [*made, *made]:
        share.share(each)
    assert [contents(each) for each in made] == several
    numbers: dict[tuple[str, bytes], set[int]] = {}
    for each in made:
        for name, content in contents(each).items():
            if content:
                numbers.setdefault((name, content), set()).add((each / SITE / name).stat().st_ino)
    assert {len(found) for found in numbers.values()} <= {1}
