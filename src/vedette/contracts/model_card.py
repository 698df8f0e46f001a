"""``model.yaml``: what a model is, so that it can be compiled, packed and run without asking its author."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from vedette.contracts.base import Contract, Digest, Title
from vedette.contracts.manifest.models import BUILT_IN, ModelFamily, ModelInput

#: The file's name, beside the model's own.
CARD_NAME: Final = "model.yaml"
#: Largest model that is compiled or packed in the account: a function's disk holds the file and what is made of it.
MAX_CARD_MODEL_BYTES: Final = 200 << 20

#: Name of a model: part of object keys and of the component's name.
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
#: Semantic version, which becomes the component's.
ModelVersion = Annotated[str, StringConstraints(pattern=r"^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$")]
#: Version of a framework, as in ``"1.8"``; text, so that 1.10 is not 1.1.
FrameworkVersion = Annotated[str, StringConstraints(pattern=r"^\d{1,3}(\.\d{1,3}){0,2}$")]
#: A file beside ``model.yaml``.
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class Framework(StrEnum):
    """What a model file was written by."""

    ONNX = "onnx"
    PYTORCH = "pytorch"
    TENSORFLOW = "tensorflow"
    TFLITE = "tflite"
    MXNET = "mxnet"
    KERAS = "keras"
    DARKNET = "darknet"


class Target(StrEnum):
    """Kind of device that a model is made ready for."""

    JETSON_NANO = "jetson-nano"
    JETSON_TX1 = "jetson-tx1"
    JETSON_TX2 = "jetson-tx2"
    JETSON_XAVIER = "jetson-xavier"
    JETSON_ORIN = "jetson-orin"
    JETSON_THOR = "jetson-thor"
    X86_64 = "x86-64"
    ARM64 = "arm64"


class TensorType(StrEnum):
    """Type of an input's values."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    UINT8 = "uint8"
    INT32 = "int32"
    INT64 = "int64"


class Layout(StrEnum):
    """Order of an input's dimensions: n pictures, c channels, h rows, w columns."""

    NCHW = "NCHW"
    NHWC = "NHWC"
    OTHER = "other"


class InputTensor(Contract):
    """One input of a model."""

    shape: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65_536)], ...],
        Field(min_length=1, max_length=6, description="All dimensions, as numbers; the first is 1 picture."),
    ]
    layout: Layout = Layout.NCHW
    dtype: TensorType = TensorType.FLOAT32

    @model_validator(mode="after")
    def _layout_has_four(self) -> Self:
        if self.layout is not Layout.OTHER and len(self.shape) != 4:
            raise ValueError(f"layout {self.layout.value} has 4 dimensions; shape has {len(self.shape)}")
        return self


class CompilerOptions(Contract):
    """What Neo is told of the software on the device, where it differs from the target's usual."""

    trt_ver: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$", description="TensorRT, such as 8.2.1.")]
    cuda_ver: Annotated[str, Field(pattern=r"^\d+\.\d+$", description="CUDA, such as 10.2.")]


class ModelCard(Contract):
    """A model: file, tensors, classes, and the devices it is for."""

    api: Literal["vedette-model/v1"]
    name: ModelName
    version: Annotated[ModelVersion, Field(description="A released version never changes; raise it for a new file.")]
    title: Title = ""
    framework: Framework
    framework_version: Annotated[
        FrameworkVersion | None, Field(description="Of the framework that wrote the file; Neo needs it.")
    ] = None
    opset: Annotated[int | None, Field(ge=1, le=100, description="Of an ONNX file; compared with the file.")] = None
    family: ModelFamily
    file: Annotated[FileName, Field(description="The model, beside model.yaml.")]
    sha256: Annotated[Digest | None, Field(description="Refused where the file's digest differs.")] = None
    inputs: Annotated[dict[str, InputTensor], Field(min_length=1, max_length=4, description="Name → tensor.")]
    labels: Annotated[
        Literal["coco"] | tuple[str, ...], Field(description="`coco`, or the class names in the model's order.")
    ] = "coco"
    input: Annotated[ModelInput | None, Field(description="How the picture is prepared, as in vedette.yaml.")] = None
    precision: Annotated[Literal["fp32", "fp16", "int8"], Field(description="Of the weights.")] = "fp32"
    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=8)]
    compiler_options: Annotated[
        dict[Target, CompilerOptions],
        Field(default_factory=dict, description="Target → versions on those devices, for Neo."),
    ]
    licence: Annotated[str, Field(max_length=64, description="SPDX identifier.")] = "unknown"

    @field_validator("targets")
    @classmethod
    def _each_once(cls, value: tuple[Target, ...]) -> tuple[Target, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each target once")
        return value

    @field_validator("family")
    @classmethod
    def _has_a_file(cls, value: ModelFamily) -> ModelFamily:
        if value in BUILT_IN:
            raise ValueError(f"the family {value.value} comes with the program and has no model file")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.opset is not None and self.framework is not Framework.ONNX:
            raise ValueError("`opset` is for the framework onnx")
        if self.file == CARD_NAME:
            raise ValueError(f"`file` is the model, not {CARD_NAME}")
        unused = [target.value for target in self.compiler_options if target not in self.targets]
        if unused:
            raise ValueError(f"`compiler_options` for {', '.join(unused)}, which is not among `targets`")
        return self
