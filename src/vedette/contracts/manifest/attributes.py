"""``pipelines.NAME.attributes``: what is found out about each object besides its class (a cascade)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vedette.contracts.base import Confidence, Contract, Identifier, Seconds
from vedette.contracts.manifest.colours import Colour

#: What an attribute says of an object.
Value = Annotated[str, Field(min_length=1, max_length=64)]

#: A place within an object's box as a share of its sides; a little outside is allowed.
Share = Annotated[float, Field(ge=-0.5, le=1.5, allow_inf_nan=False)]


class AttributeBase(Contract):
    """What every attribute has."""

    labels: Annotated[tuple[str, ...] | None, Field(description="Classes it is asked of; all where absent.")] = None
    crop: Annotated[
        tuple[Share, Share, Share, Share],
        Field(description="Part of the object's box that is looked at: x1, y1, x2, y2 as shares of its sides."),
    ] = (0.0, 0.0, 1.0, 1.0)
    min_size_px: Annotated[
        int, Field(ge=4, le=4096, description="A part with a shorter side is too small to say anything.")
    ] = 16
    only_whole: Annotated[
        bool,
        Field(description="Pass over objects that the picture's edge cuts: which part of them is where is not known."),
    ] = False
    every_s: Annotated[
        Seconds, Field(le=60, description="The same object is looked at again after this time, in seconds.")
    ] = 0.3

    @model_validator(mode="after")
    def _a_part(self) -> Self:
        x1, y1, x2, y2 = self.crop
        if x2 - x1 < 0.02 or y2 - y1 < 0.02:
            raise ValueError(f"crop {list(self.crop)} is no part of a box: x1 < x2 and y1 < y2 are needed")
        return self


class ClassifierAttribute(AttributeBase):
    """A classification model looks at the part; its best class is the value."""

    type: Literal["classifier"]
    model: Annotated[Identifier, Field(description="Name of a model of this file, of the family `classifier`.")]
    min_confidence: Annotated[Confidence, Field(description="Below it the picture says nothing.")] = 0.5


class CodesAttribute(AttributeBase):
    """Barcodes and two-dimensional codes are read in the part; the text of the best one is the value."""

    type: Literal["codes"]
    formats: Annotated[tuple[str, ...] | None, Field(description="Symbologies read; all where absent.")] = None
    thorough: Annotated[
        bool, Field(description="Where nothing is read: again sharpened, and at twice the size; takes longer.")
    ] = False


class DetectorAttribute(AttributeBase):
    """A detection model looks at the part; the class it is surest of there gives the value."""

    type: Literal["detector"]
    model: Annotated[Identifier, Field(description="Name of a model of this file, of a family that finds objects.")]
    classes: Annotated[
        dict[str, Value],
        Field(
            min_length=1,
            max_length=64,
            description="Class of the model → value of the attribute; classes that are not listed do not count.",
        ),
    ]
    min_confidence: Annotated[
        Confidence, Field(description="Below it the picture says nothing; stands for the model's own.")
    ] = 0.4


class ColourAttribute(AttributeBase):
    """What share of the part has one of some colours. Says nothing where that cannot be judged."""

    type: Literal["colour"]
    colours: Annotated[
        tuple[Colour, ...],
        Field(min_length=1, max_length=8, description="Named colours, or ranges of one's own."),
    ]
    min_share: Annotated[
        float, Field(ge=0.02, le=0.9, description="Share of the part that must have one of the colours.")
    ] = 0.2
    present: Annotated[Value, Field(description="Value where it has.")] = "yes"
    absent: Annotated[Value, Field(description="Value where it has not.")] = "no"

    @model_validator(mode="after")
    def _two_values(self) -> Self:
        if self.present == self.absent:
            raise ValueError(f"`present` and `absent` are both {self.present!r}; they must differ")
        return self


AttributeStage = Annotated[
    ClassifierAttribute | DetectorAttribute | ColourAttribute | CodesAttribute, Field(discriminator="type")
]
