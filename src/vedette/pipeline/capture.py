"""Camera → ring: opens, reads, publishes, and opens again, for as long as the camera is configured."""

from __future__ import annotations

import gc
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol

from vedette.contracts.camera import TRANSITIONS, CameraState, CameraStatus, HealthReport
from vedette.contracts.errors import VedetteError
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Motion
from vedette.core.pixels import Pixels
from vedette.core.stream import StreamProgress
from vedette.pipeline.board import Board
from vedette.pipeline.damage import DamageMeter

logger = logging.getLogger(__name__)

# How long until the next attempt. Nothing grows with the length of an outage: a camera that is back is seen at once.
#: Longest wait between two attempts to open a stream, at random down to half of it.
RETRY_S: Final = 0.5
#: A camera that refused the password is asked again after this, lest it lock the account.
UNAUTHORIZED_RETRY_S: Final = 30.0
#: A stream or address that cannot be used will hardly change by itself.
UNSUPPORTED_RETRY_S: Final = 5.0

# The watchdog inside the process. The supervisor's own limit stands behind it.
#: A stream that takes this much longer to open, or is silent for this much longer, than the limit FFmpeg was given
#: (1.8 s, more at cameras that answer slowly or send seldom) hangs: the process asks to be replaced. FFmpeg comes first
#: where it works, and that costs only a reconnection.
SILENCE_MARGIN_S: Final = 0.1
#: Where nothing is opened or read, it is looked again after this.
NOT_SOON_S: Final = 1.0
#: Packets come but no key picture for so long: the state says so.
NO_KEYFRAME_S: Final = 5.0
#: Pictures that come so late, or a multiple of it, are told of.
BEHIND_S: Final = 5.0
#: Reasons that are logged while no picture comes, each once: there are many attempts a second.
SAID_AT_MOST: Final = 8
#: Pictures left out because of damage for longer than this are a gap with a reason.
LEFT_OUT_S: Final = 0.5

#: Of a camera whose pictures are not all decoded at present.
RESTING: Final = "nothing moves: key pictures only"
#: A picture that is this late is one of those that were passed over while nothing seemed to move.
LATE_S: Final = 0.5
#: Time that readers get for each of these.
TAKEN_S: Final = 0.5

_STATE_OF_CODE: Final = {
    "V202": CameraState.UNAUTHORIZED,
    "V203": CameraState.UNSUPPORTED,
    "V204": CameraState.UNSUPPORTED,
    "V105": CameraState.UNSUPPORTED,
    "V205": CameraState.UNSUPPORTED,
}
_SERVED: Final = (CameraState.CONNECTING, CameraState.STREAMING, CameraState.NO_KEYFRAME)
_WAITS: Final = {CameraState.UNAUTHORIZED: UNAUTHORIZED_RETRY_S, CameraState.UNSUPPORTED: UNSUPPORTED_RETRY_S}


