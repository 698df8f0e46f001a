"""One RTSP connection: requests in, answers and interleaved media out."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import secrets
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Final, Protocol, cast

from vedette.testing.camera import sdp
from vedette.testing.camera.camera import Camera
from vedette.testing.camera.clients import Client, TcpClient, UdpClient
from vedette.testing.camera.digest import Credentials, DigestAuthenticator, Verdict
from vedette.testing.camera.faults import AnyFault, Drip, Garbage, ParameterSets, Redirect
from vedette.testing.camera.messages import ProtocolError, Request, RequestReader, response

SESSION_TIMEOUT_S: Final = 60
_SEND_BUFFER_BYTES: Final = 256 * 1024
_SPEW_BYTES: Final = 64 * 1024
_METHODS: Final = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
_PAIR: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?$")
_log = logging.getLogger(__name__)


class Host(Protocol):
    """What a connection needs from the server."""

    credentials: Credentials | None
    authenticator: DigestAuthenticator
    client_limit_bytes: int

    def find(self, path: str) -> Camera | None:
        """Return the camera served under ``path``."""

    def udp(self) -> tuple[asyncio.DatagramTransport, asyncio.DatagramTransport]:
        """Return the sockets for RTP and RTCP."""

    def udp_ports(self) -> tuple[int, int]:
        """Return their ports."""


class Connection(asyncio.Protocol):
    """Speaks RTSP with one client.

    Args:
        host: the server.
        sole: the only camera of this port, which misbehaves before the first request; None where several share it.
    """

    def __init__(self, host: Host, sole: Camera | None) -> None:
        self._host = host
        self._camera = sole
        self._reader = RequestReader()
        self._held: Request | None = None
        self._client: Client | None = None
        self._session = ""
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._peer = ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection; a port with one camera may misbehave at once."""
        self._transport = cast(asyncio.Transport, transport)
        self._peer = transport.get_extra_info("peername")[:2]
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        if self._camera is not None:
            self._camera.peers.add(self)
            if self._camera.away:
                self.drop("rst")
            else:
                self._spew_if_asked(self._camera, first_request=None)

    def data_received(self, data: bytes) -> None:
        """Collect bytes and answer whole requests."""
        self._reader.feed(data)
        self._work()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 asyncio's signature
        """Forget everything about this connection."""
        self._forget_client()
        if self._camera is not None:
            self._camera.peers.discard(self)
        if self._task is not None:
            self._task.cancel()
        self._transport = None

    def drop(self, how: str) -> None:
        """End the connection with a reset (``rst``) or in order (``fin``)."""
        if self._transport is None:
            return
        if how == "rst":
            raw: socket.socket = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._forget_client()
        self._transport.abort()

    def wake(self) -> None:
        """Read on after a deaf time."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._work()

    def _work(self) -> None:
        while self._transport is not None and not self._transport.is_closing() and self._task is None:
            if self._camera is not None and self._camera.deaf:
                self._transport.pause_reading()
                return
            try:
                request = self._held or self._reader.next()
            except ProtocolError as error:
                _log.debug("%s: %s", self._peer[0], error)
                self._send(response(400, "0"))
                self._transport.close()
                return
            if request is None:
                return
            self._held = None
            camera = self._host.find(request.path) or (self._camera if self._client is not None else None)
            if camera is not self._camera and camera is not None:
                self._join(camera)
            if camera is not None and camera.deaf:
                self._held = request
                continue
            self._answer(request, camera)

    def _join(self, camera: Camera) -> None:
        if self._camera is not None:
            self._camera.peers.discard(self)
        self._camera = camera
        camera.peers.add(self)

    def _answer(self, request: Request, camera: Camera | None) -> None:
        cseq = request.headers.get("cseq", "0")
        if request.version != "RTSP/1.0":
            self._send(response(505, cseq))
            return
        if camera is None:
            status = 200 if request.method == "OPTIONS" and request.path in ("", "*") else 404
            self._send(response(status, cseq, {"Public": _METHODS} if status == 200 else None))
            return
        if camera.away:
            self.drop("rst")
            return
        if self._spew_if_asked(camera, first_request=request) or self._refuse(request, camera, cseq):
            return
        handler = _HANDLERS.get(request.method)
        if handler is None:
            self._send(response(501, cseq, {"Allow": _METHODS}))
            return
        handler(self, request, camera, cseq)

    def _refuse(self, request: Request, camera: Camera, cseq: str) -> bool:
        redirect = camera.faults.get("redirect")
        if isinstance(redirect, Redirect):
            self._send(response(302, cseq, {"Location": redirect.url}))
            return True
        host = self._host
        header = request.headers.get("authorization", "")
        if "unauthorized" in camera.faults:
            camera.refused_logins += bool(header)
            self._send(response(401, cseq, {"WWW-Authenticate": host.authenticator.challenge()}))
            return True
        if host.credentials is None or request.method == "OPTIONS":
            return False
        verdict = host.authenticator.check(host.credentials, request.method, request.url, header)
        if verdict is Verdict.ACCEPTED:
            return False
        camera.refused_logins += verdict is Verdict.WRONG
        challenge = host.authenticator.challenge(stale=verdict is Verdict.STALE)
        self._send(response(401, cseq, {"WWW-Authenticate": challenge}))
        return True

    def _options(self, request: Request, camera: Camera, cseq: str) -> None:  # noqa: ARG002 one signature for all
        self._send(response(200, cseq, {"Public": _METHODS}))

    def _describe(self, request: Request, camera: Camera, cseq: str) -> None:
        sets = camera.faults.get("parameter_sets")
        body = sdp.describe(
            camera.player.playing,
            name=camera.name,
            host=self._local_host(),
            session=camera.player.ssrc,
            parameter_sets=not (isinstance(sets, ParameterSets) and sets.only == "band"),
        )
        base = request.url.rstrip("/") + "/"
        self._send(response(200, cseq, {"Content-Base": base, "Content-Type": "application/sdp"}, body))

    def _setup(self, request: Request, camera: Camera, cseq: str) -> None:
        if self._client is not None:
            self._send(response(455 if self._client.playing else 459, cseq))
            return
        if camera.session_refused():
            self._send(response(453, cseq))
            return
        agent = request.headers.get("user-agent", "")[:200]
        made = self._make_client(request.headers.get("transport", ""), agent)
        if made is None:
            self._send(response(461, cseq))
            return
        self._client, described = made
        self._session = secrets.token_hex(8)
        camera.add_client(self._client)
        headers = {
            "Session": f"{self._session};timeout={SESSION_TIMEOUT_S}",
            "Transport": f"{described};ssrc={camera.player.ssrc:08X}",
        }
        self._send(response(200, cseq, headers))

    def _make_client(self, wanted: str, agent: str) -> tuple[Client, str] | None:
        """Return a receiver for the first transport of the list that is served here, and its description."""
        if self._transport is None:
            return None
        peer = f"{self._peer[0]}:{self._peer[1]}"
        limit = self._host.client_limit_bytes
        for alternative in wanted.split(","):
            protocol, *options = (part.strip() for part in alternative.split(";"))
            values = dict(o.partition("=")[::2] for o in options)
            if protocol.upper() == "RTP/AVP/TCP":
                first, second = _pair(values.get("interleaved", "0-1"))
                if max(first, second) > 255:
                    continue
                tcp = TcpClient(
                    self._transport,
                    (first, second),
                    limit_bytes=limit,
                    too_slow=self._end_slow,
                    peer=peer,
                    user_agent=agent,
                )
                return tcp, f"RTP/AVP/TCP;unicast;interleaved={first}-{second}"
            if protocol.upper() in ("RTP/AVP", "RTP/AVP/UDP") and "multicast" not in values:
                ports = _pair(values.get("client_port", ""))
                if not all(0 < port < 65536 for port in ports):
                    continue
                udp = UdpClient(self._host.udp(), self._peer[0], ports, limit_bytes=limit, peer=peer, user_agent=agent)
                own = self._host.udp_ports()
                text = f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]};server_port={own[0]}-{own[1]}"
                return udp, text
        return None

    def _play(self, request: Request, camera: Camera, cseq: str) -> None:
        client = self._session_client(request, cseq)
        if client is None:
            return
        sequence, rtp_time = camera.next_packet(client)
        track = f"{request.url.rstrip('/')}/{sdp.TRACK}" if sdp.TRACK not in request.url else request.url
        headers = {
            "Session": self._session,
            "Range": "npt=now-",
            "RTP-Info": f"url={track};seq={sequence};rtptime={rtp_time}",
        }
        self._send(response(200, cseq, headers))
        camera.play(client)

    def _pause(self, request: Request, camera: Camera, cseq: str) -> None:  # noqa: ARG002 one signature for all
        client = self._session_client(request, cseq)
        if client is not None:
            client.playing = False
            self._send(response(200, cseq, {"Session": self._session}))

    def _teardown(self, request: Request, camera: Camera, cseq: str) -> None:  # noqa: ARG002 one signature for all
        if self._session_client(request, cseq) is not None:
            self._forget_client()
            self._send(response(200, cseq))

    def _keep_alive(self, request: Request, camera: Camera, cseq: str) -> None:  # noqa: ARG002 one signature for all
        self._send(response(200, cseq, {"Session": self._session} if self._session else None))

    def _session_client(self, request: Request, cseq: str) -> Client | None:
        named = request.headers.get("session", "").partition(";")[0].strip()
        if self._client is None or named != self._session:
            self._send(response(454, cseq))
            return None
        return self._client

    def _forget_client(self) -> None:
        if self._client is not None and self._camera is not None:
            self._camera.remove_client(self._client)
        self._client, self._session = None, ""

    def _end_slow(self) -> None:
        _log.warning("client %s:%s reads too slowly, connection ended", *self._peer)
        self.drop("rst")

    def _local_host(self) -> str:
        name = self._transport.get_extra_info("sockname") if self._transport is not None else None
        return str(name[0]) if name else "127.0.0.1"

    def _send(self, data: bytes) -> None:
        if self._transport is None:
            return
        drip = self._camera.faults.get("drip") if self._camera is not None else None
        if isinstance(drip, Drip):
            self._start(self._drip(data, drip))
        else:
            self._transport.write(data)

    def _spew_if_asked(self, camera: Camera, *, first_request: Request | None) -> bool:
        fault = camera.faults.get("garbage")
        if not isinstance(fault, Garbage) or (first_request is None and fault.form != "random"):
            return False
        if fault.form == "sdp" and first_request is not None and first_request.method != "DESCRIBE":
            return False
        cseq = first_request.headers.get("cseq", "0") if first_request is not None else "0"
        self._start(self._spew(fault, cseq))
        return True

    def _has(self, fault: AnyFault) -> bool:
        return self._camera is not None and self._camera.faults.get(fault.kind) is fault

    def _start(self, work: Coroutine[object, object, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._work_done)

    def _work_done(self, _task: asyncio.Task[None]) -> None:
        self._task = None
        self._work()

    async def _drip(self, data: bytes, fault: Drip) -> None:
        for position in range(len(data)):
            if self._transport is None or self._transport.is_closing():
                return
            if not self._has(fault):
                self._transport.write(data[position:])
                return
            self._transport.write(data[position : position + 1])
            await asyncio.sleep(1 / fault.bytes_per_s)

    async def _spew(self, fault: Garbage, cseq: str) -> None:
        draw = random.Random(fault.seed)  # noqa: S311 repeatable noise, no secret
        head, chunk = b"", draw.randbytes(_SPEW_BYTES)
        if fault.form == "header":
            head, chunk = f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nX-Long: ".encode(), b"x" * _SPEW_BYTES
        elif fault.form == "sdp":
            start = f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nContent-Type: application/sdp\r\n"
            head = f"{start}Content-Length: {fault.limit_bytes}\r\n\r\nv=0\r\n".encode()
            chunk = b"a=x-filler:0123456789\r\n" * (_SPEW_BYTES // 23)
        left = fault.limit_bytes
        while left > 0 and self._has(fault) and self._transport is not None and not self._transport.is_closing():
            if self._transport.get_write_buffer_size() < _SPEW_BYTES:
                self._transport.write((head + chunk)[:left])
                left -= len(head) + len(chunk)
                head = b""
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(0.005)
        if self._transport is not None:
            self._transport.close()


def _pair(text: str) -> tuple[int, int]:
    match = _PAIR.match(text)
    if match is None:
        return (-1, -1)
    first = int(match[1])
    return first, int(match[2]) if match[2] else first + 1


_HANDLERS: Final[dict[str, Callable[[Connection, Request, Camera, str], None]]] = {
    "OPTIONS": Connection._options,
    "DESCRIBE": Connection._describe,
    "SETUP": Connection._setup,
    "PLAY": Connection._play,
    "PAUSE": Connection._pause,
    "TEARDOWN": Connection._teardown,
    "GET_PARAMETER": Connection._keep_alive,
    "SET_PARAMETER": Connection._keep_alive,
}
