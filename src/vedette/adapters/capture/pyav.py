"""Pictures from cameras, files and V4L2 devices by way of PyAV (FFmpeg)."""

from __future__ import annotations

import hashlib
import math
import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import av
import av.error
import numpy as np
from av.codec.context import ThreadType
from av.container import InputContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from vedette.adapters.capture.damage import DamageGate, watch_losses
from vedette.adapters.capture.opening import READ_LIMIT_S, explain, foreign_peer, open_container
from vedette.contracts.camera import Transport
from vedette.contracts.errors import CameraError
from vedette.contracts.frames import FrameInfo
from vedette.contracts.packets import EncodedPacket, PictureNote, VideoStream
from vedette.core.pixels import Pixels
from vedette.core.sampling import Sampler
from vedette.core.stream import StreamProgress
from vedette.core.timeline import FileTimeline, LiveTimeline, ReorderDelay, StreamTime
from vedette.core.url_policy import CheckedUrl

#: Rates outside are mistakes of the stream description.
_FPS_RANGE: Final = (0.1, 240.0)
#: Weight of the newest interval in the measured rate.
_FPS_WEIGHT: Final = 0.05
#: Pictures are passed on as they are in these formats; others are converted.
_PLANAR: Final = {"yuv420p": False, "yuvj420p": True}
#: FFmpeg's number for full-range ("JPEG") luma.
_FULL_RANGE: Final = 2
#: A file in real time never sleeps longer at once, so that ``close`` is noticed.
_NAP_S: Final = 0.1
_DIGEST_BYTES: Final = 1 << 20
#: Packets that gave no picture, beyond those the decoder holds back to put pictures in order, that mean damage.
OWED_LIMIT: Final = 2
#: Key pictures used a second where nobody asked for pictures.
IDLE_FPS: Final = 1.0


