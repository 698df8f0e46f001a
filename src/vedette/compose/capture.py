"""One camera's capture process, put together."""

from __future__ import annotations

import logging
import math
import re
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from vedette.adapters.capture.gst_library import GstError, load_gstreamer
from vedette.adapters.capture.gstreamer import NEEDED, GstUse
from vedette.adapters.capture.knock import wait_for_answer
from vedette.adapters.capture.opening import OPEN_LIMIT_S, READ_LIMIT_S, opening_limit_s
from vedette.adapters.capture.pyav import PyAvSource
from vedette.adapters.frames import FrameStoreWriter
from vedette.adapters.packets import PacketServer
from vedette.adapters.starved import Since
from vedette.adapters.supervision import ChildLink
from vedette.contracts.base import Contract
from vedette.contracts.camera import CameraConfig, CameraState, Decoder, Transport
from vedette.contracts.errors import CameraError, ConfigurationError
from vedette.contracts.manifest import Motion
from vedette.core.picture_health import PictureMonitor
from vedette.core.redact import RedactingFilter
from vedette.core.url_policy import CheckedUrl, camera_policy, check_url
from vedette.pipeline.board import Board
from vedette.pipeline.capture import CaptureLoop

logger = logging.getLogger(__name__)

#: The watchdog looks this often, and when a stream may have become silent.
WATCH_S: Final = 0.2
#: So long before a silence is too long it counts whether this process is given a processor.
QUIET_S: Final = 0.8
#: The state goes to the supervisor every so many times and at each change; else it hears that the process lives.
TELL_EVERY: Final = 5
_PAST_S: Final = 0.001
#: A stream at a known rate is silent after this many picture intervals, if that is longer than the usual limit.
SILENT_PICTURES: Final = 3.0
#: A stream that ended after so few packets may be a very slow one: the next one is given twice the time.
FEW_PACKETS: Final = 3
READ_LIMIT_MAX_S: Final = 10.0
#: Over UDP the first stream is given this long between packets, so that TCP is tried soon where nothing gets through.
UDP_TRIAL_S: Final = 0.9
#: A reason like this from the process before means that UDP does not get through.
_NOTHING_CAME: Final = re.compile(r"no packet")


class CaptureSpec(Contract):
    """What a camera's process is told on its standard input. Holds credentials: never logged.

    Attributes:
        camera: configuration.
        stream: ``main`` or ``sub``: which of the camera's streams is decoded.
        socket: where its frames are served.
        packets: where its packets are served; empty for nowhere.
        networks: CIDR ranges the camera may be in.
        username: of the camera's secret.
        password: of the camera's secret.
        fps: wanted at first; 0 where nobody needs pictures.
    """

    camera: CameraConfig
    stream: str = "main"
    socket: str
    packets: str = ""
    networks: tuple[str, ...] = ()
    username: Annotated[str, Field(repr=False)] = ""
    password: Annotated[str, Field(repr=False)] = ""
    fps: float = 0.0

    @property
    def url(self) -> str:
        """Address of the stream to decode."""
        return self.camera.sub_url if self.stream == "sub" and self.camera.sub_url else self.camera.url


