"""The zip of the account's functions: our code and its libraries for the platform it will run on. No Docker.

One zip holds all functions, so that there is one lock, one build and one upload; each function has a role of its own,
and its handler says which of them it is. The wheels come from the hashed lock, for the target's architecture and Python
version, whatever machine builds it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from infra.settings import LambdaPlatform
from vedette.contracts.errors import UsageError

#: The functions' Python, in the cloud.
PYTHON_VERSION: Final = "3.14"
#: What Amazon Linux 2023, which the runtime is made of, can load.
_PLATFORMS: Final = ("manylinux_2_34_aarch64", "manylinux_2_28_aarch64", "manylinux2014_aarch64")
#: Of our package, what functions may import.
_PARTS: Final = (
    *("__init__.py", "contracts"),
    *("core/__init__.py", "core/fleet", "core/messages.py", "core/mistake.py", "core/protobuf.py"),
    "core/yaml_reader.py",
)
_PIP_LIMIT_S: Final = 300


def functions_asset(platform: LambdaPlatform) -> Path:
    """The directory to zip, built where it is not there yet.

    Raises:
        UsageError: V702, the libraries could not be installed.
    """
    digest = _digest(platform)
    target = _cache() / f"functions-{platform.value}-{digest[:16]}"
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            made = Path(work) / "functions"
            _install(platform, made)
            for source, name in _sources():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, made / name)
            _settle(made)
            try:
                made.rename(target)
            except OSError:  # another build was faster; what it made is the same
                if not target.is_dir():
                    raise
    return target


def _root() -> Path:
    return Path(__file__).resolve().parent.parent


def _library() -> Path:
    import vedette

    return Path(vedette.__file__).resolve().parent


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "vedette" / "functions"


def _lock() -> Path:
    return _root() / "requirements" / "lambdas.txt"


def _sources() -> Iterator[tuple[Path, str]]:
    """Our files and their places in the zip, in a fixed order."""
    for part in _PARTS:
        top = _library() / part
        for path in sorted(top.rglob("*.py")) if top.is_dir() else [top]:
            yield path, str(Path("vedette") / path.relative_to(_library()))
    for path in sorted((_root() / "lambdas").rglob("*.py")):
        yield path, str(path.relative_to(_root()))


def _digest(platform: LambdaPlatform) -> str:
    host = f"{sys.version_info[:2]}" if platform is LambdaPlatform.HOST else PYTHON_VERSION
    found = hashlib.sha256(f"{platform.value} {host} {_PLATFORMS}".encode())
    found.update(_lock().read_bytes())
    for source, name in _sources():
        found.update(name.encode() + b"\0" + source.read_bytes() + b"\0")
    return found.hexdigest()


def _selection(platform: LambdaPlatform) -> list[str]:
    """Which wheels pip takes: those of the lock, for the platform."""
    chosen = ["--require-hashes", "--no-deps", "--only-binary=:all:", "-r", str(_lock())]
    if platform is LambdaPlatform.ARM64:
        chosen += [f"--platform={tag}" for tag in _PLATFORMS]
        chosen += [f"--python-version={PYTHON_VERSION}", "--implementation=cp"]
        chosen += [f"--abi=cp{PYTHON_VERSION.replace('.', '')}"]
    return chosen


def _install(platform: LambdaPlatform, target: Path) -> None:
    """The locked libraries, as wheels."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--target", str(target), *_selection(platform)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_LIMIT_S)
    if done.returncode:
        raise UsageError(
            f"the functions' libraries could not be installed: {done.stderr.strip().splitlines()[-1:]}.",
            hint="pip needs the package index once; what it built is kept.",
            code="V702",
        )


def _settle(target: Path) -> None:
    """Leave out what differs from one build to the next, or that a function never needs."""
    for path in sorted(target.rglob("__pycache__"), reverse=True):
        shutil.rmtree(path)
    shutil.rmtree(target / "bin", ignore_errors=True)
    for path in sorted(target.rglob("*")):
        if path.name in {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"} and path.parent.suffix == ".dist-info":
            path.unlink()
        elif path.is_file():
            path.chmod(0o755 if path.suffix == ".so" else 0o644)
