"""The kinds of devices: their software, and what can run a model on them. ``docs/devices.md`` is made from here.

Sources, November 2026: SageMaker developer guide, "Supported Devices, Chip Architectures, and Systems"; the versions
that NVIDIA names for each JetPack; the wheels of ONNX Runtime 1.32 and onnxruntime-gpu 1.31 on PyPI. None of the Jetson
rows was tried on the device itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vedette.contracts.model_card import Target

#: Oldest C library that ONNX Runtime's wheels for Python 3.11 load (``manylinux_2_28``).
ONNX_RUNTIME_GLIBC: Final = (2, 28)


@dataclass(frozen=True, slots=True)
class NeoTarget:
    """How Neo is told of a device.

    Attributes:
        device: ``TargetDevice``; empty where the platform is described instead.
        arch: ``TargetPlatform.Arch``, where no device is named.
        trt_ver: TensorRT on the device; empty without NVIDIA accelerator.
        cuda_ver: CUDA on the device; empty likewise.
    """

    device: str = ""
    arch: str = ""
    trt_ver: str = ""
    cuda_ver: str = ""


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """One kind of device.

    Attributes:
        target: its name.
        device: for people.
        system: JetPack or operating system that is meant.
        python: of that system.
        glibc: C library of that system.
        cuda: of that system; empty without GPU.
        sm: compute capability of the GPU, such as ``sm_72``; empty without.
        architecture: as Greengrass calls it.
        neo: None where Neo does not list it.
        onnx_system: system on which ONNX Runtime runs, where it is another one; empty where it is the same.
        gpu_wheel: where ONNX Runtime for its GPU comes from.
    """

    target: Target
    device: str
    system: str
    python: str
    glibc: tuple[int, int]
    cuda: str
    sm: str
    architecture: str
    neo: NeoTarget | None
    onnx_system: str = ""
    gpu_wheel: str = ""

    @property
    def runs_onnx(self) -> bool:
        """Whether ONNX Runtime's wheels load on the system, or on a newer one for the same device."""
        return self.glibc >= ONNX_RUNTIME_GLIBC or bool(self.onnx_system)


_JETPACK4: Final = ("3.6", (2, 27), "10.2")
_OWNER_WHEEL: Final = "NVIDIA's wheel for this JetPack, given by the owner; without it the processor"
_NO_WHEEL: Final = "none for JetPack 4"


def _jetpack4(target: Target, device: str, sm: str, neo_device: str, onnx_system: str = "") -> TargetFacts:
    python, glibc, cuda = _JETPACK4
    neo = NeoTarget(device=neo_device, trt_ver="8.2.1", cuda_ver=cuda)
    wheel = _OWNER_WHEEL if onnx_system else _NO_WHEEL
    return TargetFacts(target, device, "JetPack 4.6", python, glibc, cuda, sm, "aarch64", neo, onnx_system, wheel)


TARGETS: Final[dict[Target, TargetFacts]] = {
    facts.target: facts
    for facts in (
        _jetpack4(Target.JETSON_NANO, "Jetson Nano", "sm_53", "jetson_nano"),
        _jetpack4(Target.JETSON_TX1, "Jetson TX1", "sm_53", "jetson_tx1"),
        _jetpack4(Target.JETSON_TX2, "Jetson TX2", "sm_62", "jetson_tx2"),
        _jetpack4(Target.JETSON_XAVIER, "Jetson AGX Xavier, Xavier NX", "sm_72", "jetson_xavier", "JetPack 5.1"),
        TargetFacts(
            *(Target.JETSON_ORIN, "Jetson AGX Orin, Orin NX, Orin Nano", "JetPack 6.1", "3.10", (2, 35), "12.6"),
            *("sm_87", "aarch64", None),
            gpu_wheel=_OWNER_WHEEL,
        ),
        TargetFacts(
            *(Target.JETSON_THOR, "Jetson Thor", "JetPack 7.0", "3.12", (2, 39), "13.0", "sm_110", "aarch64", None),
            gpu_wheel="onnxruntime-gpu from PyPI, for CUDA 13 and without TensorRT; else NVIDIA's own wheel",
        ),
        TargetFacts(
            *(Target.X86_64, "any 64-bit Intel or AMD machine", "Linux with glibc 2.28 or later", "3.11", (2, 28)),
            *("", "", "amd64", NeoTarget(arch="X86_64")),
            gpu_wheel="onnxruntime-gpu from PyPI, with an NVIDIA card",
        ),
        TargetFacts(
            *(Target.ARM64, "any 64-bit ARM machine", "Linux with glibc 2.28 or later", "3.11", (2, 28)),
            *("", "", "aarch64", NeoTarget(arch="ARM64")),
        ),
    )
}
