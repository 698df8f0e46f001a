"""Which model SageMaker Neo compiles for which device, and what its job is asked for.

The lists are those of the SageMaker developer guide, "Supported Frameworks" (edge devices), as read in November 2026.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vedette.contracts.manifest.models import ModelFamily
from vedette.contracts.model_card import Framework, Layout, ModelCard, Target, TensorType
from vedette.core.fleet.targets import TARGETS, NeoTarget

#: Operator set of ONNX 1.7, the last that Neo reads.
MAX_OPSET: Final = 12
_LAYOUTS: Final = {Framework.TENSORFLOW: Layout.NHWC, Framework.TFLITE: Layout.NHWC}


@dataclass(frozen=True, slots=True)
class NeoFramework:
    """What Neo lists of a framework.

    Attributes:
        name: ``InputConfig.Framework``.
        versions: listed ones, oldest first; a model of an older version counts as the next listed one.
        detection: whether it is listed for object detection; all are for classification.
        file: suffix of the one file that the archive holds; empty where it is more than one.
        takes_version: whether ``InputConfig.FrameworkVersion`` is allowed.
    """

    name: str
    versions: tuple[tuple[int, int], ...]
    detection: bool
    file: str
    takes_version: bool = True


NEO_FRAMEWORKS: Final[dict[Framework, NeoFramework]] = {
    Framework.PYTORCH: NeoFramework("PYTORCH", ((1, 7), (1, 8)), True, ".pth"),
    Framework.TENSORFLOW: NeoFramework("TENSORFLOW", ((1, 15), (2, 4)), True, ".pb"),
    Framework.TFLITE: NeoFramework("TFLITE", ((1, 15),), True, ".tflite"),
    Framework.MXNET: NeoFramework("MXNET", ((1, 8),), True, ""),
    Framework.ONNX: NeoFramework("ONNX", ((1, 7),), False, ".onnx", takes_version=False),
    Framework.KERAS: NeoFramework("KERAS", ((2, 2),), False, ".h5", takes_version=False),
    Framework.DARKNET: NeoFramework("DARKNET", (), True, "", takes_version=False),
}


@dataclass(frozen=True, slots=True)
class NeoJob:
    """What a compilation job is asked for, without names, places and role.

    Attributes:
        framework: ``InputConfig.Framework``.
        framework_version: ``InputConfig.FrameworkVersion``; empty where it is not allowed.
        data_input: ``InputConfig.DataInputConfig``, JSON.
        output: of ``OutputConfig`` all but the place.
    """

    framework: str
    framework_version: str
    data_input: str
    output: Mapping[str, Any]

    def input_config(self, s3_uri: str) -> dict[str, str]:
        """``InputConfig`` for an archive in S3."""
        config = {"S3Uri": s3_uri, "DataInputConfig": self.data_input, "Framework": self.framework}
        return config | ({"FrameworkVersion": self.framework_version} if self.framework_version else {})

    def output_config(self, s3_uri: str, key_arn: str) -> dict[str, Any]:
        """``OutputConfig`` for a place in S3."""
        return {"S3OutputLocation": s3_uri, "KmsKeyId": key_arn, **self.output}


def neo_objection(card: ModelCard, target: Target) -> str:
    """Why Neo does not compile a model for a device, as a part of a sentence; empty where it does."""
    neo = TARGETS[target].neo
    if neo is None:
        return f"Neo does not list {target.value}"
    listed = NEO_FRAMEWORKS[card.framework]
    if card.framework is Framework.ONNX:
        if card.opset is not None and card.opset > MAX_OPSET:
            return f"Neo reads ONNX up to 1.7, opset {MAX_OPSET}; this file has opset {card.opset}"
    elif objection := _version_objection(card, listed):
        return objection
    if card.family is not ModelFamily.CLASSIFIER and not listed.detection:
        return f"Neo lists {card.framework.value} for image classification, not for the family {card.family.value}"
    if not listed.file and not card.file.endswith(".tar.gz"):
        return f"Neo takes {card.framework.value} models as more than one file; pack them as .tar.gz"
    if listed.file and not card.file.endswith((listed.file, ".tar.gz")):
        return f"Neo takes {card.framework.value} models as one {listed.file} file; `file` is {card.file}"
    other = [name for name, tensor in card.inputs.items() if tensor.dtype is not TensorType.FLOAT32]
    if other:
        return f"Neo's jobs for devices take float32; the input {other[0]!r} is {card.inputs[other[0]].dtype.value}"
    return _layout_objection(card)


def neo_job(card: ModelCard, target: Target) -> NeoJob:
    """The job for a model that ``neo_objection`` has nothing against."""
    neo = TARGETS[target].neo
    assert neo is not None
    listed = NEO_FRAMEWORKS[card.framework]
    version = _listed_version(card, listed) if listed.takes_version else None
    shapes = {name: list(_neo_shape(card.framework, tensor.layout, tensor.shape)) for name, tensor in _inputs(card)}
    return NeoJob(
        framework=listed.name,
        framework_version=f"{version[0]}.{version[1]}" if version else "",
        data_input=json.dumps(shapes),
        output=_output(card, target, neo),
    )


def check_compilation_job(request: Mapping[str, Any]) -> str | None:
    """What Neo would say against a ``CreateCompilationJob`` request, by the same lists; None where it would compile.

    Args:
        request: as botocore sends it.
    """
    config, output = request.get("InputConfig", {}), request.get("OutputConfig", {})
    listed = next((entry for entry in NEO_FRAMEWORKS.values() if entry.name == config.get("Framework")), None)
    if listed is None:
        return f"ClientError: InputConfiguration: Framework {config.get('Framework')!r} is not supported."
    device, platform = output.get("TargetDevice"), output.get("TargetPlatform")
    if (device is None) == (platform is None):
        return "ClientError: OutputConfiguration: exactly one of TargetDevice and TargetPlatform is needed."
    known = {facts.neo.device for facts in TARGETS.values() if facts.neo is not None and facts.neo.device}
    if device is not None and device not in known:
        return f"ClientError: OutputConfiguration: TargetDevice {device!r} is not supported."
    version = config.get("FrameworkVersion")
    if version is not None and version not in {f"{major}.{minor}" for major, minor in listed.versions}:
        return f"ClientError: InputConfiguration: {listed.name} version {version} is not supported."
    return _check_options(output, device) or _check_shapes(config, listed)


def _check_options(output: Mapping[str, Any], device: str | None) -> str | None:
    if device is None:
        return None
    try:
        options = json.loads(output.get("CompilerOptions") or "{}")
    except ValueError:
        return "ClientError: OutputConfiguration: CompilerOptions is not valid JSON."
    sm = next(facts.sm for facts in TARGETS.values() if facts.neo is not None and facts.neo.device == device)
    given = options.get("gpu-code") or options.get("gpu_code")
    missing = [key for key in ("trt-ver", "cuda-ver") if key not in options and "JETPACK_VERSION" not in options]
    if given is None or missing:
        wanted = ", ".join(["gpu-code", *missing] if given is None else missing)
        return f"ClientError: OutputConfiguration: compiler options {wanted} are required for NVIDIA accelerators."
    return None if given == sm else f"ClientError: OutputConfiguration: {device} needs gpu-code {sm}, found {given}."


def _check_shapes(config: Mapping[str, Any], listed: NeoFramework) -> str | None:
    try:
        shapes = json.loads(config.get("DataInputConfig") or "")
    except ValueError:
        return "ClientError: InputConfiguration: DataInputConfig is not valid JSON."
    if not isinstance(shapes, dict) or not shapes:
        return "ClientError: InputConfiguration: DataInputConfig names no input."
    for name, shape in shapes.items():
        if not isinstance(shape, list) or not all(isinstance(side, int) and side > 0 for side in shape):
            return f"ClientError: InputConfiguration: Input {name} has no fixed shape in DataInputConfig."
        channels_last = listed.name in ("TENSORFLOW", "TFLITE")
        if len(shape) == 4 and shape[3 if channels_last else 1] not in (1, 3, 4):
            order = "NHWC" if channels_last else "NCHW"
            return (
                f"ClientError: InputConfiguration: Input {name} has wrong shape in Input Shape dictionary. "
                f"Input shapes should be provided in {order} format."
            )
    return None


def _version_objection(card: ModelCard, listed: NeoFramework) -> str:
    if not listed.versions:
        return ""
    newest = ".".join(map(str, listed.versions[-1]))
    if card.framework_version is None:
        return f"Neo needs `framework_version` for {card.framework.value}, {newest} or earlier"
    if _listed_version(card, listed) is None:
        return f"Neo lists {card.framework.value} up to {newest}; this model is of {card.framework_version}"
    return ""


def _listed_version(card: ModelCard, listed: NeoFramework) -> tuple[int, int] | None:
    """The oldest listed version that is not older than the model's."""
    parts = [int(part) for part in (card.framework_version or "0").split(".")]
    own = (parts[0], parts[1] if len(parts) > 1 else 0)
    return next((version for version in listed.versions if version >= own), None)