class CameraOpener:
    """Checks the address, knocks and opens. Implements ``pipeline.capture.Opener``.

    Args:
        spec: the camera.
        transport: how RTP travels.
        packets: takes the encoded packets; None where evidence is out of the question.
        resolve: host name → addresses.

    Attributes:
        open_limit_s: how long ``open`` may take, by the camera's last answer.
    """

    def __init__(
        self,
        spec: CaptureSpec,
        transport: Transport,
        packets: PacketServer | None = None,
        resolve: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        self._spec = spec
        self._transport = transport
        self._packets = packets
        self._resolve = resolve or resolve_host
        self._policy = camera_policy(spec.networks)
        self.open_limit_s = OPEN_LIMIT_S
        self._address: CheckedUrl | None = None
        self._last: PyAvSource | None = None
        self._decoder = spec.camera.decoder
        self._gstreamer: GstUse | None = None

    def set_login(self, username: str, password: str) -> None:
        """Use other credentials from the next attempt on; from any thread."""
        self._spec = self._spec.model_copy(update={"username": username, "password": password})

    def wait(self, stop: threading.Event, on_failure: Callable[[str], None]) -> bool:
        """Return once the camera answers; files and devices are there or not. False where stopped.

        Raises:
            ConfigurationError: V105, the address or a redirect is refused.
            CameraError: V201, what answers is no camera; V203, GStreamer is required and missing.
        """
        self._find_gstreamer()
        address = self._check(stop, on_failure)
        if address is None:
            return False
        if address.is_network:
            answer = wait_for_answer(address, stop, on_failure)
            if answer is None:
                return False
            self.open_limit_s = opening_limit_s(answer.after_s)
            if answer.location:
                address = self._redirected(address, answer.location)
        self._address = address
        return True

    def open(self, fps: float, gap_reason: str) -> PyAvSource:
        """Open the stream.

        Raises:
            CameraError: V201 to V204.
        """
        assert self._address is not None
        if self._transport is Transport.UDP and self._last is not None and not self._last.progress.packets:
            logger.warning("camera %s: nothing came over UDP; trying TCP", self._spec.camera.name)
            self._transport = Transport.TCP
        if self._decoder is Decoder.AUTO and self._last is not None and self._last.progress.decoder_failed:
            logger.warning("camera %s: GStreamer cannot decode it; FFmpeg does", self._spec.camera.name)
            self._decoder, self._gstreamer = Decoder.FFMPEG, None
        self._last = PyAvSource(
            self._address,
            read_limit_s=self._read_limit_s(),
            open_limit_s=self.open_limit_s,
            camera=self._spec.camera.name,
            fps=fps,
            transport=self._transport,
            loop=self._spec.camera.loop,
            gap_reason=gap_reason,
            packets=self._packets,
            gstreamer=self._gstreamer,
        )
        return self._last

    def _find_gstreamer(self) -> None:
        """Start GStreamer where it is to decode. Here and not while opening, which has a limit: it may take seconds."""
        if self._decoder is Decoder.FFMPEG or self._gstreamer is not None:
            return
        required = self._decoder is Decoder.GSTREAMER
        try:
            self._gstreamer = GstUse(load_gstreamer(), required)
        except GstError as error:
            if required:
                name = self._spec.camera.name
                raise CameraError(
                    f"camera {name}: `decoder: gstreamer` cannot be had: {error}.",
                    hint=f"Install it, or choose `decoder: ffmpeg` or `auto`. {NEEDED}",
                    code="V203",
                ) from None
            logger.info("camera %s: FFmpeg decodes: %s", self._spec.camera.name, error)
            self._decoder = Decoder.FFMPEG

    def _read_limit_s(self) -> float:
        """How long the next stream may be silent. A camera at less than one picture a second is not dead."""
        if self._last is None:
            return UDP_TRIAL_S if self._transport is Transport.UDP else READ_LIMIT_S
        progress = self._last.progress
        if progress.fps:
            return min(max(READ_LIMIT_S, SILENT_PICTURES / progress.fps), READ_LIMIT_MAX_S)
        if 0 < progress.packets <= FEW_PACKETS:
            return min(max(READ_LIMIT_S, 2 * progress.read_limit_s), READ_LIMIT_MAX_S)
        return max(READ_LIMIT_S, progress.read_limit_s)

    def _check(self, stop: threading.Event, on_failure: Callable[[str], None]) -> CheckedUrl | None:
        while not stop.is_set():
            try:
                return self._with_secret(check_url(self._spec.url, self._policy, self._resolve))
            except OSError as error:
                on_failure(f"the camera's name cannot be resolved: {error.strerror or error}")
                stop.wait(0.5)
        return None

    def _with_secret(self, address: CheckedUrl) -> CheckedUrl:
        if not self._spec.username and not self._spec.password:
            return address
        return replace(address, username=self._spec.username, password=self._spec.password)

    def _redirected(self, address: CheckedUrl, location: str) -> CheckedUrl:
        """Follow a redirect only to the very host that was checked: anything else would be given its password."""
        try:
            target = check_url(location, self._policy, self._resolve)
        except OSError as error:
            raise ConfigurationError(f"{address.shown} redirects to a name without address.", code="V105") from error
        if not set(target.addresses) <= set(address.addresses):
            raise ConfigurationError(
                f"{address.shown} redirects to {target.shown}, another host.",
                hint="Configure that address itself, if it is to be trusted.",
                code="V105",
            )
        return replace(target, username=address.username, password=address.password)


def resolve_host(name: str) -> tuple[str, ...]:
    """All addresses of a host name, by the system's resolver.

    Raises:
        OSError: it has none at the moment.
    """
    return tuple(str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))


