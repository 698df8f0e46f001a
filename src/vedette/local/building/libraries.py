"""Which libraries each component needs, by the names of the lock; what these need follows from their own metadata."""

from __future__ import annotations

from typing import Final

#: Contracts, time zones and the way to the nucleus: of every process.
_BASE: Final = ("awsiotsdk", "pydantic", "pyyaml", "tzdata")
_PICTURES: Final = ("numpy", "opencv-python-headless")
_COMMANDS: Final = ("rich", "typer")
#: Where ONNX Runtime stands in the lists; for a GPU another package takes its place.
ONNX_RUNTIME: Final = "onnxruntime"

COMPONENT_LIBRARIES: Final[dict[str, tuple[str, ...]]] = {
    "vedette.CameraIngest": (*_BASE, "av", "numpy"),
    "vedette.Inference": (*_BASE, *_PICTURES, "lapx", ONNX_RUNTIME, "zxing-cpp"),
    "vedette.Alerting": (*_BASE, *_PICTURES, "asyncua", "av", "cryptography", ONNX_RUNTIME, "pymodbus"),
    "vedette.AppHost": (*_BASE, *_PICTURES, "lapx", ONNX_RUNTIME),
    "vedette.DeviceAgent": _BASE,
}
#: `vedette app attach`, the process of an application's component.
APPLICATION_LIBRARIES: Final = (*_BASE, *_COMMANDS)
#: `vedette app try`: everything that looks at recordings and judges, in one process.
CANDIDATE_LIBRARIES: Final = tuple(
    sorted({*_COMMANDS, *(name for names in COMPONENT_LIBRARIES.values() for name in names)})
)
