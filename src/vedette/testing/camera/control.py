"""Commands for a running simulator over a Unix socket: one JSON object a line, one answer a line.

Requests carry ``op`` and, where one is meant, ``camera``:

* ``{"op": "list"}``: cameras with address, codec, size, faults, refused logins
* ``{"op": "fault", "camera": "hall", "kind": "silent", "seconds": 5}``: answer holds ``t0_s``
* ``{"op": "clear", "camera": "hall"}``, optionally with ``kind``: answer holds the records with ``t1_s``
* ``{"op": "loops" | "clients" | "faults" | "spoiled", "camera": "hall"}``
* ``{"op": "credentials", "user": "u", "password": "p"}``; without ``user``: open cameras
* ``{"op": "subscribe"}``: from then on every loop start comes as a line with ``"event": "loop"``

An answer is ``{"ok": true, …}`` or ``{"ok": false, "error": "…"}``. The socket is the user's own (mode 0600).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from vedette.contracts.errors import UsageError, VedetteError
from vedette.testing.camera.camera import Camera
from vedette.testing.camera.digest import Credentials
from vedette.testing.camera.faults import parse_fault
from vedette.testing.camera.player import LoopStart
from vedette.testing.camera.server import CameraServer

_LINE_LIMIT: Final = 64 * 1024
_BACKLOG_LIMIT: Final = 1024 * 1024


def loop_line(start: LoopStart) -> str:
    """Return a loop start as one line of JSON."""
    return json.dumps({"event": "loop", **asdict(start)})


class ControlServer:
    """Answers commands on the simulator's event loop.

    Args:
        server: what is commanded.
        path: of the socket; a stale one from a process that has ended is replaced.
    """

    def __init__(self, server: CameraServer, path: Path) -> None:
        self._cameras = server
        self._path = path
        self._server: asyncio.Server | None = None
        self._subscribers: set[asyncio.StreamWriter] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Open the socket.

        Raises:
            UsageError: V701 where the path cannot be used or another simulator listens there.
        """
        bound = self._bind()
        self._server = await asyncio.start_unix_server(self._serve, sock=bound, limit=_LINE_LIMIT)

    def stop(self) -> None:
        """Close the socket and remove its file."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        self._path.unlink(missing_ok=True)

    def publish(self, start: LoopStart) -> None:
        """Tell subscribers about a loop start; one that does not read is cut off."""
        line = loop_line(start).encode() + b"\n"
        for writer in list(self._subscribers):
            if writer.transport.get_write_buffer_size() > _BACKLOG_LIMIT:
                writer.transport.abort()
            else:
                writer.write(line)

    def _bind(self) -> socket.socket:
        if self._path.is_socket():
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
                probe.connect(str(self._path))
                raise UsageError(f"another simulator listens on {self._path}.", hint="Choose another path.")
            self._path.unlink(missing_ok=True)
        bound = socket.socket(socket.AF_UNIX)
        try:
            # Mode before the name exists for others to open: the socket inherits it from its descriptor.
            os.fchmod(bound.fileno(), 0o600)
            bound.bind(str(self._path))
            self._path.chmod(0o600)
        except OSError as error:
            bound.close()
            raise UsageError(
                f"the control socket {self._path} cannot be made ({error.strerror or error}).",
                hint="Give a path in a folder you may write, at most 100 characters long.",
            ) from None
        return bound

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                answer = await self._answer(line, writer)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # ValueError: a line longer than the limit
            pass
        finally:
            self._writers.discard(writer)
            self._subscribers.discard(writer)
            writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise UsageError("a command is a JSON object.")
            if request.get("op") == "subscribe":
                self._subscribers.add(writer)
                return {"ok": True}
            return {"ok": True, **await self._execute(request)}
        except VedetteError as error:
            return {"ok": False, "code": error.code, "error": str(error)}
        except ValueError as error:
            return {"ok": False, "code": "V701", "error": f"V701 not JSON: {error}"}

    async def _execute(self, request: dict[str, Any]) -> dict[str, Any]:
        operation = request.pop("op", None)
        if operation == "list":
            return {"cameras": [self._describe(camera) for camera in self._cameras.cameras.values()]}
        if operation == "credentials":
            user, password = request.get("user"), request.get("password", "")
            self._cameras.credentials = Credentials(str(user), str(password)) if user is not None else None
            return {}
        camera = self._cameras.camera(str(request.pop("camera", "")))
        match operation:
            case "fault":
                fault = parse_fault(str(request.pop("kind", "")), request)
                return asdict(await self._cameras.inject(camera, fault))
            case "clear":
                kind = request.get("kind")
                return {"cleared": [asdict(record) for record in await camera.clear(kind)]}
            case "loops":
                return {"loops": [asdict(start) for start in camera.loops]}
            case "clients":
                return {"clients": [asdict(client) for client in camera.clients_info()]}
            case "faults":
                return {"faults": [asdict(record) for record in camera.records]}
            case "spoiled":
                return {"spoiled": list(camera.player.spoiled)}
        raise UsageError(
            f"operation {operation!r} does not exist; known are list, fault, clear, loops, clients, faults, spoiled, "
            "credentials, subscribe."
        )

    def _describe(self, camera: Camera) -> dict[str, Any]:
        media = camera.player.playing
        return {
            "camera": camera.name,
            "url": self._cameras.url(camera.name),
            "source": media.name,
            "codec": media.codec,
            "width": media.width,
            "height": media.height,
            "frame_rate": round(media.frame_rate, 3),
            "duration_s": media.duration_s,
            "passed_through": media.passed_through,
            "faults": sorted(camera.faults),
            "refused_logins": camera.refused_logins,
        }


class ControlClient:
    """Sends commands to a simulator in another process.

    Args:
        path: of its control socket.
        timeout_s: for each answer.

    Raises:
        UsageError: V701 where nobody listens there.
    """

    def __init__(self, path: Path | str, *, timeout_s: float = 60.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise UsageError(
                f"no camera simulator answers at {path} ({error.strerror or error}).",
                hint="Start one with vedette camera simulate FILE --control PATH.",
            ) from None
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._file.close()
        self._socket.close()

    def call(self, op: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its answer.

        Raises:
            UsageError: with the simulator's own words where it refuses, or where the connection ends.
        """
        self._socket.sendall(json.dumps({"op": op, **parameters}).encode() + b"\n")
        answer = self._read()
        if not answer.get("ok"):
            raise UsageError(str(answer.get("error", "no reason given")).partition(" ")[2])
        return answer

    def events(self) -> Iterator[dict[str, Any]]:
        """Subscribe, then yield loop starts until the connection ends."""
        self.call("subscribe")
        while True:
            try:
                yield self._read()
            except UsageError:
                return

    def _read(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise UsageError("the camera simulator ended the connection.")
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise UsageError("the camera simulator sent something that is no answer.")
        return answer