class PyAvSource:
    """An opened camera or file: an iterator of sampled, undamaged pictures. Implements ``ports.frames.FrameSource``.

    Args:
        address: where to read from, checked.
        camera: the device's name of the camera.
        fps: pictures a second wanted, by their time stamps; all where infinite; 0 where nobody needs pictures: then
            key pictures only are decoded, once a second at most, which tells that the camera is well.
        realtime: files only: at the pace of their time stamps, or as fast as possible. As fast as possible, times,
            epoch and pictures are the same on every run.
        transport: how RTP travels.
        loop: files only: start again at the end, with a new epoch.
        threads: decoder threads. One is cheapest where there are more cameras than cores.
        gap_reason: goes into the first picture.
        packets: takes the stream's packets as they come, for evidence; None where nobody wants them.
        wall_start_s: Unix time of a file's first picture where it is read as fast as possible; the file's own
            modification time where None.
        read_limit_s: a stream without a packet for so long has failed.

    Raises:
        CameraError: V201 to V204, it cannot be opened.
    """

    def __init__(
        self,
        address: CheckedUrl,
        *,
        camera: str,
        fps: float = math.inf,
        realtime: bool = True,
        transport: Transport = Transport.AUTO,
        loop: bool = False,
        threads: int = 1,
        gap_reason: str = "",
        packets: PacketSink | None = None,
        wall_start_s: float | None = None,
        read_limit_s: float = READ_LIMIT_S,
    ) -> None:
        self._address = address
        self._read_limit_s = read_limit_s
        self._camera = camera
        self._file = address.scheme == "file"
        self._live = not self._file
        self._realtime = realtime or self._live
        self._transport = transport
        self._loop = loop and self._realtime
        self._threads = threads
        self._gap_reason = gap_reason
        self._packets = packets
        self._video: VideoStream | None = None
        self._wall_start_s = wall_start_s
        self._keys_only = False
        self._sampler = Sampler(IDLE_FPS)
        self.set_fps(fps)
        self._closed = threading.Event()
        self._reader = 0
        self._losses = watch_losses()
        self._reorder = ReorderDelay()
        self.progress = StreamProgress(last_packet_s=time.monotonic(), read_limit_s=read_limit_s)
        self._container = self._open()
        self.progress.last_packet_s = time.monotonic()  # opening has a limit of its own

    def set_fps(self, fps: float) -> None:
        """Change the rate, from any thread; no reconnection."""
        self._keys_only = fps <= 0
        self._sampler.set_fps(fps if fps > 0 else IDLE_FPS)

    def close(self) -> None:
        """End the session with the camera; idempotent.

        From another thread than the one that iterates it takes effect at the next packet: FFmpeg does not survive a
        container that is closed while it is read.
        """
        self._closed.set()
        if self._reader in (0, threading.get_ident()):
            self._container.close()

    def __iter__(self) -> Iterator[tuple[FrameInfo, Pixels]]:
        """Pictures in the order of their time; the pixels are valid until the next one is asked for.

        Raises:
            CameraError: V201, the connection was lost or no packet came; V203, it cannot be decoded.
        """
        self._reader = threading.get_ident()
        try:
            while not self._closed.is_set():
                yield from self._pictures()
                if not self._loop or self._closed.is_set():
                    return
                self._container.close()
                self._container = self._open()
        finally:
            self._reader = 0
            if self._closed.is_set():
                self._container.close()

    def _open(self) -> InputContainer:
        container = open_container(self._address, self._transport, self._read_limit_s)
        if self._address.is_network and (peer := foreign_peer(self._address)):
            container.close()
            raise CameraError(
                f"{self._address.shown} redirected to {peer}, which is not the camera's checked address.",
                hint="Configure the address the camera redirects to, if it is to be trusted.",
                code="V105",
            )
        return container

    def _pictures(self) -> Iterator[tuple[FrameInfo, Pixels]]:
        stream = self._container.streams.video[0]
        context = stream.codec_context
        context.thread_count = self._threads
        context.thread_type = ThreadType.NONE if self._threads == 1 else ThreadType.FRAME
        progress = self.progress
        progress.codec = context.name
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        frame_s = 1 / rate if _FPS_RANGE[0] <= rate <= _FPS_RANGE[1] else 0.04
        clock = _Clock(self._file, self._realtime, frame_s, self._wall_start_s, self._address.target)
        epoch = _file_epoch(self._address.target) if not self._realtime else uuid.uuid4().hex[:16]
        self._video = _video_stream(stream, epoch)
        number = -1
        meter = _RateMeter(progress)
        # AVI has no presentation times: what FFmpeg gives as such goes back and forth with B pictures.
        use_dts = self._container.format.name == "avi"
        for frame in self._frames(stream):
            number += 1
            stamp_s = frame.time
            if use_dts and frame.dts is not None and frame.time_base is not None:
                stamp_s = float(frame.dts * frame.time_base)
            if not self._keys_only:
                meter.note(stamp_s)
            if self._live and frame.pts is not None:
                self._reorder.picture(frame.pts, progress.last_packet_s)
            times = clock.next(stamp_s, progress.last_packet_s - self._reorder.seconds)
            if self._packets is not None and self._packets.wanted and frame.pts is not None:
                wall_s = clock.wall_s(times)
                self._packets.picture(PictureNote(epoch, frame.pts, number, times.media_time_s, wall_s))
            if self._file and self._realtime and not self._sleep_until(times.t_s):
                return
            if not self._sampler.wants(times.t_s):
                continue
            gap, self._gap_reason = self._gap_reason, ""
            info = FrameInfo(
                camera=self._camera,
                epoch=epoch,
                frame_no=number,
                t_s=times.t_s,
                media_time_s=times.media_time_s,
                wall_s=clock.wall_s(times),
                width=frame.width,
                height=frame.height,
                gap_reason=gap,
            )
            yield info, as_pixels(frame)

    def _frames(self, stream: Any) -> Iterator[VideoFrame]:
        """Decoded pictures that are undamaged."""
        progress = self.progress
        gate = DamageGate(time.monotonic())
        losses = self._losses.losses
        skipping = interlaced = False
        joining = True  # pictures before the first key picture are not damaged, merely of no use
        context = stream.codec_context
        owed = 0
        try:
            for packet in self._container.demux(stream):
                if self._closed.is_set():
                    return
                now_s = time.monotonic()
                if self._live and now_s - progress.last_packet_s >= self._read_limit_s:
                    # Interrupted, FFmpeg first hands out the picture it was still collecting, as if all were well.
                    raise explain(TimeoutError(), self._address, self._read_limit_s)
                if packet.size:
                    progress.last_packet_s = now_s
                    progress.packets += 1
                    progress.key_packets += packet.is_keyframe
                    if packet.is_keyframe and packet.pts is not None:
                        self._reorder.packet(packet.pts, now_s)
                    if self._packets is not None and self._packets.wanted and self._video is not None:
                        self._packets.packet(
                            EncodedPacket(self._video, bytes(packet), packet.is_keyframe, packet.pts, packet.dts, now_s)
                        )
                if packet.is_corrupt:
                    gate.damage(now_s, packet.pts)
                if self._keys_only != skipping:
                    skipping = self._keys_only
                    context.skip_frame = "NONKEY" if skipping else "DEFAULT"
                    joining = True
                    gate.damage(now_s)  # what was skipped is missing as a reference
                try:
                    frames = packet.decode()
                except av.error.EOFError:
                    frames = []
                except (av.error.InvalidDataError, av.error.PatchWelcomeError):
                    frames = []
                    gate.damage(now_s, packet.pts)
                    progress.corrupt += 1
                if self._losses.losses != losses:  # packets lost on the way here, or trouble in decoding
                    losses = self._losses.losses
                    gate.damage(now_s, packet.pts)
                # A decoder that misses what a picture refers to may swallow it, and some more, without a word.
                owed = 0 if skipping else owed + bool(packet.size) - len(frames)
                if owed > context.reorder_depth + self._threads - 1 + OWED_LIMIT:
                    owed = 0
                    if not interlaced:  # two packets may make one picture
                        gate.damage(now_s)
                for frame in frames:
                    if not isinstance(frame, VideoFrame):
                        continue
                    interlaced = frame.interlaced_frame
                    if gate.passes(key=bool(frame.key_frame), corrupt=frame.is_corrupt, now_s=now_s, pts=frame.pts):
                        progress.decoded += 1
                        progress.width, progress.height = frame.width, frame.height
                        progress.waiting_for_key_s = None
                        joining = False
                        yield frame
                        if self._closed.is_set():  # while the picture was in use: the container is gone
                            return
                    else:
                        progress.corrupt += bool(frame.is_corrupt) or not joining
                progress.waiting_for_key_s = gate.closed_since_s
        except (av.error.FFmpegError, OSError) as error:
            if self._closed.is_set():
                return
            raise explain(error, self._address, self._read_limit_s) from None
        if self._live and not self._closed.is_set():
            raise CameraError(f"{self._address.shown}: the camera ended the connection.", hint="Trying again at once.")

    def _sleep_until(self, t_s: float) -> bool:
        """Keep a file's pace; False where the source was closed meanwhile."""
        while (wait_s := t_s - time.monotonic()) > 0:
            self.progress.last_packet_s = time.monotonic()
            if self._closed.wait(min(wait_s, _NAP_S)):
                return False
        return True


