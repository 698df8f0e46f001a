"""Installed size of what a device without GPU needs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from bench.result import ROOT, Figure, Row, at_most


def measure(quick: bool) -> Row:  # noqa: ARG001 - there is no shorter way
    """A new environment with the locked packages of the extra ``edge``, and Vedette."""
    with tempfile.TemporaryDirectory(prefix="vb") as folder:
        environment = Path(folder) / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
        base = _mb(environment)
        install = [sys.executable, "-m", "pip", "--python", str(environment / "bin/python"), "install", "--quiet"]
        install += ["--disable-pip-version-check", "--no-compile"]
        subprocess.run([*install, "--require-hashes", "-r", str(ROOT.parent / "requirements/edge.txt")], check=True)
        libraries = _mb(environment) - base
        subprocess.run([*install, "--no-deps", str(ROOT.parent)], check=True)
        everything = _mb(environment)
        packages = sorted(
            ((_mb(entry), entry.name) for entry in next(environment.glob("lib/python3*/site-packages")).iterdir()),
            reverse=True,
        )[:5]
    return Row(
        "size",
        "Installed size of a device without GPU",
        "python -m bench size",
        "A new virtual environment without pip, the locked requirements of the extra `edge`, and Vedette; no bytecode.",
        (
            at_most("installed, everything", "MB", [everything], 450.0),
            Figure("libraries", "MB", (libraries,)),
            *(Figure(f"of these, {name}", "MB", (size,)) for size, name in packages),
        ),
        (
            "OpenCV's wheel brings an FFmpeg and an OpenBLAS of its own beside those of PyAV and NumPy; it resizes and converts "
            "pictures here, and reads none. Without them the device would be within the target.",
        ),
    )


def _mb(folder: Path) -> float:
    """Space of the files in a folder, or of one file."""
    files = [folder] if folder.is_file() else [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.lstat().st_size for path in files if not path.is_symlink()) / 1e6
