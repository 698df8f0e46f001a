"""``models`` of a manifest: files, tensor contracts, thresholds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from vedette.contracts.base import Confidence, Contract

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ModelFamily(StrEnum):
    """How a model's tensors become boxes."""

    YOLOX = "yolox"
    DETR = "detr"


class Provider(StrEnum):
    """What must run the model; a silent fallback is a reported DEGRADED state."""

    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


class Model(Contract):
    """A detector: file, tensor contract and thresholds."""

    family: ModelFamily
    file: Annotated[
        str,
        Field(
            min_length=1,
            description="Path beside the manifest, or the name under which `vedette model add` stored it.",
        ),
    ]
    sha256: Annotated[Digest | None, Field(description="The file is refused where its digest differs.")] = None
    input_size: Annotated[
        tuple[int, int] | None,
        Field(description="[width, height] the model takes; read from the model where absent."),
    ] = None
    labels: Annotated[
        Literal["coco"] | tuple[str, ...],
        Field(description="`coco`, or the list of class names in the model's order."),
    ] = "coco"
    min_confidence: Annotated[Confidence, Field(description="Boxes below it are dropped.")] = 0.3
    nms_iou: Annotated[Confidence, Field(description="Overlap above which the weaker box is dropped.")] = 0.45
    class_agnostic_nms: bool = False
    require: Provider = Provider.CPU
