"""What components are built for, and whether such a device can run them; by the table of ``targets``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vedette.contracts.errors import UsageError
from vedette.contracts.model_card import Target
from vedette.core.fleet.targets import ONNX_RUNTIME_GLIBC, TARGETS, TargetFacts

#: Versions of Python that every library of the lock has wheels for.
PYTHONS: Final = ("3.11", "3.12", "3.13")
_JETSONS: Final = (Target.JETSON_THOR, Target.JETSON_ORIN, Target.JETSON_XAVIER)
#: The C library of the system on which a Jetson AGX Xavier runs ONNX Runtime, JetPack 5.1.
_JETPACK5_GLIBC: Final = (2, 31)


class Platform(StrEnum):
    """Operating system and processor."""

    ARM64 = "linux/arm64"
    AMD64 = "linux/amd64"

    @property
    def architecture(self) -> str:
        """As Greengrass calls it."""
        return {Platform.ARM64: "aarch64", Platform.AMD64: "amd64"}[self]

    @property
    def machine(self) -> str:
        """As ``uname -m`` and the names of wheels call it."""
        return {Platform.ARM64: "aarch64", Platform.AMD64: "x86_64"}[self]


class Accelerator(StrEnum):
    """What runs the models."""

    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


class Runtime(StrEnum):
    """Where ONNX Runtime comes from."""

    LOCKED = "onnxruntime"
    LOCKED_GPU = "onnxruntime-gpu"
    GIVEN = "given"


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """A combination that can run.

    Attributes:
        platform: of the device.
        accelerator: of the device.
        device: kind of device, where one was named.
        python: of the device, such as ``3.11``.
        glibc: newest C library that wheels may ask for.
        runtime: where ONNX Runtime comes from.
    """

    platform: Platform
    accelerator: Accelerator
    device: Target | None
    python: str
    glibc: tuple[int, int]
    runtime: Runtime


def plan_build(
    platform: Platform | None,
    accelerator: Accelerator,
    device: Target | None,
    python: str | None,
    *,
    wheel_given: bool,
    host: tuple[Platform, str],
) -> BuildPlan:
    """What to build for what was asked.

    Args:
        platform: None for the device's, or this machine's.
        accelerator: what runs the models.
        device: kind of device, where it matters.
        python: None for the device's own where it is new enough.
        wheel_given: whether the owner gives ONNX Runtime as a file.
        host: platform and Python of this machine.

    Raises:
        UsageError: V709, no such device can run it; the message says what would work.
    """
    facts = TARGETS[device] if device is not None else None
    if facts is not None:
        platform = _of_device(facts, platform)
    chosen = platform or host[0]
    version = _python(python, facts, host[1] if chosen is host[0] else PYTHONS[0])
    runtime = _runtime(chosen, accelerator, facts, wheel_given=wheel_given)
    glibc = facts.glibc if facts is not None else ONNX_RUNTIME_GLIBC
    if facts is not None and facts.onnx_system:
        glibc = _JETPACK5_GLIBC
    return BuildPlan(chosen, accelerator, device, version, glibc, runtime)


def _of_device(facts: TargetFacts, platform: Platform | None) -> Platform:
    own = next(each for each in Platform if each.architecture == facts.architecture)
    if not facts.runs_onnx:
        libc = ".".join(map(str, facts.glibc))
        raise _refused(
            f"{facts.target.value}: {facts.system} has the C library {libc}; ONNX Runtime's wheels need "
            f"{'.'.join(map(str, ONNX_RUNTIME_GLIBC))}.",
            f"Run the components in a container with a newer system, built with --target {Target.ARM64.value}; see "
            "docs/devices.md.",
        )
    if platform not in (None, own):
        raise _refused(f"{facts.target.value} is {own.value}, not {platform}.", "Leave --platform out.")
    return own


def _python(asked: str | None, facts: TargetFacts | None, otherwise: str) -> str:
    if asked is None:
        own = facts.python if facts is not None and not facts.onnx_system else otherwise
        return own if own in PYTHONS else PYTHONS[0]
    if asked not in PYTHONS:
        raise _refused(
            f"Python {asked} is not one that the libraries are locked for.",
            f"Choose one of {', '.join(PYTHONS)}; a device whose own is older gets one of these beside it "
            "(/opt/vedette/python).",
        )
    return asked


def _runtime(platform: Platform, accelerator: Accelerator, facts: TargetFacts | None, *, wheel_given: bool) -> Runtime:
    if accelerator is Accelerator.CPU:
        if wheel_given:
            raise _refused("--runtime-wheel is for --accelerator cuda or tensorrt.", "Name one of them.")
        return Runtime.LOCKED
    if platform is Platform.ARM64 and (facts is None or facts.target is Target.ARM64):
        raise _refused(
            f"{accelerator.value} on {platform.value} depends on the kind of device: which CUDA, which code in the "
            "wheel.",
            "Name it: --target " + ", ".join(each.value for each in _JETSONS) + ".",
        )
    if wheel_given:
        return Runtime.GIVEN
    give = "Give NVIDIA's own wheel for this system: --runtime-wheel FILE --sha256 HEX"
    if accelerator is Accelerator.TENSORRT:
        raise _refused(
            "TensorRT is not taken from the wheel on PyPI: for aarch64 it holds no TensorRT provider, and the device's "
            "TensorRT must be the one it was built with.",
            f"{give}; or --accelerator cuda, where the device has it.",
        )
    if facts is not None and facts.target in (Target.JETSON_ORIN, Target.JETSON_XAVIER):
        raise _refused(
            f"onnxruntime-gpu on PyPI is for CUDA 13 and holds no code for {facts.sm}; {facts.target.value} has "
            f"{'JetPack 5' if facts.onnx_system else f'CUDA {facts.cuda}'}.",
            f"{give}; or --accelerator cpu.",
        )
    return Runtime.LOCKED_GPU


def _refused(message: str, hint: str) -> UsageError:
    return UsageError(message, hint=hint, code="V709")
