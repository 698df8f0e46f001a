"""pip, for a Python that is not the one it runs on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from vedette.contracts.errors import UsageError
from vedette.local.building.environment import TargetPython

_LIMIT_S: Final = 3600
#: pip takes a target's version and platforms by options, but compares environment markers with the Python that runs
#: it: what only the target needs would be left out, and what only this Python may have would be taken. There is no
#: option for it, so its markers are told here. Whoever uses what it brought looks whether it is complete.
_RUN_PIP: Final = """
import json, sys
from pip._vendor.packaging import markers
environment = json.loads(sys.argv.pop(1))
markers.default_environment = lambda: dict(environment)
from pip._internal.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def download(target: TargetPython, requirements: Path, folder: Path, *options: str) -> str:
    """Download the wheels of a requirements file, for a target.

    Args:
        target: whose wheels are taken and whose environment markers count.
        requirements: the file.
        folder: where the wheels go.
        options: of ``pip download``, besides.

    Returns:
        What pip said where it failed: its first complaint, which names the library (later ones only conclude);
        empty where everything is there.

    Raises:
        UsageError: V710, pip did not end in time.
    """
    command = [sys.executable, "-c", _RUN_PIP, json.dumps(_markers(target))]
    command += ["download", "--quiet", "--disable-pip-version-check", "--progress-bar=off", "--only-binary=:all:"]
    command += [f"--python-version={target.python}", "--implementation=cp", f"--abi={target.abi}"]
    command += [f"--platform={name}" for name in target.platforms()]
    command += [*options, "--dest", str(folder), "--requirement", str(requirements)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise UsageError(f"pip has not downloaded the libraries in {_LIMIT_S} s.", code="V710") from None
    if not done.returncode:
        return ""
    errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    return errors[0] if errors else f"pip ended with {done.returncode}"


def _markers(target: TargetPython) -> dict[str, str]:
    return target.markers()
