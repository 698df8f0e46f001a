"""``hooks`` of a manifest: the application's own Python, for what rules cannot say."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Final

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator

from vedette.contracts.alert import Severity
from vedette.contracts.base import Contract, Identifier, Seconds

HTTPS_PORT: Final = 443
PEER_PATTERN: Final = r"^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):[0-9]{1,5}$"

Port = Annotated[int, Field(ge=1, le=65535)]


class NetworkPeer(Contract):
    """A host that a hook may connect to."""

    host: Annotated[str, Field(min_length=1, max_length=253, description="Name or address of the host.")]
    port: Annotated[Port, Field(description="TCP port.")] = HTTPS_PORT
    allow_private: Annotated[bool, Field(description="The host is on the site's own network or this machine.")] = False


def _with_a_port(text: str) -> str:
    port = int(text.rpartition(":")[2])
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is no port; ports are 1 to 65535")
    return text


PeerText = Annotated[
    str, AfterValidator(_with_a_port), Field(pattern=PEER_PATTERN, description="`host:port`, on the public network.")
]


def _form(value: object) -> str:
    return "text" if isinstance(value, str) else "fields"


#: An entry of ``network`` in either form; told apart by its type, so that a mistake is explained for one form only.
Peer = Annotated[
    Annotated[PeerText, Tag("text")] | Annotated[NetworkPeer, Tag("fields")],
    Discriminator(_form),
]


class Hook(Contract):
    """One Python file, run in a confined process of its own."""

    file: Annotated[str, Field(min_length=4, max_length=200, description="Python file beside the manifest.")]
    pipelines: Annotated[
        tuple[Identifier, ...] | None,
        Field(description="Pipelines whose track batches it gets; all of the application where absent."),
    ] = None
    cameras: Annotated[
        tuple[Identifier, ...],
        Field(description="Cameras whose pictures it may see; only where the file defines `on_frame`."),
    ] = ()
    frames_fps: Annotated[float, Field(gt=0, le=30, description="Pictures a second of each of these cameras.")] = 1.0
    network: Annotated[
        tuple[Peer, ...],
        Field(max_length=16, description="Hosts it may connect to, `host:port` each; none where absent."),
    ] = ()
    memory_mb: Annotated[int, Field(ge=16, le=8192, description="Memory it may use besides the interpreter's.")] = 256
    disk_mb: Annotated[int, Field(ge=0, le=8192, description="Room in its own data directory.")] = 64
    timeout_s: Annotated[Seconds, Field(gt=0, le=60, description="For one call; then the process is replaced.")] = 1.0
    severity: Annotated[Severity, Field(description="Of its alerts, where a call does not say otherwise.")] = (
        Severity.WARNING
    )
    actions: Annotated[
        tuple[Identifier, ...] | None, Field(description="Where its alerts go; all of the manifest where absent.")
    ] = None

    @field_validator("file")
    @classmethod
    def _beside_the_manifest(cls, value: str) -> str:
        if not is_beside(value):
            raise ValueError(f"{value!r} is no Python file beside the manifest; write hooks.py or folder/hooks.py")
        return value

    def peers(self) -> tuple[NetworkPeer, ...]:
        """``network`` with every entry as fields."""
        return peers_of(self.network)


def peers_of(network: tuple[str | NetworkPeer, ...]) -> tuple[NetworkPeer, ...]:
    """A manifest's ``network`` with every entry as fields."""
    return tuple(peer if isinstance(peer, NetworkPeer) else peer_of(peer) for peer in network)


def is_beside(file: str) -> bool:
    """Whether a path names a Python file below the manifest's directory."""
    path = PurePosixPath(file)
    return not (path.is_absolute() or ".." in path.parts or "\\" in file or "\0" in file or path.suffix != ".py")


def peer_of(text: str) -> NetworkPeer:
    """``host:port`` as fields.

    Raises:
        ValueError: it is not of that form, or the port is none.
    """
    host, _, port = text.rpartition(":")
    return NetworkPeer(host=host.strip("[]"), port=int(port))
