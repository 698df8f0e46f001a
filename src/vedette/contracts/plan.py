"""What a device has to do: the result of all attached applications and all of its cameras.

Written to ``<state>/plan.json`` by the owner of the state directory, read by Inference and Alerting. Holds no
camera address and no credential.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vedette.contracts.base import Contract, Identifier, Polygon
from vedette.contracts.manifest import (
    Action,
    AttributeStage,
    GroundPlane,
    Insight,
    Manifest,
    Model,
    Motion,
    ParameterValue,
    Rule,
    Tiles,
    Tracker,
)


class AttachedApplication(Contract):
    """An application that is deployed here, and what it is bound to."""

    manifest: Manifest
    directory: Annotated[str, Field(description="Where the manifest lies; relative model files start here.")]
    bindings: Annotated[
        dict[Identifier, tuple[Identifier, ...]],
        Field(description="The application's camera → the device's cameras (same name where absent)."),
    ] = Field(default_factory=dict)
    parameters: Annotated[
        dict[Identifier, ParameterValue | None],
        Field(description="Values the deployment gives to parameters of the manifest; null as if not given."),
    ] = Field(default_factory=dict)


class StreamPlan(Contract):
    """What a camera has to deliver: decoded once, whoever needs it."""

    camera: Identifier
    fps: Annotated[float, Field(gt=0)]
    stream: str = "sub"


class AttributePlan(Contract):
    """One attribute of a pipeline, with the model it needs."""

    name: Identifier
    settings: AttributeStage
    file: Annotated[
        str, Field(description="Absolute path, or a name in the model store; empty where it needs none.")
    ] = ""
    model: Model | None = None


class PipelinePlan(Contract):
    """One application's pipeline on one device camera."""

    application: Identifier
    pipeline: Identifier
    camera: Annotated[Identifier, Field(description="The device's camera.")]
    app_camera: Annotated[Identifier, Field(description="The application's own name of it.")]
    fps: float
    labels: tuple[str, ...] | None = None
    region: Polygon | None = None
    masks: tuple[Polygon, ...] = ()
    tiles: Tiles | None = None
    motion: Motion | None = None
    attributes: tuple[AttributePlan, ...] = ()
    tracker: Tracker = Tracker()

    @property
    def key(self) -> str:
        """``<application>/<pipeline>``, the name in the journal."""
        return f"{self.application}/{self.pipeline}"


class ModelPlan(Contract):
    """One session, and every pipeline it serves."""

    key: Annotated[str, Field(description="Names the session: model files and settings that agree share one.")]
    file: Annotated[str, Field(description="Absolute path, or a name in the model store.")]
    model: Model
    pipelines: tuple[PipelinePlan, ...]


class RulePlan(Contract):
    """One rule on one camera."""

    application: Identifier
    name: Identifier
    pipeline: Annotated[str, Field(description="``<application>/<pipeline>``.")]
    camera: Annotated[Identifier, Field(description="The device's camera.")]
    app_camera: Identifier
    rule: Rule
    ground: Annotated[GroundPlane | None, Field(description="The ground as the camera sees it.")] = None
    actions: Annotated[tuple[str, ...], Field(description="Keys of ``Plan.actions``.")]
    fps: Annotated[float, Field(gt=0, description="Pictures analysed a second; says what is a gap.")] = 5.0


class InsightPlan(Contract):
    """One insight on one camera."""

    application: Identifier
    name: Identifier
    pipeline: Annotated[str, Field(description="``<application>/<pipeline>``.")]
    camera: Annotated[Identifier, Field(description="The device's camera.")]
    app_camera: Identifier
    insight: Insight
    interval_s: Annotated[int, Field(ge=1, description="Length of the intervals, aligned to the wall clock.")]
    fps: Annotated[float, Field(gt=0, description="Pictures analysed a second; says what is a gap.")] = 5.0
    to_cloud: bool = True
    to_file: Annotated[str | None, Field(description="File that gets every report too.")] = None


class Plan(Contract):
    """Everything a device has to do."""

    revision: Annotated[int, Field(ge=0)] = 0
    streams: tuple[StreamPlan, ...] = ()
    models: tuple[ModelPlan, ...] = ()
    rules: tuple[RulePlan, ...] = ()
    insights: tuple[InsightPlan, ...] = ()
    actions: Annotated[dict[str, Action], Field(description="``<application>/<action>`` → what to do.")] = Field(
        default_factory=dict
    )
    problems: Annotated[tuple[str, ...], Field(description="For people: bindings without a camera and the like.")] = ()
