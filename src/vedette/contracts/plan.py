"""What a device has to do: the result of all attached applications and all of its cameras.

Written to ``<state>/plan.json`` by the owner of the state directory, read by Inference and Alerting. Holds no
camera address and no credential.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from vedette.contracts.alert import Severity
from vedette.contracts.base import Contract, Identifier, Polygon
from vedette.contracts.manifest import (
    Action,
    AttributeStage,
    Evidence,
    GroundPlane,
    Insight,
    Manifest,
    Model,
    Motion,
    NetworkPeer,
    Panorama,
    ParameterValue,
    Rule,
    Tiles,
    Tracker,
)
from vedette.contracts.privacy import Privacy

#: Stands before the name of a candidate's pipeline; no application can be called so.
CANDIDATE: Final = "candidate:"


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
    code: Annotated[
        dict[str, str],
        Field(
            description="Python files of an application with hooks, and every file of Panorama code, as they were "
            "attached: path → SHA-256."
        ),
    ] = Field(default_factory=dict)
    python: Annotated[
        str, Field(description="Interpreter that was installed for Panorama code; empty where it came with none.")
    ] = ""


class StreamPlan(Contract):
    """What a camera has to deliver: decoded once, whoever needs it."""

    camera: Identifier
    fps: Annotated[float, Field(gt=0)]
    stream: str = "sub"
    pre_roll_s: Annotated[float, Field(ge=0, description="Seconds of packets kept for evidence.")] = 0.0
    rest: Annotated[
        Motion | None,
        Field(description="When decoding may rest because nothing moves; none where somebody needs every picture."),
    ] = None


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
    candidate: Annotated[bool, Field(description="Of the version that is only compared with the running one.")] = False
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
        """The name in the journal: ``<application>/<pipeline>``, after ``candidate:`` where it is one's."""
        return f"{CANDIDATE if self.candidate else ''}{self.application}/{self.pipeline}"


class ModelPlan(Contract):
    """One session, and every pipeline it serves."""

    key: Annotated[str, Field(description="Names the session: model files and settings that agree share one.")]
    file: Annotated[str, Field(description="Absolute path, or a name in the model store.")]
    model: Model
    background: Annotated[
        bool, Field(description="Serves candidates only: gives way to every other process of the device.")
    ] = False
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


class HookCamera(Contract):
    """One of the application's cameras and the device's camera it is bound to."""

    app_camera: Annotated[Identifier, Field(description="The application's own name.")]
    camera: Annotated[Identifier, Field(description="The device's name.")]


class HookRoute(HookCamera):
    """Track batches that a hook gets."""

    pipeline: Annotated[str, Field(description="``<application>/<pipeline>``.")]


class HookPlan(Contract):
    """One hook of one application: what it gets, what it may do, where its code lies."""

    application: Identifier
    name: Identifier
    directory: Annotated[str, Field(description="The application's directory; all of it can be read by the code.")]
    file: Annotated[str, Field(description="The Python file, from the directory.")]
    code: Annotated[dict[str, str], Field(description="Python files below the directory: path → SHA-256.")]
    cameras: Annotated[tuple[HookCamera, ...], Field(description="All cameras of the application.")] = ()
    routes: Annotated[tuple[HookRoute, ...], Field(description="Track batches it gets.")] = ()
    pictures: Annotated[tuple[HookCamera, ...], Field(description="Cameras whose pictures it may see.")] = ()
    frames_fps: Annotated[float, Field(gt=0)] = 1.0
    network: tuple[NetworkPeer, ...] = ()
    memory_mb: int = 256
    disk_mb: int = 64
    timeout_s: float = 1.0
    severity: Severity = Severity.WARNING
    actions: Annotated[tuple[str, ...], Field(description="Keys of ``Plan.actions``.")] = ()
    parameters: Annotated[
        dict[Identifier, ParameterValue], Field(description="The application's parameters as they are now.")
    ] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """``<application>/<hook>``."""
        return f"{self.application}/{self.name}"


class PanoramaPlan(Contract):
    """The Panorama code of one application: what it gets, where it lies."""

    application: Identifier
    directory: Annotated[str, Field(description="Where the manifest lies; `settings.code` starts here.")]
    code: Annotated[dict[str, str], Field(description="Every file of the code as it was attached: path → SHA-256.")]
    settings: Panorama
    inputs: Annotated[
        dict[str, tuple[HookCamera, ...]],
        Field(description="Media port → the device's cameras, in the order in which the code gets their pictures."),
    ] = Field(default_factory=dict)
    values: Annotated[
        dict[str, bool | int | float | str], Field(description="Parameter port → the value as it is now.")
    ] = Field(default_factory=dict)
    models: Annotated[
        dict[str, tuple[str, Model]],
        Field(description="Model node → absolute path or name in the model store, and what the manifest says of it."),
    ] = Field(default_factory=dict)
    python: Annotated[
        str, Field(description="Interpreter that was installed for Panorama code; empty where it came with none.")
    ] = ""
    viewable: Annotated[bool, Field(description="Whether its outputs may be looked at on this machine.")] = True

    @property
    def pipelines(self) -> dict[str, str]:
        """Output port → the pipeline of what is drawn on it, ``<application>/<output port>``."""
        return {output: f"{self.application}/{output}" for output in self.settings.outputs}

    @property
    def app_cameras(self) -> dict[str, str]:
        """The device's camera → the application's name of it; the first where ports know it by several."""
        names: dict[str, str] = {}
        for cameras in self.inputs.values():
            for one in cameras:
                names.setdefault(one.camera, one.app_camera)
        return names


class EvidencePlan(Contract):
    """What one application wants kept of its alerts."""

    application: Identifier
    evidence: Evidence
    privacy: Privacy = Privacy.BLUR


class Plan(Contract):
    """Everything a device has to do."""

    revision: Annotated[int, Field(ge=0)] = 0
    streams: tuple[StreamPlan, ...] = ()
    models: tuple[ModelPlan, ...] = ()
    rules: tuple[RulePlan, ...] = ()
    insights: tuple[InsightPlan, ...] = ()
    hooks: tuple[HookPlan, ...] = ()
    panorama: tuple[PanoramaPlan, ...] = ()
    evidence: tuple[EvidencePlan, ...] = ()
    actions: Annotated[dict[str, Action], Field(description="``<application>/<action>`` → what to do.")] = Field(
        default_factory=dict
    )
    problems: Annotated[tuple[str, ...], Field(description="For people: bindings without a camera and the like.")] = ()
