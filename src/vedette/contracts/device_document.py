"""The named shadow ``vedette`` of a device: what of it may change without a deployment, and what it says of that.

Nothing under ``desired`` is ever under the same key of ``reported``: so AWS IoT's ``update/delta`` always carries all
of ``desired`` (it holds what differs), and one message is enough to know everything.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, Field, StringConstraints, model_serializer

from vedette.contracts.base import CameraName, Contract, Identifier
from vedette.contracts.camera import CameraSettings
from vedette.contracts.manifest import ParameterValue

#: Name of the shadow.
SHADOW: Final = "vedette"
#: AWS IoT keeps 8 KB of a shadow: ``desired`` and ``reported`` together, without what AWS adds (AWS IoT Core
#: developer guide, "Diagnosing problems with shadows").
MAX_SHADOW_BYTES: Final = 8_192
#: What a device reports at most; the rest is for ``desired``.
MAX_REPORTED_BYTES: Final = 1_536
MAX_DESIRED_BYTES: Final = MAX_SHADOW_BYTES - MAX_REPORTED_BYTES
#: Longest message that nucleus lite hears from AWS IoT: the buffer of its MQTT client holds 5,000 bytes, head and
#: topic included (aws-greengrass-lite, modules/iotcored, IOTCORED_NETWORK_BUFFER_SIZE).
MAX_LITE_BYTES: Final = 4_800
#: Secrets of cameras begin so: what recipes and the devices' role allow.
CAMERA_SECRETS: Final = "vedette/camera/"

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
#: A component, or ``*`` for all.
Component = Annotated[str, StringConstraints(pattern=r"^(\*|vedette\.[A-Za-z0-9._-]{1,64})$")]
_Reason = Annotated[str, Field(max_length=160)]


def camera_secret(thing: str, camera: str) -> str:
    """Name of the secret of one device's camera."""
    return f"{CAMERA_SECRETS}{thing}/{camera}"


class DiagnosticsRequest(Contract):
    """Somebody wants to know how the device is."""

    id: Identifier
    asked_at: AwareDatetime
    bucket: Annotated[str, Field(max_length=63, description="Where it goes; kept on the device where empty.")] = ""
    region: Annotated[str, Field(max_length=32)] = ""


class DeviceDocument(Contract):
    """``desired``: what is of one device and needs no deployment."""

    revision: Annotated[int, Field(ge=0, description="Counts the changes made by people.")] = 0
    cameras: Annotated[
        dict[CameraName, CameraSettings],
        Field(description="Camera → how to reach it; credentials in `secret` only."),
    ] = Field(default_factory=dict)
    paused: Annotated[
        dict[Identifier, Annotated[str, Field(max_length=64)]], Field(description="Camera → who paused it.")
    ] = Field(default_factory=dict)
    parameters: Annotated[
        dict[Identifier, dict[Identifier, ParameterValue]], Field(description="Application → parameter → value.")
    ] = Field(default_factory=dict)
    log_level: Annotated[dict[Component, LogLevel], Field(description="Component, or `*` for all → level.")] = Field(
        default_factory=dict
    )
    diagnostics: DiagnosticsRequest | None = None

    @model_serializer
    def _without_defaults(self) -> dict[str, Any]:
        """Short: 8 KB have to hold it."""
        found: dict[str, Any] = {"revision": self.revision}
        if self.cameras:
            found["cameras"] = {
                name: camera.model_dump(mode="json", exclude_defaults=True) for name, camera in self.cameras.items()
            }
        for name in ("paused", "log_level"):
            if value := getattr(self, name):
                found[name] = dict(value)
        parameters = {
            app: {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
            for app, values in self.parameters.items()
            if values
        }
        if parameters:
            found["parameters"] = parameters
        if self.diagnostics is not None:
            found["diagnostics"] = self.diagnostics.model_dump(mode="json", exclude_defaults=True)
        return found


class DiagnosticsReport(Contract):
    """Where a bundle is that was asked for."""

    id: Identifier
    state: Literal["UPLOADED", "KEPT", "FAILED"]
    where: Annotated[str, Field(max_length=300, description="s3://bucket/key, or a path on the device.")] = ""
    reason: _Reason = ""


class Refusal(Contract):
    """An entry that is not in force as it stands; its last good value is, where there was one."""

    entry: Annotated[str, Field(max_length=140, description="`cameras/hall`, `parameters/shop/patience_s`, …")]
    reason: _Reason


class DeviceReport(Contract):
    """What a device says of its document. What was asked for and is not refused is applied."""

    version: Annotated[int, Field(ge=0, description="Of the shadow that this is about.")]
    revision: Annotated[int, Field(ge=0, description="Of the document that this is about.")] = 0
    release: Annotated[str, Field(max_length=32, description="Of the components.")] = ""
    refused: tuple[Refusal, ...] = ()
    refused_more: Annotated[int, Field(ge=0, description="Refused entries that did not fit.")] = 0
    paused: Annotated[tuple[Identifier, ...], Field(description="Cameras that are paused.")] = ()
    diagnostics: DiagnosticsReport | None = None


class DeviceMemory(Contract):
    """What a device keeps on its disk, so that it comes back the same without the account."""

    version: Annotated[int, Field(ge=0, description="Of the shadow, as far as it was heard.")] = 0
    exists: Annotated[bool, Field(description="Whether there is a shadow.")] = False
    good: Annotated[DeviceDocument, Field(description="Every entry's last good value.")] = DeviceDocument()
    raw: Annotated[dict[str, Any], Field(description="`desired` as it came: what is refused now may fit later.")] = (
        Field(default_factory=dict)
    )
    applied: Annotated[
        dict[Identifier, dict[Identifier, ParameterValue]], Field(description="Parameters as they were set last.")
    ] = Field(default_factory=dict)
    diagnostics: Annotated[DiagnosticsReport | None, Field(description="The latest that was answered.")] = None