class PacketSink(Protocol):
    """Takes packets, and which pictures came out of them."""

    @property
    def wanted(self) -> bool:
        """Whether they are of use at the moment; nothing is copied where they are not."""
        ...

    def packet(self, packet: EncodedPacket) -> None:
        """Take a packet as it came."""
        ...

    def picture(self, note: PictureNote) -> None:
        """Take the note of a picture that came out of a packet."""
        ...


def _video_stream(stream: Any, epoch: str) -> VideoStream:
    context = stream.codec_context
    return VideoStream(
        epoch=epoch,
        codec=context.name,
        time_base=stream.time_base,
        extradata=bytes(context.extradata or b""),
    )


class _Clock:
    """Times of the pictures of one epoch, live or from a file."""

    def __init__(self, file: bool, realtime: bool, frame_s: float, wall_start_s: float | None, path: str) -> None:
        self._live = None if file else LiveTimeline()
        self._file = FileTimeline(frame_s) if file else None
        self._realtime = realtime
        self._start_s: float | None = None
        self._wall_start_s = 0.0
        if not realtime:
            self._wall_start_s = os.stat(path).st_mtime if wall_start_s is None else wall_start_s

    def next(self, stamp_s: float | None, arrival_s: float) -> StreamTime:
        if self._live is not None:
            return self._live.next(stamp_s, arrival_s)
        assert self._file is not None
        times = self._file.next(stamp_s)
        if not self._realtime:
            return times
        if self._start_s is None:
            self._start_s = time.monotonic()
        return StreamTime(self._start_s + times.media_time_s, times.media_time_s)

    def wall_s(self, times: StreamTime) -> float:
        """Unix time of a picture by this device's clock, as the clock stands now."""
        if self._realtime:
            return time.time() - (time.monotonic() - times.t_s)
        return self._wall_start_s + times.media_time_s


class _RateMeter:
    """Pictures a second by the stream's own time stamps, smoothed."""

    def __init__(self, progress: StreamProgress) -> None:
        self._progress = progress
        self._last_s: float | None = None
        self._interval_s = 0.0

    def note(self, stamp_s: float | None) -> None:
        last_s, self._last_s = self._last_s, stamp_s
        if stamp_s is None or last_s is None or not 1 / _FPS_RANGE[1] <= stamp_s - last_s <= 1 / _FPS_RANGE[0]:
            return
        step_s = stamp_s - last_s
        self._interval_s = (
            step_s if not self._interval_s else self._interval_s + _FPS_WEIGHT * (step_s - self._interval_s)
        )
        self._progress.fps = 1 / self._interval_s


def as_pixels(frame: VideoFrame) -> Pixels:
    """Views of a decoded picture's planes; formats other than 4:2:0 planar are converted (one copy)."""
    full_range = _PLANAR.get(frame.format.name)
    if full_range is None:
        full_range = frame.format.name.startswith("yuvj") or int(frame.color_range) == _FULL_RANGE
        target = "yuvj420p" if full_range else "yuv420p"
        frame = frame.reformat(format=target)
    else:
        full_range = full_range or int(frame.color_range) == _FULL_RANGE
    chroma = ((frame.height + 1) // 2, (frame.width + 1) // 2)
    return Pixels(
        _plane(frame, 0, frame.height, frame.width),
        _plane(frame, 1, *chroma),
        _plane(frame, 2, *chroma),
        full_range,
    )


def _plane(frame: VideoFrame, index: int, height: int, width: int) -> NDArray[np.uint8]:
    plane = frame.planes[index]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[:height, :width]


def _file_epoch(path: str) -> str:
    """A name for a file's content, so that a backtest names its pictures alike on every run."""
    digest = hashlib.sha256(str(Path(path).stat().st_size).encode())
    with open(path, "rb") as file:
        digest.update(file.read(_DIGEST_BYTES))
    return f"file-{digest.hexdigest()[:12]}"
