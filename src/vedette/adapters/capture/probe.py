"""Looks at one stream for some seconds: what it is, measured and not only declared."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import av.error
from av.codec.context import ThreadType
from av.container import InputContainer
from av.video.frame import PictureType, VideoFrame

from vedette.adapters.capture.knock import wait_for_answer
from vedette.adapters.capture.opening import (
    OPEN_LIMIT_S,
    explain,
    foreign_peer,
    open_container,
    opening_limit_s,
    sound_codec,
)
from vedette.contracts.camera import Transport
from vedette.contracts.errors import CameraError, ConfigurationError
from vedette.core.redact import redact
from vedette.core.url_policy import CheckedUrl, camera_policy, check_url

#: A stream without a packet for so long has failed. More patient than capture: somebody is watching.
SILENCE_LIMIT_S: Final = 3.5
#: Pictures really decoded; of the rest the packets are enough, so that a slow machine can look at any stream.
DECODED_PICTURES: Final = 100
#: Packets kept for the figures: ten minutes at 60 pictures a second.
PACKET_LIMIT: Final = 36_000

_CODEC_NAMES: Final = {"h264": "H.264", "hevc": "H.265", "mjpeg": "MJPEG"}


@dataclass(frozen=True, slots=True)
class Probe:
    """What a stream is. Holds no credentials.

    Attributes:
        source: the address, for people.
        transport: ``tcp`` or ``udp``; ``file`` and ``device`` where nothing travels.
        codec: as people write it: ``H.264``.
        profile: of the coding; empty where it has none.
        pixel_format: FFmpeg's name.
        width: of the first picture, pixels.
        height: of the first picture, pixels.
        fps: pictures a second by their time stamps; 0 where there was one picture only.
        fps_declared: what the stream description says; 0 where it says nothing.
        longest_pause_s: between two pictures, by their time stamps.
        key_interval_min_s: between two key pictures; None where fewer than two came.
        key_interval_max_s: likewise.
        key_wait_s: time at the end without a key picture, where it is longer than any interval measured.
        b_frames: most bidirectional pictures in a row.
        first_picture_s: from opening to the first decoded picture.
        bitrate_kbps: of the pictures.
        sound: coding of the sound, which is ignored; empty where there is none.
        measured_s: stream time looked at.
        pictures: how many came.
        damaged: packets or pictures that were not what the camera had sent.
        live: a camera, not a file.
    """

    source: str
    transport: str
    codec: str
    profile: str
    pixel_format: str
    width: int
    height: int
    fps: float
    fps_declared: float
    longest_pause_s: float
    key_interval_min_s: float | None
    key_interval_max_s: float | None
    key_wait_s: float | None
    b_frames: int
    first_picture_s: float
    bitrate_kbps: float
    sound: str
    measured_s: float
    pictures: int
    damaged: int
    live: bool


@dataclass(slots=True)
class _Seen:
    """What the packets and pictures showed so far; times in seconds of the stream."""

    stamps_s: list[float] = field(default_factory=list)
    keys_s: list[float] = field(default_factory=list)
    unstamped_key: bool = False
    ended: bool = False
    size_bytes: int = 0
    packets: int = 0
    damaged: int = 0
    decoded: int = 0
    b_frames: int = 0
    b_run: int = 0
    first: VideoFrame | None = None
    first_after_s: float = 0.0

    @property
    def span_s(self) -> float:
        return max(self.stamps_s) - min(self.stamps_s) if self.stamps_s else 0.0

    def stamp_first_key(self) -> None:
        """FFmpeg gives the first RTP packet no time: the rate says when it was."""
        ordered_s = sorted(set(self.stamps_s))
        if self.unstamped_key and len(ordered_s) > 1:
            gap_s = statistics.median(after - before for before, after in itertools.pairwise(ordered_s))
            self.stamps_s.insert(0, ordered_s[0] - gap_s)
            self.keys_s.insert(0, ordered_s[0] - gap_s)
            self.unstamped_key = False

    def picture(self, frame: VideoFrame, after_s: float) -> None:
        if frame.is_corrupt:
            self.damaged += 1
        elif self.first is None and frame.key_frame:
            self.first, self.first_after_s = frame, after_s
        self.decoded += 1
        self.b_run = self.b_run + 1 if frame.pict_type == PictureType.B else 0
        self.b_frames = max(self.b_frames, self.b_run)


def probe_stream(
    address: CheckedUrl,
    transport: Transport = Transport.AUTO,
    *,
    seconds: float = 10.0,
    on_progress: Callable[[float], None] | None = None,
    resolve: Callable[[str], Sequence[str]] = lambda _name: (),
    clock: Callable[[], float] = time.monotonic,
) -> Probe:
    """Open a camera, file or device, and measure.

    Args:
        address: checked, with the credentials.
        transport: how RTP travels.
        seconds: stream time to look at, from the first packet on; a file may end earlier.
        on_progress: called with the seconds measured so far.
        resolve: host name → addresses, for a redirect.
        clock: monotonic seconds.

    Raises:
        CameraError: V201 to V204, each with what to do.
        ConfigurationError: V105, the camera sends us to another host.
    """
    open_limit_s = OPEN_LIMIT_S
    if address.is_network:
        address, open_limit_s = _knock(address, resolve)
    started_s = clock()
    container = open_container(address, transport, SILENCE_LIMIT_S, open_limit_s)
    try:
        if address.is_network and (peer := foreign_peer(address)):
            raise _elsewhere(address, peer)
        stream = container.streams.video[0]
        if getattr(stream, "codec_context", None) is None:
            raise CameraError(
                f"{address.shown}: the coding of its pictures is not known here.",
                hint="Set the camera to H.264.",
                code="V203",
            )
        sound = _sound_of(container)
        seen = _watch(container, address, transport, seconds, started_s, on_progress, clock)
        return _result(container, address, transport, seen, sound)
    finally:
        container.close()


def with_sound(probe: Probe, address: CheckedUrl, transport: Transport) -> Probe:
    """The same, with the sound of a network camera, which takes a second session."""
    return replace(probe, sound=sound_codec(address, transport)) if address.is_network else probe


def _knock(address: CheckedUrl, resolve: Callable[[str], Sequence[str]]) -> tuple[CheckedUrl, float]:
    """Whether something that speaks RTSP is there; the address to open and how long that may take."""
    stop = threading.Event()
    reasons: list[str] = []

    def failed(reason: str) -> None:
        reasons.append(reason)
        stop.set()

    answer = wait_for_answer(address, stop, failed)
    if answer is None:
        raise CameraError(
            f"{address.shown}: {reasons[0] if reasons else 'no answer'}.",
            hint="Check that the camera is on, that this machine reaches its network, and the port (554 is usual).",
        )
    open_limit_s = opening_limit_s(answer.after_s)
    if not answer.location:
        return address, open_limit_s
    try:
        target = check_url(answer.location, camera_policy(), resolve)
    except OSError:
        raise _elsewhere(address, redact(answer.location)) from None
    if not set(target.addresses) <= set(address.addresses):
        raise _elsewhere(address, target.shown)
    return replace(target, username=address.username, password=address.password), open_limit_s


def _elsewhere(address: CheckedUrl, where: str) -> ConfigurationError:
    return ConfigurationError(
        f"{address.shown} redirects to {where}, another host.",
        hint="Probe that address itself, if it is to be trusted.",
        code="V105",
    )


def _sound_of(container: InputContainer) -> str:
    for stream in container.streams.audio:
        context = getattr(stream, "codec_context", None)
        return context.name if context is not None else "unknown"
    return ""


def _watch(
    container: InputContainer,
    address: CheckedUrl,
    transport: Transport,
    seconds: float,
    started_s: float,
    on_progress: Callable[[float], None] | None,
    clock: Callable[[], float],
) -> _Seen:
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = ThreadType.NONE
    seen = _Seen()
    live = address.scheme != "file"
    by_decoding = container.format.name == "avi"  # its presentation times go back and forth
    last_s = clock()
    try:
        for packet in container.demux(stream):
            now_s = clock()
            if live and now_s - last_s >= SILENCE_LIMIT_S:  # FFmpeg first hands out what it was still collecting
                raise av.error.TimeoutError(0, "")
            last_s = now_s
            _take(packet, seen, by_decoding=by_decoding, elapsed_s=lambda: clock() - started_s)
            if on_progress is not None:
                on_progress(min(seen.span_s, seconds))
            # Time stamps may stand still or jump; the clock ends the measurement of a camera all the same.
            over = now_s - started_s > 2 * seconds + SILENCE_LIMIT_S
            if seen.span_s >= seconds or seen.packets >= PACKET_LIMIT or (live and over):
                return seen
    except (av.error.FFmpegError, OSError) as error:
        raise _failed(error, address, transport, seen) from None
    if live:
        raise CameraError(
            f"{address.shown}: the camera ended the connection.", hint="Look again; if it stays, restart it."
        )
    seen.ended = True
    return seen


def _take(packet: Any, seen: _Seen, *, by_decoding: bool, elapsed_s: Callable[[], float]) -> None:
    """Note one packet, and the pictures that come out of it."""
    if packet.size:
        stamp = packet.dts if by_decoding or packet.pts is None else packet.pts
        seen.packets += 1
        seen.size_bytes += packet.size
        seen.damaged += bool(packet.is_corrupt)
        if stamp is not None:
            stamp_s = float(stamp * packet.time_base)
            seen.stamps_s.append(stamp_s)
            if packet.is_keyframe:
                seen.keys_s.append(stamp_s)
        elif not seen.stamps_s and packet.is_keyframe:
            seen.unstamped_key = True
    if seen.decoded >= DECODED_PICTURES and seen.first is not None:
        return
    try:
        frames = packet.decode()
    except av.error.EOFError:
        return
    except (av.error.InvalidDataError, av.error.PatchWelcomeError):
        seen.damaged += 1
        return
    for frame in frames:
        seen.picture(frame, elapsed_s())


def _failed(error: Exception, address: CheckedUrl, transport: Transport, seen: _Seen) -> CameraError:
    silent = isinstance(error, av.error.ExitError | av.error.TimeoutError | TimeoutError)
    if silent and transport is Transport.UDP and not seen.packets:
        return CameraError(
            f"{address.shown}: the camera answers, but none of its UDP packets arrives.",
            hint="A firewall or a router in between drops them; try --transport tcp.",
        )
    return explain(error, address, SILENCE_LIMIT_S)


def _result(container: InputContainer, address: CheckedUrl, transport: Transport, seen: _Seen, sound: str) -> Probe:
    first = seen.first
    context = container.streams.video[0].codec_context
    codec = _CODEC_NAMES.get(context.name, context.name)
    if first is None:
        raise _no_picture(address, codec, seen)
    seen.stamp_first_key()
    stamps_s = sorted(set(seen.stamps_s)) if seen.ended else complete_stamps(seen.stamps_s)
    span_s = stamps_s[-1] - stamps_s[0] if stamps_s else 0.0
    gaps_s = [after - before for before, after in itertools.pairwise(stamps_s)]
    keys_s = sorted(set(seen.keys_s))
    between_s = [after - before for before, after in itertools.pairwise(keys_s)]
    waited_s = stamps_s[-1] - keys_s[-1] if keys_s and stamps_s else seen.span_s
    rate = container.streams.video[0].average_rate
    live = address.scheme != "file"
    return Probe(
        source=address.shown,
        transport=_way(address, transport),
        codec=codec,
        profile=context.profile or "",
        pixel_format=first.format.name,
        width=first.width,
        height=first.height,
        fps=len(gaps_s) / span_s if span_s > 0 else 0.0,
        fps_declared=float(rate) if rate else 0.0,
        longest_pause_s=max(gaps_s, default=0.0),
        key_interval_min_s=min(between_s, default=None),
        key_interval_max_s=max(between_s, default=None),
        key_wait_s=waited_s if waited_s > max(between_s, default=0.0) + statistics.median(gaps_s or [0.0]) else None,
        b_frames=seen.b_frames,
        first_picture_s=seen.first_after_s,
        bitrate_kbps=seen.size_bytes * 8 / 1000 / seen.span_s if seen.span_s > 0 else 0.0,
        sound=sound,
        measured_s=span_s,
        pictures=len(stamps_s),
        damaged=seen.damaged,
        live=live,
    )


def complete_stamps(stamps_s: Sequence[float]) -> list[float]:
    """Time stamps in order, without the ends where pictures are missing only because the look began and ended there.

    Bidirectional pictures come after the later picture that they refer to: those of the last such picture may not
    have come yet, and those before the first picture refer to one that came before.

    Args:
        stamps_s: seconds, in the order of arrival.
    """
    if not stamps_s:
        return []
    latest_s = before_s = stamps_s[0]
    reordered = False
    for stamp_s in stamps_s[1:]:
        if stamp_s > latest_s:
            before_s, latest_s = latest_s, stamp_s
        else:
            reordered = True
    end_s = before_s if reordered else latest_s
    return sorted({stamp_s for stamp_s in stamps_s if stamps_s[0] <= stamp_s <= end_s})


def _way(address: CheckedUrl, transport: Transport) -> str:
    if address.scheme == "file":
        return "file"
    if address.scheme == "v4l2":
        return "device"
    return "udp" if transport is Transport.UDP else "tcp"


def _no_picture(address: CheckedUrl, codec: str, seen: _Seen) -> CameraError:
    if not seen.packets:
        return CameraError(f"{address.shown} holds no pictures.", hint="Check the file or address.", code="V203")
    if not seen.keys_s:
        return CameraError(
            f"{address.shown}: no key picture within {seen.span_s:.0f} s; nothing can be shown without one.",
            hint="Set the camera's key-frame interval to 1 or 2 seconds, or measure longer with --seconds.",
            code="V203",
        )
    return CameraError(
        f"{address.shown}: none of {seen.packets} packets of {codec} could be decoded.",
        hint="Set the camera to H.264, and look for packet loss on the way.",
        code="V203",
    )
