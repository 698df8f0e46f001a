"""``panorama`` of a manifest: the code of an AWS Panorama application, run unchanged beside the cameras.

Names of ports and nodes are the project's own, so that its code finds them.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Final, Self

from pydantic import Field, StrictBool, field_validator, model_validator

from vedette.contracts.base import Contract, Identifier
from vedette.contracts.manifest.hooks import NetworkPeer, Peer, Port, peers_of

#: Folder of the application's code where it runs.
CODE_FOLDER: Final = "/panorama"
#: Interpreter that comes with an application, from its directory.
OWN_PYTHON: Final = "venv/bin/python"

#: A port of the code's interface.
PortName = Annotated[str, Field(pattern=r"^[$A-Za-z0-9_]{1,50}$")]
#: A node of the graph.
NodeName = Annotated[str, Field(pattern=r"^[$A-Za-z0-9_-]{1,128}$")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
Text = Annotated[str, Field(max_length=4096)]


class PortType(StrEnum):
    """Type of a parameter that the code reads from a port."""

    BOOLEAN = "boolean"
    FLOAT32 = "float32"
    INT32 = "int32"
    STRING = "string"


class PanoramaParameter(Contract):
    """What a parameter port gives: a parameter of the application, or always the same value."""

    type: PortType
    parameter: Annotated[Identifier | None, Field(description="Parameter of this manifest.")] = None
    value: Annotated[
        StrictBool | int | Annotated[float, Field(allow_inf_nan=False)] | Text | None,
        Field(description="The value, where it is no parameter."),
    ] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.parameter is None) == (self.value is None):
            raise ValueError("give `parameter` or `value`, one of them")
        return self


class PanoramaRoute(Contract):
    """A port on which the code listens, and where it is reached from outside."""

    port: Annotated[Port, Field(description="Where the code listens.")]
    host_port: Annotated[Port, Field(description="Where it is reached on this machine.")]
    address: Annotated[
        str, Field(max_length=45, description="Address of this machine on which it is reached; only itself as it is.")
    ] = "127.0.0.1"
    title: Annotated[str, Field(max_length=200)] = ""


class Panorama(Contract):
    """The code of a Panorama application: one business logic node, its ports and models."""

    code: Annotated[
        str, Field(min_length=1, max_length=200, description=f"Folder beside the manifest, seen as `{CODE_FOLDER}`.")
    ] = "code"
    entry: Annotated[
        tuple[Text, ...],
        Field(
            min_length=2,
            max_length=64,
            description="Command, file and arguments, such as `[python3, /panorama/app.py]`.",
        ),
    ]
    environment: Annotated[dict[VariableName, Text], Field(max_length=64)] = Field(default_factory=dict)
    python: Annotated[
        str, Field(pattern=r"^(3\.\d{1,2})?$", description="Version of Python that the code was written for.")
    ] = ""
    requirements: Annotated[
        str, Field(max_length=200, description="File beside the manifest with the packages that the code needs.")
    ] = ""
    inputs: Annotated[
        dict[PortName, tuple[Identifier, ...]],
        Field(max_length=64, description="Media port → cameras, in the order in which the code gets their pictures."),
    ] = Field(default_factory=dict)
    parameters: Annotated[
        dict[PortName, PanoramaParameter], Field(max_length=64, description="Parameter port → what it gives.")
    ] = Field(default_factory=dict)
    outputs: Annotated[
        tuple[Identifier, ...],
        Field(
            max_length=16,
            description="Media ports that the code puts pictures on. Rules, insights and hooks use them like "
            "pipelines: each rectangle is an object, the label next to it its name.",
        ),
    ] = ()
    models: Annotated[
        dict[NodeName, Identifier], Field(max_length=64, description="Model node → model of the family `tensors`.")
    ] = Field(default_factory=dict)
    fps: Annotated[
        float, Field(gt=0, le=60, description="Pictures a second of each camera, at most; the code may take fewer.")
    ] = 15.0
    routes: Annotated[
        tuple[PanoramaRoute, ...], Field(max_length=10, description="Ports that are reached from outside.")
    ] = ()
    network: Annotated[
        tuple[Peer, ...],
        Field(max_length=16, description="Hosts it may connect to, `host:port` each; none where absent."),
    ] = ()
    memory_mb: Annotated[int, Field(ge=64, le=65536, description="Memory it may use besides the interpreter's.")] = 2048
    disk_mb: Annotated[int, Field(ge=1, le=65536, description="Room in its storage and logs together.")] = 1024

    @field_validator("code", "requirements")
    @classmethod
    def _beside_the_manifest(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\\" in value or "\0" in value:
            raise ValueError(f"{value!r} is not beside the manifest; write a relative path without `..`")
        return value

    @model_validator(mode="after")
    def _ports_once(self) -> Self:
        both = sorted(set(self.inputs) & set(self.parameters))
        if both:
            raise ValueError(f"port {both[0]!r} is given as a media port and as a parameter port")
        for name in ("port", "host_port"):
            given = [getattr(route, name) for route in self.routes]
            if len(given) != len(set(given)):
                raise ValueError(f"two routes have the same {name}")
        return self

    @property
    def cameras(self) -> tuple[str, ...]:
        """The application's cameras whose pictures it sees, each once."""
        return tuple(dict.fromkeys(camera for cameras in self.inputs.values() for camera in cameras))

    def peers(self) -> tuple[NetworkPeer, ...]:
        """``network`` with every entry as fields."""
        return peers_of(self.network)
