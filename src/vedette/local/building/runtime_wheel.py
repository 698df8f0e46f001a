"""ONNX Runtime as a file that the owner of the devices gives: NVIDIA's own build for a JetPack."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.utils import parse_wheel_filename

from vedette.adapters.artefact_file import measured
from vedette.contracts.errors import UsageError
from vedette.core.fleet.build_target import Accelerator, BuildPlan
from vedette.local.building.environment import TargetPython
from vedette.local.building.wheels import Wheel, wheel_name

_NAMES: Final = frozenset({"onnxruntime", "onnxruntime-gpu"})
_PROVIDERS: Final = {
    Accelerator.CUDA: "libonnxruntime_providers_cuda.so",
    Accelerator.TENSORRT: "libonnxruntime_providers_tensorrt.so",
}


@dataclass(frozen=True, slots=True)
class GivenWheel:
    """What was given on the command line.

    Attributes:
        path: of the wheel.
        sha256: what its content must have, hexadecimal.
    """

    path: Path
    sha256: str


def check_runtime_wheel(given: GivenWheel, plan: BuildPlan) -> Wheel:
    """The wheel, once everything that can be known of it fits.

    Raises:
        UsageError: V709, another content than the digest says, no ONNX Runtime, for another Python or machine, or
            without the provider that is asked for.
    """
    found = _measured(given)
    named = wheel_name(given.path)
    if named is None or named[0] not in _NAMES:
        raise _refused(
            given, "it is no wheel of ONNX Runtime by its name", "onnxruntime_gpu-VERSION-….whl is expected."
        )
    _check_python(given, plan)
    target = TargetPython.of(plan)
    wheel = Wheel(named[0], named[1], given.path, found, given.path.stat().st_size)
    tags = parse_wheel_filename(given.path.name)[3]
    if not tags & set(target.tags(f"linux_{target.machine}")):  # wheels that were built on a device are called so
        raise _refused(
            given,
            f"it is for {', '.join(sorted({tag.platform for tag in tags}))}, not for {target.machine} with glibc "
            f"{'.'.join(map(str, target.glibc))}",
            f"A wheel for {plan.platform.value} is needed.",
        )
    _check_content(given, wheel, plan)
    return wheel


def _measured(given: GivenWheel) -> str:
    try:
        found = measured(given.path).sha256
    except OSError as error:
        raise UsageError(f"--runtime-wheel {given.path}: {error.strerror}.", code="V709") from None
    if found != given.sha256.lower():
        raise _refused(given, f"its SHA-256 is {found}, not the one given", "Compare it with where the file came from.")
    return found


def _check_python(given: GivenWheel, plan: BuildPlan) -> None:
    interpreters = {tag.interpreter for tag in parse_wheel_filename(given.path.name)[3]}
    wanted = f"cp{plan.python.replace('.', '')}"
    if not interpreters & {wanted, "py3"}:
        old = " (Vedette itself needs 3.11 or later, so JetPack's own Python 3.10 is no choice)"
        raise _refused(
            given,
            f"it is for {', '.join(sorted(interpreters))}, the components would run on Python {plan.python}"
            f"{old if interpreters & {'cp38', 'cp39', 'cp310'} else ''}",
            f"Build ONNX Runtime for {wanted} on such a device (its build script makes a wheel), take one that NVIDIA "
            "has for it, or build with --accelerator cpu.",
        )


def _check_content(given: GivenWheel, wheel: Wheel, plan: BuildPlan) -> None:
    try:
        with zipfile.ZipFile(given.path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise _refused(given, f"it cannot be read as a wheel: {error}", "Download it again.") from None
    described = wheel.metadata()
    said = (str(described["Name"]).lower().replace("_", "-"), str(described["Version"]))
    if said != (wheel.name, wheel.version):
        raise _refused(given, f"it says of itself that it is {said[0]} {said[1]}", "Download it again.")
    needed = _PROVIDERS[plan.accelerator]
    if needed not in names:
        raise _refused(
            given, f"it has no {needed}, so {plan.accelerator.value} cannot run with it", "Give a wheel that has it."
        )


def _refused(given: GivenWheel, why: str, hint: str) -> UsageError:
    return UsageError(f"--runtime-wheel {given.path.name}: {why}.", hint=hint, code="V709")
