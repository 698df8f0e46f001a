"""Artefacts: linked sources, real zips, hostile zips."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from tests.local.conftest import recipe
from vedette.contracts.errors import CoreError
from vedette.local import artifacts
from vedette.local.artifacts import prepare_artifacts, unpack
from vedette.local.recipe import Recipe

PACKED = recipe(
    "c", "true", artifacts=[{"Uri": "s3://BUCKET/x/app.zip", "Unarchive": "ZIP"}, {"Uri": "s3://BUCKET/plain.txt"}]
)


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
    return path


def prepare(tmp_path: Path, given: Recipe, *, sources: dict[str, Path] | None = None) -> tuple[Path, Path]:
    plain, unpacked = tmp_path / "packages" / "plain", tmp_path / "packages" / "unpacked"
    prepare_artifacts(given, artifacts=plain, decompressed=unpacked, trees=[tmp_path / "tree"], sources=sources or {})
    return plain, unpacked


def test_a_built_tree_is_unpacked_again_at_each_deployment(tmp_path: Path) -> None:
    folder = tmp_path / "tree" / "c" / "1.0.0"
    make_zip(folder / "app.zip", {"app/__main__.py": b"one", "app/data/x": b"2"})
    (folder / "plain.txt").write_text("text")
    plain, unpacked = prepare(tmp_path, PACKED)
    assert (unpacked / "app" / "app" / "__main__.py").read_bytes() == b"one"
    assert (plain / "plain.txt").read_text() == "text"
    make_zip(folder / "app.zip", {"app/other.py": b"two"})
    prepare(tmp_path, PACKED)
    assert sorted(p.name for p in (unpacked / "app" / "app").iterdir()) == ["other.py"]


def test_a_source_folder_is_linked_and_never_emptied(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "code.py").write_text("x")
    note = tmp_path / "note.txt"
    note.write_text("y")
    for _ in range(2):
        plain, unpacked = prepare(tmp_path, PACKED, sources={"app.zip": source, "plain.txt": note})
        assert (unpacked / "app").is_symlink()
        assert (unpacked / "app" / "code.py").read_text() == "x"
        assert (plain / "plain.txt").read_text() == "y"
    assert (source / "code.py").exists()


def test_a_missing_artefact_says_where_it_was_sought(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match=r"'app.zip' not found.*tree/c/1\.0\.0"):
        prepare(tmp_path, PACKED)


@pytest.mark.parametrize("name", ["../out", "/abs", "a/../../out", "a\\..\\out"])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    archive = make_zip(tmp_path / "evil.zip", {"ok": b"1", name: b"x"})
    with pytest.raises(CoreError, match="outside its folder"):
        unpack(archive, tmp_path / "target" / "app", where="t")
    assert not (tmp_path / "target" / "app").exists()
    assert not (tmp_path / "target" / "out").exists()
    assert not (tmp_path / "out").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        bundle.writestr(link, "/etc/passwd")
    with pytest.raises(CoreError, match="link or a device"):
        unpack(archive, tmp_path / "target", where="t")


def test_a_bomb_is_refused_while_it_unpacks(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "bomb.zip", {"zeros": bytes(300 << 20)})
    with pytest.raises(CoreError, match="unpacks to more than"):
        unpack(archive, tmp_path / "target", where="t")
    assert not (tmp_path / "target").exists()


def test_total_size_and_number_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_zip(tmp_path / "big.zip", {"a": b"x" * 600, "b": b"y" * 600})
    monkeypatch.setattr(artifacts, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(CoreError, match="more than 400 bytes"):
        unpack(archive, tmp_path / "one", where="t")
    monkeypatch.setattr(artifacts, "MAX_MEMBERS", 1)
    with pytest.raises(CoreError, match="2 members"):
        unpack(archive, tmp_path / "two", where="t")


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "twice.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            bundle.writestr("a", "2")
    with pytest.raises(CoreError, match="twice"):
        unpack(archive, tmp_path / "target", where="t")


def test_damage_is_reported(tmp_path: Path) -> None:
    good = io.BytesIO()
    with zipfile.ZipFile(good, "w") as bundle:
        bundle.writestr("a", "1" * 100)
    raw = bytearray(good.getvalue())
    raw[50] ^= 0xFF
    for index, data in enumerate([b"no zip at all", bytes(raw), b""]):
        archive = tmp_path / f"{index}.zip"
        archive.write_bytes(data)
        with pytest.raises(CoreError, match="cannot be unpacked"):
            unpack(archive, tmp_path / f"target{index}", where="t")
