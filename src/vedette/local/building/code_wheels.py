"""The packages that the Panorama code of an application asks for, as wheels for the Python that it was written for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from vedette.adapters.artefact_file import measured
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import Panorama
from vedette.core.fleet.build_target import BuildPlan
from vedette.local.building.archive import Member
from vedette.local.building.environment import TargetPython

#: Where they lie in the application's artefact, for ``install.sh``.
CODE_RUNTIME: Final = "code-runtime"
_PIP_LIMIT_S: Final = 3600


def code_members(
    application: str,
    settings: Panorama,
    requirements: Path,
    plan: BuildPlan,
    work: Path,
    progress: Callable[[str], None],
) -> tuple[list[Member], dict[str, str]]:
    """Wheels, a lock with their digests, and what they are for.

    Args:
        application: its name.
        settings: of the manifest; ``python`` says for which version, the plan's where it is empty.
        requirements: the file that the manifest names.
        plan: what is built for.
        work: folder for downloads, which stays until the artefact is written.
        progress: told what is done.

    Returns:
        Files below ``code-runtime``, and name → version of what they install.

    Raises:
        UsageError: V710, a package has no wheel for the target, or cannot be had.
    """
    target = replace(TargetPython.of(plan), python=settings.python or plan.python)
    house = work / f"{application}-code"
    house.mkdir(parents=True, exist_ok=True)
    progress(f"downloading what the code of {application} asks for, for Python {target.python}")
    _download(application, requirements, target, house)
    found: dict[str, str] = {}
    lock = [f"# {plan.platform.value}, Python {target.python}\n"]
    members = []
    for path in sorted(house.glob("*.whl")):
        try:
            name, version, _, _ = parse_wheel_filename(path.name)
        except InvalidWheelFilename as error:
            raise UsageError(f"{path.name}: {error}.", code="V710") from None
        lock.append(f"{name}=={version} --hash=sha256:{measured(path).sha256}\n")
        found[name] = str(version)
        members.append(Member(f"{CODE_RUNTIME}/wheelhouse/{path.name}", path, "libraries"))
    facts = [f"python={target.python}", f"abi={target.abi}", *(f"platform={name}" for name in target.platforms())]
    members.append(Member(f"{CODE_RUNTIME}/requirements.txt", "".join(lock).encode(), "libraries"))
    members.append(Member(f"{CODE_RUNTIME}/target", ("\n".join(facts) + "\n").encode(), "libraries"))
    return members, found


def _download(application: str, requirements: Path, target: TargetPython, house: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--progress-bar=off"]
    command += ["--only-binary=:all:", f"--python-version={target.python}", "--implementation=cp"]
    command += [f"--abi={target.abi}", *(f"--platform={name}" for name in target.platforms())]
    command += ["--dest", str(house), "--requirement", str(requirements)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_LIMIT_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise UsageError(f"pip has not downloaded the packages in {_PIP_LIMIT_S} s.", code="V710") from None
    if done.returncode:
        errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        raise UsageError(
            f"what the code of {application} asks for cannot be had for Python {target.python} on {target.machine}: "
            f"{errors[0] if errors else f'pip ended with {done.returncode}'}.",
            hint=f"Correct {requirements.name}, or `panorama.python`: devices install ready-made wheels only.",
            code="V710",
        )
