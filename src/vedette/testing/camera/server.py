"""The server behind the cameras: ports, addresses, UDP sockets, preparation of faults."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from vedette.contracts.errors import CameraError, UsageError
from vedette.testing.camera.camera import Camera
from vedette.testing.camera.connection import Connection
from vedette.testing.camera.digest import Credentials, DigestAuthenticator
from vedette.testing.camera.encode import black_picture, decode_key, encode_still
from vedette.testing.camera.faults import AnyFault, FaultRecord, Switch
from vedette.testing.camera.load import load_media
from vedette.testing.camera.media import MAX_MEDIA_BYTES, Media
from vedette.testing.camera.player import LoopStart
from vedette.testing.camera.sdp import TRACK

CLIENT_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""Backlog of one client after which it is disconnected (TCP) or loses packets (UDP)."""

_BACKLOG: Final = 128
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedCamera:
    """A camera's name, its file in memory, and how it starts."""

    name: str
    media: Media
    rtp_start: int | None = None
    instant_start: bool = True


class Listener:
    """One TCP port.

    A bound socket that never listens keeps the port while the camera is away: connections are refused as from a
    machine whose server is down, and nobody else can take the port meanwhile.

    Args:
        host: address to bind.
        port: 0 for any free one.
    """

    def __init__(self, host: str, port: int) -> None:
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._host = host
        self._reservation = self._bind(port)
        self.port: int = self._reservation.getsockname()[1]
        self.cameras: list[Camera] = []
        self._server: asyncio.Server | None = None

    async def update(self, factory: Callable[[], Connection]) -> None:
        """Open or close the port, as its cameras are."""
        away = bool(self.cameras) and all(camera.away for camera in self.cameras)
        if away and self._server is not None:
            self._server.close()
            self._server = None
        elif not away and self._server is None:
            bound = self._bind(self.port)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(factory, sock=bound, backlog=_BACKLOG)

    def close(self) -> None:
        """Give the port back."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._reservation.close()

    def _bind(self, port: int) -> socket.socket:
        bound = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self._host, port))
        except OSError as error:
            bound.close()
            raise UsageError(
                f"the camera simulator cannot listen on {self._host}:{port} ({error.strerror}).",
                hint="Choose another port, or 0 for any free one.",
            ) from None
        return bound


class CameraServer:
    """All cameras of one simulator, on the running event loop.

    Args:
        cameras: what to serve; names are unique.
        host: address to bind.
        port: TCP port, 0 for any free one; with ``separate_ports`` the first of consecutive ones.
        credentials: asked of every client by Digest authentication; None for open cameras.
        separate_ports: a port for each camera, so that one of them can be away as a whole.
        nonce_lifetime_s: of Digest challenges.
        client_limit_bytes: backlog allowed to one client.
        on_loop: called at each loop start of any camera.
        on_change: called when clients or faults changed.
    """

    def __init__(
        self,
        cameras: Sequence[LoadedCamera],
        *,
        host: str,
        port: int,
        credentials: Credentials | None = None,
        separate_ports: bool = False,
        nonce_lifetime_s: float = 300.0,
        client_limit_bytes: int = CLIENT_LIMIT_BYTES,
        on_loop: Callable[[LoopStart], None] = lambda _start: None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.credentials = credentials
        self.authenticator = DigestAuthenticator(nonce_lifetime_s=nonce_lifetime_s)
        self.client_limit_bytes = client_limit_bytes
        self.host = host
        self.cameras: dict[str, Camera] = {}
        self._aliases: dict[str, Camera] = {}
        self._listeners: list[Listener] = []
        self._port_of: dict[str, int] = {}
        self._udp: list[asyncio.DatagramTransport] = []
        for number, loaded in enumerate(cameras, 1):
            camera = Camera(
                loaded.name,
                loaded.media,
                rtp_start=loaded.rtp_start,
                instant_start=loaded.instant_start,
                on_loop=on_loop,
                on_change=on_change,
                gate=self._update_listeners,
            )
            self.cameras[loaded.name] = camera
            self._aliases.setdefault(f"cam{number}", camera)
            if separate_ports or not self._listeners:
                wanted = port + len(self._listeners) if port else 0
                self._listeners.append(Listener(host, wanted))
            self._listeners[-1].cameras.append(camera)
            self._port_of[loaded.name] = self._listeners[-1].port

    async def start(self) -> None:
        """Open the ports and let the cameras play."""
        await self._open_udp()
        for camera in self.cameras.values():
            camera.start()
        await self._update_listeners()

    def stop(self) -> None:
        """End every connection and close the ports."""
        for listener in self._listeners:
            listener.close()
        for camera in self.cameras.values():
            camera.stop()
        for transport in self._udp:
            transport.close()

    def camera(self, name: str) -> Camera:
        """Return a camera by name or alias.

        Raises:
            UsageError: V701 where there is none of this name.
        """
        found = self.cameras.get(name) or self._aliases.get(name)
        if found is None:
            raise UsageError(f"no camera {name!r} here; there are {', '.join(self.cameras)}.")
        return found

    def url(self, name: str) -> str:
        """Return the address of a camera, without credentials."""
        camera = self.camera(name)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp://{host}:{self._port_of[camera.name]}/{quote(camera.name)}"

    def find(self, path: str) -> Camera | None:
        """Return the camera served under a request's path (with or without track), None for no such camera."""
        name = path.removesuffix(f"/{TRACK}").strip("/")
        return self.cameras.get(name) or self._aliases.get(name)

    def udp(self) -> tuple[asyncio.DatagramTransport, asyncio.DatagramTransport]:
        """Return the sockets that send RTP and RTCP."""
        return self._udp[0], self._udp[1]

    def udp_ports(self) -> tuple[int, int]:
        """Return the ports of these sockets."""
        first, second = (t.get_extra_info("sockname")[1] for t in self._udp)
        return first, second

    async def inject(self, camera: Camera, fault: AnyFault) -> FaultRecord:
        """Prepare a fault (files and encoders off the event loop), then let it act.

        Raises:
            CameraError: where the file of a ``switch`` is not usable.
        """
        loop = asyncio.get_running_loop()
        media: Media | None = None
        if isinstance(fault, Switch):
            media = await loop.run_in_executor(None, load_media, Path(fault.path))
        elif fault.kind == "frozen":
            media = await loop.run_in_executor(None, _frozen, camera)
        elif fault.kind == "black":
            media = await loop.run_in_executor(None, _black, camera.media)
        return await camera.inject(fault, media)

    async def _update_listeners(self) -> None:
        for listener in self._listeners:
            sole = listener.cameras[0] if len(listener.cameras) == 1 else None
            await listener.update(lambda sole=sole: Connection(self, sole))  # type: ignore[misc]

    async def _open_udp(self) -> None:
        """Bind an even port for RTP and the odd one after it for RTCP (RFC 3550 section 11)."""
        loop = asyncio.get_running_loop()
        for _ in range(50):
            first, _protocol = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(self.host, 0))
            port = first.get_extra_info("sockname")[1]
            try:
                if port % 2 or port > 65534:
                    raise OSError("an odd port")
                second, _protocol = await loop.create_datagram_endpoint(
                    asyncio.DatagramProtocol, local_addr=(self.host, port + 1)
                )
            except OSError:
                first.close()
                continue
            self._udp = [first, second]
            return
        raise CameraError(f"no two neighbouring UDP ports are free on {self.host}.", code="V204")


def _frozen(camera: Camera) -> Media:
    scene = camera.media
    unit = camera.player.latest_key_unit()
    image = decode_key(scene, unit)
    return encode_still(f"{scene.name} (frozen)", scene.codec, image, rate=scene.frame_rate, max_bytes=MAX_MEDIA_BYTES)


def _black(scene: Media) -> Media:
    image = black_picture(scene.width, scene.height)
    return encode_still(f"{scene.name} (black)", scene.codec, image, rate=scene.frame_rate, max_bytes=MAX_MEDIA_BYTES)
