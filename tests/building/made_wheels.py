"""Tiny wheels, for tests that need no network."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

from vedette.local.building.lock import Pin


def write_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    tags: str = "py3-none-any",
    needs: Sequence[str] = (),
    files: Sequence[str] = (),
    says: str = "",
) -> Path:
    """A wheel that is right but for what is asked; ``says`` is the name in its metadata where it is another one."""
    written = name.replace("-", "_")
    path = folder / f"{written}-{version}-{tags}.whl"
    info = f"{written}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {says or name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{written}/__init__.py", "")
        for file in files:
            archive.writestr(f"{written}/capi/{file}", "x")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pin(path: Path, *more: str) -> Pin:
    """What a lock would say of a wheel."""
    name, version = path.name.split("-")[:2]
    return Pin(name.replace("_", "-"), version, frozenset({digest(path), *more}))
