"""The camera simulator for tests: cameras in a thread of this process, faults by method call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, TypeVar

from vedette.contracts.errors import CameraError, UsageError
from vedette.testing.camera.camera import Camera
from vedette.testing.camera.clients import ClientInfo
from vedette.testing.camera.control import ControlServer
from vedette.testing.camera.digest import Credentials
from vedette.testing.camera.faults import FaultRecord, parse_fault
from vedette.testing.camera.load import load_media
from vedette.testing.camera.media import Media
from vedette.testing.camera.player import LoopStart
from vedette.testing.camera.server import CLIENT_LIMIT_BYTES, CameraServer, LoadedCamera

_CALL_TIMEOUT_S: Final = 60.0
"""Longest wait for the simulator's thread; preparing a ``switch`` to a long file that needs encoding is the slowest."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CameraSource:
    """What one camera shows.

    Attributes:
        path: a video file, an open binary file, or a clip loaded already.
        name: last part of the address; the file's stem where None.
        rtp_start: first RTP time stamp (to meet the 32-bit wrap); random where None.
        instant_start: whether a new client gets the pictures since the latest key picture at once.
    """

    path: Path | str | IO[bytes] | Media
    name: str | None = None
    rtp_start: int | None = None
    instant_start: bool = True


def load_cameras(sources: Sequence[CameraSource]) -> list[LoadedCamera]:
    """Read the files of all sources; equal names get a number.

    Raises:
        CameraError: V204 or V203 where a file is not usable, V204 without any source.
    """
    if not sources:
        raise CameraError("the camera simulator needs at least one file.", code="V204")
    loaded: list[LoadedCamera] = []
    taken: set[str] = set()
    for source in sources:
        media = source.path if isinstance(source.path, Media) else load_media(source.path, name=source.name or "")
        base = source.name or (Path(source.path).stem if isinstance(source.path, str | Path) else Path(media.name).stem)
        name, number = base, 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        taken.add(name)
        loaded.append(LoadedCamera(name, media, source.rtp_start, source.instant_start))
    return loaded


class CameraHandle:
    """One camera, from any thread.

    Attributes:
        name: its name.
        url: its address, without credentials.
    """

    def __init__(self, simulator: CameraSimulator, name: str, url: str) -> None:
        self.name = name
        self.url = url
        self._simulator = simulator

    def fault(self, kind: str, **parameters: Any) -> FaultRecord:
        """Let the camera misbehave; see ``vedette.testing.camera.faults`` for kinds and parameters.

        Returns:
            A record whose ``t0_s`` is the monotonic instant from which the fault acts.

        Raises:
            UsageError: V701 for an unknown kind or a parameter that is not allowed.
            CameraError: where the file of a ``switch`` is not usable.
        """
        fault = parse_fault(kind, parameters)
        return self._simulator._await(lambda s: s.inject(s.camera(self.name), fault))

    def clear(self, kind: str | None = None) -> list[FaultRecord]:
        """End one fault, or all; ``t1_s`` of the records is the instant from which the camera is healthy."""
        return self._simulator._await(lambda s: s.camera(self.name).clear(kind))

    def loops(self) -> list[LoopStart]:
        """Return the latest loop starts (at most 1,000), oldest first."""
        return self._read(lambda camera: list(camera.loops))

    def clients(self) -> list[ClientInfo]:
        """Return the receivers there are now."""
        return self._read(Camera.clients_info)

    def faults(self) -> list[FaultRecord]:
        """Return the latest faults (at most 1,000), oldest first."""
        return self._read(lambda camera: list(camera.records))

    def spoiled(self) -> list[int]:
        """Return RTP times of the latest pictures (at most 10,000) sent with bit errors or without all packets."""
        return self._read(lambda camera: list(camera.player.spoiled))

    def wait_for_clients(self, count: int = 1, *, timeout_s: float = 10.0) -> None:
        """Wait until at least ``count`` receivers play (exactly none for 0).

        Raises:
            TimeoutError: where that does not happen.
        """
        self._simulator._wait(
            lambda: self._playing() >= count if count else self._playing() == 0,
            timeout_s,
            f"{count} clients of {self.name}",
        )

    def wait_for_loop(self, number: int, *, timeout_s: float = 60.0) -> LoopStart:
        """Wait until loop ``number`` (0 for the first) has started; returns its latest record.

        Raises:
            TimeoutError: where that does not happen.
        """
        self._simulator._wait(
            lambda: self._simulator._snapshot.get(self.name, (0, -1))[1] >= number,
            timeout_s,
            f"loop {number} of {self.name}",
        )
        return [start for start in self.loops() if start.loop == number][-1]

    def _playing(self) -> int:
        return self._simulator._snapshot.get(self.name, (0, -1))[0]

    def _read(self, function: Callable[[Camera], T]) -> T:
        async def read(server: CameraServer) -> T:
            return function(server.camera(self.name))

        return self._simulator._await(read)


