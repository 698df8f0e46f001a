"""``models`` of a manifest: files, tensor contracts, thresholds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from vedette.contracts.base import Confidence, Contract, Digest, Seconds


class ModelFamily(StrEnum):
    """How a model's tensors become boxes."""

    YOLOX = "yolox"
    DETR = "detr"
    YOLOV8 = "yolov8"
    CLASSIFIER = "classifier"
    ULTRAFACE = "ultraface"
    CODES = "codes"
    MOVING = "moving"
    TENSORS = "tensors"


#: Families that come with the program: no file.
BUILT_IN: Final = frozenset({ModelFamily.CODES, ModelFamily.MOVING})


class Channels(StrEnum):
    """Order of the colours in a model's input."""

    RGB = "rgb"
    BGR = "bgr"


class ModelInput(Contract):
    """How a picture becomes a model's input, where that is not the family's usual way."""

    channels: Channels = Channels.RGB
    scale: Annotated[float, Field(gt=0, le=255, description="What a value of 0 to 255 is divided by, first.")] = 255.0
    mean: Annotated[
        tuple[float, float, float], Field(description="Taken away from each channel, after the division.")
    ] = (0.0, 0.0, 0.0)
    std: Annotated[
        tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]],
        Field(description="What each channel is divided by, last."),
    ] = (1.0, 1.0, 1.0)


class Moving(Contract):
    """How the family `moving` tells objects from the background."""

    min_size: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="Least width and height of an object, as a share of the shorter side of what is looked at.",
        ),
    ] = 0.08
    min_change: Annotated[float, Field(ge=4, le=128, description="Least change of brightness that counts, of 255.")] = (
        14.0
    )
    absorb_s: Annotated[
        Seconds,
        Field(ge=5, le=3600, description="What stands still for so long belongs to the background from then on."),
    ] = 60.0


class TensorType(StrEnum):
    """Type of a tensor's numbers."""

    BOOL = "bool"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    FLOAT16 = "float16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"


class TensorInput(Contract):
    """One input of a model that an application's own code runs."""

    name: Annotated[str, Field(min_length=1, max_length=128, description="The name by which the code gives it.")]
    shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, max_length=8)]
    type: TensorType = TensorType.FLOAT32
    tensor: Annotated[
        str, Field(max_length=200, description="The model's own name of it, where that is another one.")
    ] = ""


class Provider(StrEnum):
    """What must run the model; a silent fallback is a reported DEGRADED state."""

    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


class Precision(StrEnum):
    """Numbers a model may be computed with on an accelerator."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"


class Model(Contract):
    """A detector or classifier: file, tensor contract and thresholds."""

    family: ModelFamily
    file: Annotated[
        str,
        Field(
            description="Path beside the manifest, or the name under which `vedette model add` stored it; none for "
            "the families `codes` and `moving`, which come with the program.",
        ),
    ] = ""
    sha256: Annotated[Digest | None, Field(description="The file is refused where its digest differs.")] = None
    input_size: Annotated[
        tuple[int, int] | None,
        Field(description="[width, height] the model takes; read from the model where absent."),
    ] = None
    input: Annotated[
        ModelInput | None, Field(description="How the picture is prepared; the family's way where absent.")
    ] = None
    labels: Annotated[
        Literal["coco"] | tuple[str, ...],
        Field(
            description="`coco`, or the list of class names in the model's order; for `codes` the symbologies; "
            "for `moving` the one name of its objects, `object` where absent."
        ),
    ] = "coco"
    moving: Annotated[Moving | None, Field(description="Of the family `moving`: its thresholds.")] = None
    tensors: Annotated[
        tuple[TensorInput, ...],
        Field(max_length=16, description="Of the family `tensors`: its inputs. Nothing is prepared or decoded."),
    ] = ()
    min_confidence: Annotated[Confidence, Field(description="Boxes below it are dropped.")] = 0.3
    nms_iou: Annotated[Confidence, Field(description="Overlap above which the weaker box is dropped.")] = 0.45
    class_agnostic_nms: bool = False
    require: Provider = Provider.CPU
    precision: Annotated[
        Precision,
        Field(
            description="Numbers TensorRT may compute with; `int8` needs a file with the scales, and falls back to "
            "float16 where an operator has none."
        ),
    ] = Precision.FLOAT32

    @property
    def built_in(self) -> bool:
        """Whether it comes with the program."""
        return self.family in BUILT_IN

    @model_validator(mode="after")
    def _file_or_built_in(self) -> Self:
        if self.built_in and (self.file or self.sha256 or self.input_size or self.input):
            raise ValueError(f"the family {self.family.value} comes with the program and takes no file, size or input")
        if not self.built_in and not self.file:
            raise ValueError("`file` is missing: a path beside the manifest, or a name in the model store")
        if self.precision is not Precision.FLOAT32 and self.require is not Provider.TENSORRT:
            raise ValueError(
                f"`precision: {self.precision.value}` is for `require: tensorrt`; elsewhere the file itself says which "
                "numbers it has (`vedette model optimize` makes such a file)"
            )
        if (self.family is ModelFamily.TENSORS) != bool(self.tensors):
            raise ValueError("`tensors` is for the family tensors, and needed there: the inputs that the code gives")
        if self.moving is not None and self.family is not ModelFamily.MOVING:
            raise ValueError(f"`moving` is for the family moving; this model is of the family {self.family.value}")
        if self.family is ModelFamily.MOVING and self.labels != "coco" and len(self.labels) != 1:
            raise ValueError(f"the family moving has one label, the name of its objects; {len(self.labels)} are given")
        return self