def _layout_objection(card: ModelCard) -> str:
    """Keras files hold NHWC and Neo is told NCHW; what is turned here needs a layout with names."""
    for name, tensor in _inputs(card):
        wanted = _LAYOUTS.get(card.framework)
        if tensor.layout is Layout.OTHER and len(tensor.shape) == 4:
            return f"Neo needs the layout of the input {name!r}, NCHW or NHWC"
        if wanted is not None and tensor.layout is Layout.NCHW:
            return f"Neo takes {card.framework.value} inputs as {wanted.value}; {name!r} is {tensor.layout.value}"
        if wanted is None and card.framework is not Framework.KERAS and tensor.layout is Layout.NHWC:
            return f"Neo takes {card.framework.value} inputs as NCHW; {name!r} is NHWC"
    return ""


def _neo_shape(framework: Framework, layout: Layout, shape: tuple[int, ...]) -> tuple[int, ...]:
    if framework is Framework.KERAS and layout is Layout.NHWC:
        return shape[0], shape[3], shape[1], shape[2]
    return shape


def _inputs(card: ModelCard) -> list[tuple[str, Any]]:
    return list(card.inputs.items())


def _output(card: ModelCard, target: Target, neo: NeoTarget) -> dict[str, Any]:
    if not neo.device:
        return {"TargetPlatform": {"Os": "LINUX", "Arch": neo.arch}}
    sm = TARGETS[target].sm
    own = card.compiler_options.get(target)
    options = {
        "gpu-code": sm,
        "trt-ver": own.trt_ver if own else neo.trt_ver,
        "cuda-ver": own.cuda_ver if own else neo.cuda_ver,
    }
    if card.framework is Framework.TENSORFLOW and (card.framework_version or "").startswith("2"):
        options = {"JETPACK_VERSION": "4.6", "gpu_code": sm}
    return {"TargetDevice": neo.device, "CompilerOptions": json.dumps(options)}