class CameraSimulator:
    """RTSP cameras made of files, in a thread of this process.

    Use as a context manager. Times in records are of this machine's monotonic clock.

    Args:
        sources: one per camera.
        host: address to listen on.
        port: TCP port, 0 for any free one.
        credentials: Digest authentication for every camera; None for open cameras.
        separate_ports: a port for each camera. On a shared port a camera that is ``cut`` resets a connection at
            its first request, because others still listen there; on its own port it refuses connections.
        nonce_lifetime_s: after this, clients are told that their nonce is stale.
        client_limit_bytes: backlog at which a slow client is disconnected.
        control: path of a Unix socket for commands, see ``vedette.testing.camera.control``.
        on_loop: called in the simulator's thread at each loop start; must return at once.

    Raises:
        CameraError: where a file is not usable.
        UsageError: where the port is not free.
    """

    def __init__(
        self,
        sources: Sequence[CameraSource],
        host: str = "127.0.0.1",
        port: int = 0,
        credentials: Credentials | None = None,
        *,
        separate_ports: bool = False,
        nonce_lifetime_s: float = 300.0,
        client_limit_bytes: int = CLIENT_LIMIT_BYTES,
        control: Path | None = None,
        on_loop: Callable[[LoopStart], None] | None = None,
    ) -> None:
        self._condition = threading.Condition()
        self._snapshot: dict[str, tuple[int, int]] = {}
        self._on_loop = on_loop
        self._server = CameraServer(
            load_cameras(sources),
            host=host,
            port=port,
            credentials=credentials,
            separate_ports=separate_ports,
            nonce_lifetime_s=nonce_lifetime_s,
            client_limit_bytes=client_limit_bytes,
            on_loop=self._loop_started,
            on_change=self._changed,
        )
        self._control = ControlServer(self._server, control) if control is not None else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> CameraSimulator:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def names(self) -> list[str]:
        """Names of the cameras, in order."""
        return list(self._server.cameras)

    def start(self) -> None:
        """Open the ports and let the cameras play."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="camera-simulator", daemon=True)
        self._thread.start()
        try:
            self._await(self._start)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every connection, close the ports, end the thread. Stopping twice does nothing."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            self._server.stop()
            return
        self._await(self._stop)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CALL_TIMEOUT_S)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        self._loop = self._thread = None

    def url(self, name: str | None = None) -> str:
        """Return a camera's address without credentials; of the first camera where ``name`` is None."""
        return self._server.url(name or self.names[0])

    def camera(self, name: str | None = None) -> CameraHandle:
        """Return a handle on a camera; on the first one where ``name`` is None.

        Raises:
            UsageError: V701 where there is none of this name.
        """
        found = self._server.camera(name or self.names[0])
        return CameraHandle(self, found.name, self._server.url(found.name))

    def set_credentials(self, credentials: Credentials | None) -> None:
        """Change the password of all cameras; sessions that play go on until their next request."""

        async def change(server: CameraServer) -> None:
            server.credentials = credentials

        self._await(change)

    async def _start(self, server: CameraServer) -> None:
        await server.start()
        if self._control is not None:
            await self._control.start()

    async def _stop(self, server: CameraServer) -> None:
        if self._control is not None:
            self._control.stop()
        server.stop()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports close in callbacks of the next turns

    def _await(self, make: Callable[[CameraServer], Coroutine[Any, Any, T]]) -> T:
        if self._loop is None:
            raise UsageError("the camera simulator is not running.", hint="Use it in a with statement.")
        future = asyncio.run_coroutine_threadsafe(make(self._server), self._loop)
        return future.result(_CALL_TIMEOUT_S)

    def _wait(self, met: Callable[[], bool], timeout_s: float, what: str) -> None:
        with self._condition:
            if not self._condition.wait_for(met, timeout_s):
                raise TimeoutError(f"no {what} within {timeout_s} s")

    def _loop_started(self, start: LoopStart) -> None:
        self._changed()
        if self._control is not None:
            self._control.publish(start)
        if self._on_loop is not None:
            self._on_loop(start)

    def _changed(self) -> None:
        with self._condition:
            for name, camera in self._server.cameras.items():
                playing = sum(client.playing for client in camera.clients)
                self._snapshot[name] = (playing, camera.loops[-1].loop if camera.loops else -1)
            self._condition.notify_all()