class Source(Protocol):
    """An opened stream: a ``FrameSource`` that also tells how it is doing."""

    progress: StreamProgress

    def __iter__(self) -> Iterator[tuple[FrameInfo, Pixels]]:
        """Pictures."""
        ...

    def set_fps(self, fps: float) -> None:
        """Change the rate without a reconnection."""
        ...

    def set_rest(self, rest: Motion | None) -> None:
        """When decoding may rest because nothing moves; None: never."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Opener(Protocol):
    """Waits for the camera and opens it."""

    @property
    def open_limit_s(self) -> float:
        """How long ``open`` may take after the last ``wait``."""
        ...

    def wait(self, stop: threading.Event, on_failure: Callable[[str], None]) -> bool:
        """Return once the camera answers; False where stopped. Raises ``VedetteError``."""
        ...

    def open(self, fps: float, gap_reason: str) -> Source:
        """Open the stream. Raises ``VedetteError``."""
        ...


class Publisher(Protocol):
    """Where pictures go: a frame store."""

    def publish(self, info: FrameInfo, pixels: Pixels) -> bool:
        """Hand one over; False where it was dropped."""
        ...

    def wait_taken(self, timeout_s: float) -> bool:
        """Wait until every reader that is to have the last picture has it; False where that takes too long."""
        ...


class HealthMonitor(Protocol):
    """Looks at pictures now and then."""

    def look(self, info: FrameInfo, pixels: Pixels) -> HealthReport | None:
        """The state of the picture where it changed, else None."""
        ...


@dataclass(slots=True)
class _Meter:
    """Pictures published a second, over windows of a second."""

    started_s: float = 0.0
    count: int = 0
    rate: float = 0.0

    def note(self, now_s: float, published: int) -> None:
        self.count += published
        if now_s - self.started_s >= 1.0:
            self.rate = self.count / (now_s - self.started_s) if self.started_s else 0.0
            self.started_s, self.count = now_s, 0


def _late(behind_s: float) -> str:
    """Words for pictures that come late, in steps, so that the state does not change with each of them."""
    steps = int(behind_s / BEHIND_S)
    if not steps:
        return ""
    return (
        f"pictures come more than {steps * BEHIND_S:g} s late: the camera sends more than its way here, "
        "or this machine, keeps up with; choose its sub stream or a lower bit rate"
    )


class CaptureLoop:
    """Runs one camera.

    Args:
        opener: waits for and opens the stream.
        publisher: takes the pictures.
        board: the state others see.
        fps: pictures a second wanted at first.
        gap_reason: why pictures before the first one are missing (the reason the process before was replaced for).
        health: looks at pictures; None for none.
        endless: whether the end of the stream is an interruption (a camera) or the end (a file).
        jitter: uniform random number 0..1.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        opener: Opener,
        publisher: Publisher,
        board: Board,
        *,
        fps: float = math.inf,
        gap_reason: str = "",
        health: HealthMonitor | None = None,
        endless: bool = True,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opener = opener
        self._publisher = publisher
        self._board = board
        self._fps = fps
        self._rest: Motion | None = None
        self._gap_reason = gap_reason
        self._health = health
        self._endless = endless
        self._jitter = jitter
        self._clock = clock
        self._stop = threading.Event()
        self._retry_now = threading.Event()
        self._source: Source | None = None
        self._connections = 0
        self._published = self._decoded = self._corrupt = 0
        self._meter = _Meter()
        self._damage = DamageMeter()
        self._waiting: tuple[float | None, int] = (None, 0)  # for a key picture: since when, key packets until then
        self._corrupt_then = 0
        self._said: set[str] = set()  # reasons in the log since the last picture
        self._last_picture_s: float | None = None
        self._opening_since_s: float | None = None

    def set_fps(self, fps: float) -> None:
        """Change the rate, from any thread; no reconnection."""
        self._fps = fps
        source = self._source
        if source is not None:
            source.set_fps(fps)

    def set_rest(self, rest: Motion | None) -> None:
        """When decoding may rest because nothing moves, from any thread; None: never."""
        self._rest = rest
        source = self._source
        if source is not None:
            source.set_rest(rest)

    def retry_now(self) -> None:
        """Do not wait for the next attempt: the credentials or the network may have changed."""
        self._retry_now.set()

    def stop(self) -> None:
        """End ``run`` from another thread, at the next packet or within a tenth of a second."""
        self._stop.set()
        self._retry_now.set()

    def run(self) -> None:
        """Capture until stopped."""
        while not self._stop.is_set():
            connections, failed = self._connections, None
            try:
                if not self._attempt():
                    self._board.move(CameraState.ENDED, "the file is at its end")
                    self._stop.wait()
            except VedetteError as error:
                failed = self._failed(error)
            if self._connections != connections:
                # PyAV's containers and streams refer to one another: a decoder and its pictures would stay for long.
                gc.collect()
            if failed is not None:
                self._pause(failed)

    def silence(self) -> str:
        """Why this process should be replaced; empty while it should not. Called by the watchdog's thread."""
        left_s, reason = self._silence_in()
        return reason if left_s < 0 else ""

    def silence_in_s(self) -> float:
        """How long ``silence`` has nothing to say, whatever happens."""
        return max(0.0, self._silence_in()[0])

    def _silence_in(self) -> tuple[float, str]:
        """Seconds until the stream counts as silent, and the words for it then."""
        now_s = self._clock()
        opening_since_s, source = self._opening_since_s, self._source
        if opening_since_s is not None:
            limit_s = self._opener.open_limit_s + SILENCE_MARGIN_S
            words = f"the camera answers but opens no stream for {limit_s:.1f} s"
            return opening_since_s + limit_s - now_s, f"{CameraState.STALLED.value}: {words}"
        if source is None or self._board.status.state is CameraState.ENDED:
            return NOT_SOON_S, ""
        limit_s = source.progress.read_limit_s + SILENCE_MARGIN_S
        left_s = source.progress.last_packet_s + limit_s - now_s
        return left_s, f"{CameraState.STALLED.value}: no packet for {limit_s:.1f} s"

    def refresh(self) -> CameraStatus:
        """Bring the counters up to date, notice a missing key picture; the state. Called by the watchdog's thread."""
        source = self._source
        now_s = self._clock()
        if source is not None:
            progress = source.progress
            self._judge(progress, now_s)
            self._board.update(
                codec=progress.codec,
                decoder=progress.decoder if progress.codec else "",
                width=progress.width,
                height=progress.height,
                stream_fps=round(progress.fps, 2),
                frames_decoded=self._decoded + progress.decoded,
                frames_corrupt=self._corrupt + progress.corrupt,
            )
        self._meter.note(now_s, 0)
        self._board.update(
            frames_published=self._published,
            published_fps=round(self._meter.rate, 2),
            reconnects=max(self._connections - 1, 0),
            last_frame_age_s=None if self._last_picture_s is None else round(now_s - self._last_picture_s, 3),
        )
        return self._board.status

    def _judge(self, progress: StreamProgress, now_s: float) -> None:
        """Say what is wrong with packets that come: damaged pictures, no key picture."""
        board, waiting_s = self._board, progress.waiting_for_key_s
        if waiting_s != self._waiting[0]:
            self._waiting = (waiting_s, progress.key_packets)
        if waiting_s is not None and now_s - waiting_s > NO_KEYFRAME_S and progress.packets > 0:
            reason = f"no key picture for {NO_KEYFRAME_S:g} s; set the camera's key-frame interval to 2 s or less"
            if progress.key_packets > self._waiting[1]:
                reason = "every key picture arrives damaged; check the camera, its cable and its network"
            board.move(CameraState.NO_KEYFRAME, reason, "V203", only_in=_SERVED)
        if board.status.state is not CameraState.STREAMING:
            self._damage.reset()
            return
        words = self._damage.words(now_s, progress.decoded, progress.corrupt) or _late(progress.behind_s)
        if progress.resting:
            words = words or RESTING
        board.move(CameraState.STREAMING, words, only_in=(CameraState.STREAMING,))

    def _attempt(self) -> bool:
        """One connection from knock to end; False where a file is at its end."""
        # What is wrong stays shown until a picture proves the contrary: a camera that opens streams and sends
        # nothing is STALLED all the while, not CONNECTING again and again.
        board = self._board
        if not self._opener.wait(self._stop, self._unreachable):
            return True
        if board.status.state is CameraState.UNREACHABLE:
            board.move(CameraState.CONNECTING, "the camera answers; opening the stream")
        self._opening_since_s = self._clock()
        try:
            source = self._opener.open(self._fps, self._gap_reason)
        finally:
            self._opening_since_s = None
        self._connections += 1
        self._source = source
        try:
            source.set_fps(self._fps)  # it may have changed while opening
            source.set_rest(self._rest)
            for info, pixels in source:
                if self._stop.is_set():
                    break
                self._take(self._with_damage(info, source.progress), pixels)
        finally:
            self._source = None
            self._decoded += source.progress.decoded
            self._corrupt += source.progress.corrupt
            source.close()
        return self._endless or self._stop.is_set()

    def _with_damage(self, info: FrameInfo, progress: StreamProgress) -> FrameInfo:
        """The picture with the reason why those before it are missing, where they were left out."""
        corrupt, self._corrupt_then = self._corrupt_then, self._corrupt + progress.corrupt
        late = self._last_picture_s is not None and self._clock() - self._last_picture_s > LEFT_OUT_S
        if info.gap_reason or not late or self._corrupt_then <= corrupt:
            return info
        return replace(info, gap_reason="pictures arrived damaged and were left out")

    def _take(self, info: FrameInfo, pixels: Pixels) -> None:
        if self._gap_reason:
            self._gap_reason = ""
        state = self._board.status.state
        if state is not CameraState.STREAMING:
            if CameraState.STREAMING not in TRANSITIONS[state]:
                self._board.move(CameraState.CONNECTING, "the first picture came")
            self._board.move(CameraState.STREAMING)
            self._said.clear()
        published = self._publisher.publish(info, pixels)
        if self._clock() - info.t_s > LATE_S and self._rest is not None:
            self._publisher.wait_taken(TAKEN_S)  # pictures that were passed over come faster than they are analysed
        self._published += published
        self._last_picture_s = self._clock()
        self._meter.note(self._last_picture_s, published)
        if self._health is not None:
            report = self._health.look(info, pixels)
            if report is not None:
                self._board.update(health=report)

    def _unreachable(self, why: str) -> None:
        if self._board.status.state is not CameraState.UNREACHABLE or self._board.status.reason != why:
            self._board.move(CameraState.UNREACHABLE, why, "V201")

    def _failed(self, error: VedetteError) -> CameraState:
        state = _STATE_OF_CODE.get(error.code)
        if state is None:
            state = CameraState.STALLED if "no packet" in error.message else CameraState.UNREACHABLE
        reason = f"{error.message} {error.hint}".strip()
        self._board.move(state, reason, error.code)
        if not self._gap_reason:
            self._gap_reason = f"{state.value}: {error.message}"
        if reason not in self._said and len(self._said) < SAID_AT_MOST:
            self._said.add(reason)
            logger.info("camera %s: %s: %s", self._board.status.camera, state.value, reason)
        return state

    def _pause(self, state: CameraState) -> None:
        limit_s = _WAITS.get(state)
        wait_s = limit_s if limit_s is not None else RETRY_S * (0.5 + 0.5 * self._jitter()) * 0.2
        self._retry_now.wait(wait_s)
        if not self._stop.is_set():
            self._retry_now.clear()
