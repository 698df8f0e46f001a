"""The packages that the Panorama code of an application asks for, as wheels for the Python that it was written for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from vedette.adapters.artefact_file import measured
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import Panorama
from vedette.core.fleet.build_target import BuildPlan
from vedette.local.building.archive import Member
from vedette.local.building.downloads import download
from vedette.local.building.environment import TargetPython
from vedette.local.building.wheels import Wheel, wheel_name

#: Where they lie in the application's artefact, for ``install.sh``.
CODE_RUNTIME: Final = "code-runtime"


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
    wheels = [_wheel(path) for path in sorted(house.glob("*.whl"))]
    _check_complete(application, wheels, target)
    lock = [f"# {plan.platform.value}, Python {target.python}\n"]
    lock += [f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in wheels]
    members = [Member(f"{CODE_RUNTIME}/wheelhouse/{wheel.path.name}", wheel.path, "libraries") for wheel in wheels]
    facts = [f"python={target.python}", f"abi={target.abi}", *(f"platform={name}" for name in target.platforms())]
    members.append(Member(f"{CODE_RUNTIME}/requirements.txt", "".join(lock).encode(), "libraries"))
    members.append(Member(f"{CODE_RUNTIME}/target", ("\n".join(facts) + "\n").encode(), "libraries"))
    return members, {wheel.name: wheel.version for wheel in wheels}


def _wheel(path: Path) -> Wheel:
    named = wheel_name(path)
    if named is None:
        raise UsageError(f"{path.name}: that is not the name of a wheel.", code="V710")
    file = measured(path)
    return Wheel(*named, path, file.sha256, file.size)


def _download(application: str, requirements: Path, target: TargetPython, house: Path) -> None:
    if complaint := download(target, requirements, house):
        raise UsageError(
            f"what the code of {application} asks for cannot be had for Python {target.python} on {target.machine}: "
            f"{complaint}.",
            hint=f"Correct {requirements.name}, or `panorama.python`: devices install ready-made wheels only.",
            code="V710",
        )


def _check_complete(application: str, wheels: Sequence[Wheel], target: TargetPython) -> None:
    """Devices install these wheels as they are: what one of them needs has to be among them."""
    versions = {wheel.name: wheel.version for wheel in wheels}
    for wheel in wheels:
        for need in wheel.requirements():
            if need.marker is not None and not need.marker.evaluate(target.markers()):
                continue
            version = versions.get(canonicalize_name(need.name))
            if version is None or not need.specifier.contains(version, prereleases=True):
                raise UsageError(
                    f"{wheel.path.name}, which the code of {application} asks for, needs {need.name} {need.specifier} "
                    f"on Python {target.python}; found {version or 'no wheel of it'}.",
                    hint="Add a line for it to the file that `panorama.requirements` names.",
                    code="V710",
                )
