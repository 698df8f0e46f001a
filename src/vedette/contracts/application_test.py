"""``tests/*.yaml`` beside a manifest: recordings, and the alerts that the application must give on them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from vedette.contracts.alert import Direction
from vedette.contracts.base import Contract, Digest, Identifier, Seconds, Title
from vedette.contracts.manifest.parameters import ParameterValue

#: Seconds into a recording.
Moment = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class RenderedBelt(Contract):
    """A conveyor belt with metal parts, rendered by the program: the same pictures on every machine."""

    seed: Annotated[int, Field(ge=0, description="Everything random is drawn from it.")]
    duration_s: Annotated[int, Field(ge=10, le=3600, description="Length of the footage, whole seconds.")] = 60
    defective: Annotated[float, Field(ge=0, le=1, description="Share of the parts that are defective.")] = 0.4


class RenderedParcels(Contract):
    """A conveyor belt with parcels that carry code labels, rendered by the program: the same pictures everywhere."""

    seed: Annotated[int, Field(ge=0, description="Everything random is drawn from it.")]
    duration_s: Annotated[int, Field(ge=10, le=3600, description="Length of the footage, whole seconds.")] = 60
    unreadable: Annotated[float, Field(ge=0, le=1, description="Share of the labels that cannot be read.")] = 0.25


class Clip(Contract):
    """A recording that stands for a camera, or footage that the program renders."""

    file: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=300,
            description="Path below the test's folder, or the name of a file in a folder of recordings.",
        ),
    ] = None
    sha256: Annotated[
        Digest | None, Field(description="SHA-256 of the file: the facts are about this very recording.")
    ] = None
    belt: Annotated[RenderedBelt | None, Field(description="A rendered belt instead of a file.")] = None
    parcels: Annotated[RenderedParcels | None, Field(description="A rendered belt with parcels instead of a file.")] = (
        None
    )
    start: Annotated[
        AwareDatetime | None,
        Field(description="Time of the first picture, for schedules; else what the file says, else 1970."),
    ] = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.file, self.belt, self.parcels)) != 1:
            raise ValueError("give either `file`, with its `sha256`, or `belt`, or `parcels`")
        if self.file is not None and self.sha256 is None:
            raise ValueError("`sha256` is missing: the facts are about one very recording")
        rendered = "belt" if self.belt is not None else "parcels"
        if self.file is None and (self.sha256 is not None or self.start is not None):
            raise ValueError(f"`{rendered}` is rendered: it has neither `sha256` nor `start`")
        return self


class ExpectedAlert(Contract):
    """One alert that must come."""

    rule: Annotated[Identifier, Field(description="Name of a rule of the manifest.")]
    camera: Annotated[Identifier, Field(description="Name of a camera of the manifest.")]
    at_s: Annotated[Moment | None, Field(description="When, in seconds into the recording.")] = None
    between_s: Annotated[
        tuple[Moment, Moment] | None, Field(description="From and to, where the moment is not known exactly.")
    ] = None
    tolerance_s: Annotated[
        Seconds | None, Field(le=3600, description="How far from `at_s` it may be; the test's where absent.")
    ] = None
    direction: Annotated[Direction | None, Field(description="Which way, where the rule is about a line.")] = None
    count: Annotated[int | None, Field(ge=0, description="How many, where the rule counts.")] = None
    label: Annotated[str | None, Field(description="Class of the object.")] = None
    attributes: Annotated[
        dict[Identifier, str] | None, Field(description="Attribute → value that the object must have.")
    ] = None

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if (self.at_s is None) == (self.between_s is None):
            raise ValueError("give either `at_s` or `between_s`")
        if self.between_s is not None and self.between_s[0] > self.between_s[1]:
            raise ValueError("`between_s` ends before it begins")
        return self


class QuietSpan(Contract):
    """A stretch in which no alert may come."""

    rule: Annotated[Identifier | None, Field(description="Of this rule only; of any where absent.")] = None
    camera: Annotated[Identifier | None, Field(description="Of this camera only; of any where absent.")] = None
    from_s: Annotated[Moment, Field(description="In seconds into the recording.")] = 0.0
    to_s: Annotated[Moment | None, Field(description="To the end where absent.")] = None


class ApplicationTest(Contract):
    """One test of an application."""

    api: Annotated[Literal["vedette-test/v1"], Field(description="Version of this format.")]
    title: Annotated[Title, Field(description="For people.")] = ""
    clips: Annotated[
        dict[Identifier, Clip], Field(min_length=1, max_length=64, description="The application's camera → recording.")
    ]
    parameters: Annotated[
        dict[Identifier, ParameterValue], Field(description="Values of the manifest's parameters in this test.")
    ] = Field(default_factory=dict)
    overrides: Annotated[
        dict[str, Any], Field(description="Place of the manifest → value in this test, as with `--set`.")
    ] = Field(default_factory=dict)
    tolerance_s: Annotated[Seconds, Field(le=3600, description="How far an alert may be from its time.")] = 0.5
    rules: Annotated[
        tuple[Identifier, ...] | None,
        Field(min_length=1, description="What the test is about; all where absent."),
    ] = None
    complete: Annotated[
        bool, Field(description="Whether `alerts` are all there may be; else others are left unjudged.")
    ] = True
    alerts: Annotated[tuple[ExpectedAlert, ...], Field(max_length=2000, description="What must come.")] = ()
    none: Annotated[tuple[QuietSpan, ...], Field(max_length=200, description="Where nothing may come.")] = ()
