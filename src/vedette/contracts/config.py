"""Configuration of the components, as read over IPC.

Nucleus lite turns every YAML scalar into a string, so every field accepts its value as text too: pydantic's lax
mode does the parsing, and ``cameras`` may come as JSON text.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, field_validator

from vedette.contracts.base import Contract, Identifier, Seconds
from vedette.contracts.camera import CameraConfig
from vedette.contracts.comparison import ComparisonTask
from vedette.contracts.manifest import ParameterValue
from vedette.contracts.plan import AttachedApplication
from vedette.contracts.privacy import Privacy


class ComponentConfig(Contract):
    """What all components are told."""

    stateDirectory: Annotated[  # noqa: N815 - recipes spell keys as Greengrass does
        str, Field(min_length=1, description="Journal, outbox, sockets; shared by the components.")
    ] = "/var/lib/vedette"
    logLevel: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"  # noqa: N815


class CameraIngestConfig(ComponentConfig):
    """Configuration of ``vedette.CameraIngest``."""

    cameras: Annotated[tuple[CameraConfig, ...], Field(description="The device's cameras.")] = ()
    cameraNetworks: Annotated[  # noqa: N815
        tuple[str, ...], Field(description="CIDR ranges cameras may be in; any but link-local where empty.")
    ] = ()

    @field_validator("cameras", "cameraNetworks", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return json.loads(value) if value.strip() else ()
        if isinstance(value, dict):  # a Greengrass merge cannot add to a list, so a map by name is allowed as well
            return [{"name": name, **entry} for name, entry in value.items() if entry is not None]
        return value


class InferenceConfig(ComponentConfig):
    """Configuration of ``vedette.Inference``."""

    modelDirectory: Annotated[  # noqa: N815
        str, Field(description="Model store of this device, where `vedette model add` puts files.")
    ] = ""
    threads: Annotated[int, Field(ge=0, description="Runs at the same time; 0 is the number of cores.")] = 0
    publishTracks: bool = False  # noqa: N815
    dlrPython: Annotated[  # noqa: N815
        str, Field(description="Python that has the DLR runtime, for models compiled by SageMaker Neo.")
    ] = "/usr/bin/python3"
    gpu: Annotated[int, Field(ge=0, le=63, description="Number of the graphics processor that runs the models.")] = 0
    gpuMemoryMb: Annotated[  # noqa: N815
        int,
        Field(ge=0, le=1 << 20, description="Memory the CUDA provider's arena of each model may take; 0 is no limit."),
    ] = 0
    engineWorkspaceMb: Annotated[  # noqa: N815
        int,
        Field(ge=0, le=1 << 20, description="Memory TensorRT may try out while it builds; 0 leaves it to TensorRT."),
    ] = 0


class AlertingConfig(ComponentConfig):
    """Configuration of ``vedette.Alerting``."""

    journalMaxAgeS: Seconds = 86400.0  # noqa: N815
    journalMaxBytes: Annotated[int, Field(ge=1 << 20)] = 512 << 20  # noqa: N815
    outboxMaxBytes: Annotated[int, Field(ge=1 << 20)] = 2 << 30  # noqa: N815
    publishAlerts: bool = False  # noqa: N815
    privacyCeiling: Annotated[  # noqa: N815
        Privacy, Field(description="What evidence of any application may show at most.")
    ] = Privacy.BLUR
    evidenceMaxBytes: Annotated[  # noqa: N815
        int, Field(ge=1 << 20, description="Pictures and video of alerts kept; the least severe and oldest go first.")
    ] = 2 << 30
    faceModel: Annotated[  # noqa: N815
        str, Field(description="Face model in the model store, such as `ultraface_rfb_320`; none where empty.")
    ] = ""
    personModel: Annotated[  # noqa: N815
        str, Field(description="Model in the store that finds people, for cameras nobody watches for people.")
    ] = ""
    modelDirectory: Annotated[  # noqa: N815
        str, Field(description="Model store of this device; in the state directory where empty.")
    ] = ""


class NetworkCeiling(StrEnum):
    """Which hooks may have a network at all, whatever their manifest asks for."""

    NEVER = "never"
    WITHOUT_PICTURES = "withoutPictures"
    ALWAYS = "always"


class AppHostConfig(ComponentConfig):
    """Configuration of ``vedette.AppHost``."""

    trustCode: Annotated[  # noqa: N815
        bool, Field(description="Run the code of applications also where this kernel cannot confine it.")
    ] = False
    allowNetwork: Annotated[  # noqa: N815
        NetworkCeiling, Field(description="Which hooks get the network their manifest asks for.")
    ] = NetworkCeiling.WITHOUT_PICTURES
    alertsPerMinute: Annotated[  # noqa: N815
        int, Field(ge=1, le=6000, description="Alerts of one hook in the long run; twice as many at once.")
    ] = 30
    allowView: Annotated[  # noqa: N815
        bool, Field(description="Let people on this machine look at the outputs of Panorama code (`vedette view`).")
    ] = True
    modelDirectory: Annotated[  # noqa: N815
        str, Field(description="Model store for Panorama code; in the state directory where empty.")
    ] = ""
    panoramaPython: Annotated[  # noqa: N815
        dict[Identifier, str],
        Field(
            description="Application with Panorama code → interpreter that runs it, where it brings none of its own."
        ),
    ] = Field(default_factory=dict)

    @field_validator("panoramaPython", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return (json.loads(value) if value.strip() else {}) if isinstance(value, str) else value


class ApplicationConfig(ComponentConfig):
    """Configuration of an application's component ``vedette.app.<name>``."""

    bindings: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    parameters: Annotated[
        dict[Identifier, ParameterValue | None],
        Field(description="Parameter of the manifest → its value here, also as text; null as if not given."),
    ] = Field(default_factory=dict)

    @field_validator("parameters", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return (json.loads(value) if value.strip() else {}) if isinstance(value, str) else value

    @field_validator("bindings", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        """Accept ``gate: cam-12`` for ``gate: [cam-12]``, and JSON text."""
        if isinstance(value, str):
            value = json.loads(value) if value.strip() else {}
        if isinstance(value, dict):
            return {k: (v.split(",") if isinstance(v, str) else v) for k, v in value.items()}
        return value


class CandidateConfig(ApplicationConfig):
    """Configuration of a candidate's component ``vedette.candidate.<name>``."""

    task: Annotated[ComparisonTask, Field(description="What to compare, and for which rollout; also as JSON text.")]

    @field_validator("task", mode="before")
    @classmethod
    def _task_from_text(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) and value.strip() else value


class LocalValue(Contract):
    """A parameter's value that was set on the device itself."""

    value: ParameterValue
    by: Annotated[str, Field(description="User of the device who set it.")] = ""
    at_wall_s: Annotated[float, Field(description="When, Unix time.")] = 0.0


class LocalValues(Contract):
    """What was set on the device for an application; it goes when another version or other values are deployed."""

    application: Identifier
    version: Annotated[str, Field(description="Version of the application at that time.")]
    deployed: Annotated[
        dict[Identifier, ParameterValue | None], Field(description="Values of the deployment at that time.")
    ] = Field(default_factory=dict)
    values: Annotated[dict[Identifier, LocalValue], Field(description="Parameter → value.")]


class Attachments(Contract):
    """All applications of a device, as kept in ``<state>/attachments.json``."""

    applications: tuple[AttachedApplication, ...] = ()
    candidates: Annotated[
        tuple[AttachedApplication, ...], Field(description="Apart, so that a release that knows none reads the others.")
    ] = ()
    local: Annotated[
        tuple[LocalValues, ...], Field(description="Also of applications that are not attached at the moment.")
    ] = ()


class DeviceAgentConfig(ComponentConfig):
    """Configuration of ``vedette.DeviceAgent``."""

    helperDirectory: Annotated[  # noqa: N815
        str, Field(min_length=1, description="Where the helper that runs as root leaves its answers.")
    ] = "/var/lib/vedette-helper"
    bootIdFile: Annotated[  # noqa: N815
        str, Field(min_length=1, description="Tells one boot of the machine from another.")
    ] = "/proc/sys/kernel/random/boot_id"
