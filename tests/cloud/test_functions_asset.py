"""The zip that functions run from, as it is uploaded for production: right machine, right Python, right code."""

from __future__ import annotations

import hashlib
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra import assets
from infra.settings import LambdaPlatform

REPOSITORY = Path(__file__).parents[2]
_EM_AARCH64 = 183


@pytest.fixture(scope="module")
def production() -> Path:
    return assets.functions_asset(LambdaPlatform.ARM64)


def machine(path: Path) -> int:
    """``e_machine`` of an ELF file."""
    head = path.read_bytes()[:20]
    assert head[:4] == b"\x7fELF", path
    return int(struct.unpack("<H", head[18:20])[0])


def test_every_binary_is_for_arm64_and_the_functions_python(production: Path) -> None:
    binaries = sorted(production.rglob("*.so*"))
    assert binaries, "pydantic brings one"
    for path in binaries:
        assert machine(path) == _EM_AARCH64, path
        assert ".cpython-314-aarch64-linux-gnu." in path.name, path


def test_wheels_are_pure_or_for_the_platform(production: Path) -> None:
    tags = [
        tag
        for path in production.glob("*.dist-info/WHEEL")
        for tag in re.findall(r"^Tag: (.+)$", path.read_text(), re.MULTILINE)
    ]
    assert tags
    for tag in tags:
        assert tag.endswith("-none-any") or re.search(r"^cp314-cp314-manylinux.*_aarch64$", tag), tag


def test_libraries_are_those_of_the_lock_and_no_other(production: Path) -> None:
    locked = dict(re.findall(r"^([a-z0-9._-]+)==([^ \\]+)", assets._lock().read_text(), re.MULTILINE))
    found = {}
    for path in production.glob("*.dist-info"):
        name, _, version = path.name.removesuffix(".dist-info").rpartition("-")
        found[name.replace("_", "-").lower()] = version
    assert found == locked
    assert "boto3" not in found


def test_every_file_of_a_library_is_byte_for_byte_that_of_a_wheel_in_the_lock(production: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--dest",
        str(tmp_path),
    ]
    subprocess.run([*command, *assets._selection(LambdaPlatform.ARM64)], check=True, capture_output=True, timeout=300)
    hashes = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", assets._lock().read_text()))
    expected: dict[str, bytes] = {}
    for path in tmp_path.glob("*.whl"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in hashes, path.name
        with zipfile.ZipFile(path) as wheel:
            expected |= {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}
    left_out = re.compile(r"\.dist-info/RECORD$|\.data/scripts/")
    ours = ("vedette/", "lambdas/")
    found = {
        name: path.read_bytes()
        for path in production.rglob("*")
        if path.is_file() and not (name := path.relative_to(production).as_posix()).startswith(ours)
    }
    assert found == {name: content for name, content in expected.items() if not left_out.search(name)}


def test_our_code_is_byte_for_byte_that_of_the_checkout_and_only_what_functions_may_import(production: Path) -> None:
    packed = {
        path.relative_to(production).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for top in ("vedette", "lambdas")
        for path in (production / top).rglob("*")
        if path.is_file()
    }
    expected = {name: hashlib.sha256(source.read_bytes()).hexdigest() for source, name in assets._sources()}
    assert packed == expected
    assert not any(re.match(r"vedette/(adapters|pipeline|local|cli|compose)/", name) for name in packed)


def test_a_second_build_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, production: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    again = assets.functions_asset(LambdaPlatform.ARM64)
    assert again != production

    def tree(top: Path) -> dict[str, tuple[str, int]]:
        return {
            path.relative_to(top).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode)
            for path in top.rglob("*")
            if path.is_file()
        }

    assert tree(again) == tree(production)


def test_the_sandboxs_zip_is_the_same_but_for_its_binaries(production: Path) -> None:
    host = assets.functions_asset(LambdaPlatform.HOST)

    def names(top: Path) -> set[str]:
        return {
            re.sub(r"\.cpython-.*\.so$", ".so", path.relative_to(top).as_posix())
            for path in top.rglob("*")
            if path.is_file()
        }

    assert names(host) == names(production)