def run_camera(link: ChildLink, redaction: RedactingFilter) -> None:
    """Capture one camera until the supervisor closes the pipe.

    Args:
        link: to the supervisor; its ``spec`` is a ``CaptureSpec``.
        redaction: the process' log filter; learns the credentials.
    """
    spec = CaptureSpec.model_validate(link.spec)
    redaction.add(spec.username, spec.password)
    camera = spec.camera
    packets = PacketServer(Path(spec.packets), camera.pre_roll_s) if spec.packets else None
    opener = CameraOpener(spec, _transport(spec, link.reason), packets)
    changed = threading.Event()
    board = Board(camera.name, _shown(spec), on_change=changed.set)
    if link.reason:
        _resume(board, link.reason)
    store = FrameStoreWriter(Path(spec.socket), camera.name)
    file = "://" not in spec.url or spec.url.startswith("file:")
    loop = CaptureLoop(
        opener,
        store,
        board,
        fps=spec.fps,
        gap_reason=link.reason,
        health=PictureMonitor(),
        endless=not file,
    )

    def on_message(message: dict[str, Any]) -> None:
        fps = message.get("fps")
        if isinstance(fps, int | float) and math.isfinite(fps):
            loop.set_fps(float(fps))
        if "rest" in message:
            rest = message["rest"]
            loop.set_rest(Motion.model_validate(rest) if rest is not None else None)
        pre_roll_s = message.get("pre_roll_s")
        if packets is not None and isinstance(pre_roll_s, int | float) and math.isfinite(pre_roll_s):
            packets.keep(float(pre_roll_s))
        if "username" in message and "password" in message:
            username, password = str(message["username"]), str(message["password"])
            redaction.add(username, password)
            opener.set_login(username, password)
            loop.retry_now()
        if message.get("retry"):
            loop.retry_now()

    link.messages = on_message
    watchdog = threading.Thread(target=_watch, args=(link, loop, changed), name="watchdog", daemon=True)
    watchdog.start()
    loop.run()
    store.close()
    if packets is not None:
        packets.close()


def _watch(link: ChildLink, loop: CaptureLoop, changed: threading.Event) -> None:
    """Beat, and ask to be replaced where the stream hangs inside a call that does not return."""
    count = 0
    stalled = False
    quiet: Since | None = None
    while not link.closed.is_set():
        # A little after the limit, so that one look is enough.
        left_s = loop.silence_in_s() + _PAST_S
        news = changed.wait(min(WATCH_S, left_s) if left_s > 0 and not stalled else WATCH_S)
        changed.clear()
        quiet = (quiet or Since()) if loop.silence_in_s() < QUIET_S else None
        if not stalled and (reason := loop.silence()) and not (quiet is not None and quiet.starved):
            stalled = True
            link.stalled(reason)
        count += 1
        if news or count % TELL_EVERY == 0:
            link.beat(count, status=loop.refresh().model_dump(mode="json"))
        else:
            link.beat(count)
    loop.stop()


def _transport(spec: CaptureSpec, reason: str) -> Transport:
    """The transport asked for; TCP where UDP was asked for and the process before got nothing by it."""
    if spec.camera.transport is Transport.UDP and _NOTHING_CAME.search(reason):
        logger.warning("camera %s: nothing came over UDP; trying TCP", spec.camera.name)
        return Transport.TCP
    return spec.camera.transport


def _shown(spec: CaptureSpec) -> str:
    """The address without credentials and without asking a name server."""
    try:
        return check_url(spec.url, camera_policy(), lambda _name: ("192.0.2.1",)).shown
    except (ConfigurationError, OSError):
        return ""


def _resume(board: Board, reason: str) -> None:
    """Begin in the state the process before ended in, so that others do not see it healthy for a moment."""
    state = CameraState.STALLED if reason.startswith(CameraState.STALLED.value) else CameraState.UNREACHABLE
    board.move(state, reason.partition(": ")[2] or reason, "V201")
