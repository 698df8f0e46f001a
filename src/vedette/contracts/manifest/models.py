"""``models`` of a manifest: files, tensor contracts, thresholds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from vedette.contracts.base import Confidence, Contract

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ModelFamily(StrEnum):
    """How a model's tensors become boxes."""

    YOLOX = "yolox"
    DETR = "detr"
    YOLOV8 = "yolov8"
    CLASSIFIER = "classifier"
    ULTRAFACE = "ultraface"
    CODES = "codes"


#: Families that come with the program: no file.
BUILT_IN: Final = frozenset({ModelFamily.CODES})


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


class Provider(StrEnum):
    """What must run the model; a silent fallback is a reported DEGRADED state."""

    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


class Model(Contract):
    """A detector or classifier: file, tensor contract and thresholds."""

    family: ModelFamily
    file: Annotated[
        str,
        Field(
            description="Path beside the manifest, or the name under which `vedette model add` stored it; none for "
            "the family `codes`, which comes with the program.",
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
        Field(description="`coco`, or the list of class names in the model's order; for `codes` the symbologies."),
    ] = "coco"
    min_confidence: Annotated[Confidence, Field(description="Boxes below it are dropped.")] = 0.3
    nms_iou: Annotated[Confidence, Field(description="Overlap above which the weaker box is dropped.")] = 0.45
    class_agnostic_nms: bool = False
    require: Provider = Provider.CPU

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
        return self
