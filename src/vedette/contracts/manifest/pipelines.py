"""``pipelines`` of a manifest: which cameras go through which model, how often, and how objects are followed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vedette.contracts.base import Confidence, Contract, Identifier, Polygon, Seconds
from vedette.contracts.manifest.attributes import AttributeStage
from vedette.contracts.manifest.views import Motion, Tiles


class Tracker(Contract):
    """ByteTrack's parameters, in seconds rather than frames."""

    high_confidence: Annotated[Confidence, Field(description="A new track needs it.")] = 0.45
    low_confidence: Annotated[Confidence, Field(description="A known track is kept with it.")] = 0.1
    min_hits: Annotated[int, Field(ge=1, le=30, description="Pictures before a track counts.")] = 2
    lost_s: Annotated[Seconds, Field(le=60, description="How long an unseen object keeps its number.")] = 3.0
    match_iou: Annotated[Confidence, Field(description="Least overlap of a match.")] = 0.2
    class_agnostic: Annotated[bool, Field(description="Match boxes of different classes too.")] = False


class Pipeline(Contract):
    """Which cameras go through which model, how often."""

    model: Identifier
    cameras: Annotated[tuple[Identifier, ...], Field(min_length=1)]
    fps: Annotated[float, Field(gt=0, le=60, description="Pictures analysed a second.")] = 5.0
    labels: Annotated[tuple[str, ...] | None, Field(description="Classes kept; all where absent.")] = None
    stream: Annotated[
        Literal["sub", "main"],
        Field(description="Stream analysed; `sub` falls back to main where there is none."),
    ] = "sub"
    region: Annotated[
        Polygon | None,
        Field(description="Only this part of the picture is analysed; objects with their centre outside do not count."),
    ] = None
    masks: Annotated[
        tuple[Polygon, ...],
        Field(max_length=16, description="Parts the model never sees; objects with their centre in one do not count."),
    ] = ()
    tiles: Annotated[Tiles | None, Field(description="Look closely, part by part; not at all where absent.")] = None
    motion: Annotated[
        Motion | None,
        Field(description="Spare pictures in which nothing moves; every picture is analysed where absent."),
    ] = None
    attributes: Annotated[
        dict[Identifier, AttributeStage],
        Field(max_length=8, description="What is found out about each object besides its class."),
    ] = Field(default_factory=dict)
    tracker: Tracker = Tracker()
