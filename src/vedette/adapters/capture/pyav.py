"""Pictures from cameras, files and V4L2 devices by way of PyAV (FFmpeg)."""

from __future__ import annotations

import hashlib
import math
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import av
import av.error
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet

from vedette.adapters.capture.clock import FPS_RANGE, PictureClock, RateMeter
from vedette.adapters.capture.damage import watch_losses
from vedette.adapters.capture.decoding import Decoded, PacketDecoder, RestingDecoder, SparedPicture
from vedette.adapters.capture.gstreamer import GstDecoder, GstUse
from vedette.adapters.capture.opening import (
    OPEN_LIMIT_S,
    READ_LIMIT_S,
    explain,
    foreign_peer,
    open_container,
)
from vedette.adapters.capture.planes import as_pixels
from vedette.contracts.camera import Transport
from vedette.contracts.errors import CameraError
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Motion
from vedette.contracts.packets import EncodedPacket, PictureNote, VideoStream
from vedette.core.pixels import Pixels
from vedette.core.sampling import Sampler
from vedette.core.stream import StreamProgress
from vedette.core.timeline import Lag, ReorderDelay
from vedette.core.url_policy import CheckedUrl

#: A file in real time never sleeps longer at once, so that ``close`` is noticed.
_NAP_S: Final = 0.1
_DIGEST_BYTES: Final = 1 << 20
#: A file in real time stands at its first picture for no longer than this: one that nobody needs comes to its end too.
STAND_S: Final = 30.0
#: Key pictures used a second where nobody asked for pictures.
IDLE_FPS: Final = 1.0


class PyAvSource:
    """An opened camera or file: an iterator of sampled, undamaged pictures. Implements ``ports.frames.FrameSource``.

    Args:
        address: where to read from, checked.
        camera: the device's name of the camera.
        fps: pictures a second wanted, by their time stamps; all where infinite; 0 where nobody needs pictures: then
            key pictures only are decoded, once a second at most, which tells that the camera is well. A file in real
            time stands at its first picture until pictures are wanted, half a minute at most: who comes a little later
            misses nothing.
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
        open_limit_s: a camera that takes longer to open has failed.
        gstreamer: where GStreamer is to decode; None: FFmpeg does. With GStreamer everything is decoded all the time.

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
        open_limit_s: float = OPEN_LIMIT_S,
        gstreamer: GstUse | None = None,
    ) -> None:
        self._address = address
        self._read_limit_s = read_limit_s
        self._open_limit_s = open_limit_s
        self._camera = camera
        self._file = address.scheme == "file"
        self._live = not self._file
        self._realtime = realtime or self._live
        self._transport = transport
        self._loop = loop and self._realtime
        self._threads = threads
        self._gap_reason = gap_reason
        self._packets = packets
        self._gstreamer = gstreamer
        self._video: VideoStream | None = None
        self._wall_start_s = wall_start_s
        self._unwanted = False
        self._ahead_s: float | None = None  # time of a picture, less its time stamp
        self._rest: Motion | None = None
        self._resting: RestingDecoder | None = None
        self._sampler = Sampler(IDLE_FPS)
        self._closed = threading.Event()
        self._begun = threading.Event()
        if not (self._file and realtime):
            self._begun.set()
        self.set_fps(fps)
        self._reader = 0
        self._losses = watch_losses()
        self._reorder = ReorderDelay()
        self.progress = StreamProgress(last_packet_s=time.monotonic(), read_limit_s=read_limit_s)
        self._container = self._open()
        self.progress.last_packet_s = time.monotonic()  # opening has a limit of its own

    def set_fps(self, fps: float) -> None:
        """Change the rate, from any thread; no reconnection."""
        self._unwanted = fps <= 0
        self._sampler.set_fps(fps if fps > 0 else IDLE_FPS)
        if fps > 0:
            self._begun.set()

    @property
    def _keys_only(self) -> bool:
        """Whether key pictures are enough; not where a file stands, whose next picture refers to the first."""
        return self._unwanted and self._begun.is_set()

    def set_rest(self, rest: Motion | None) -> None:
        """When decoding may rest because nothing moves, from any thread; None: never."""
        self._rest = rest

    def close(self) -> None:
        """End the session with the camera; idempotent.

        From another thread than the one that iterates it takes effect at the next packet: FFmpeg does not survive a
        container that is closed while it is read.
        """
        self._closed.set()
        self._begun.set()
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
        container = open_container(self._address, self._transport, self._read_limit_s, self._open_limit_s)
        if self._address.is_network and (peer := foreign_peer(self._address)):
            container.close()
            raise CameraError(
                f"{self._address.shown} redirected to {peer}, which is not the camera's checked address.",
                hint="Configure the address the camera redirects to, if it is to be trusted.",
                code="V105",
            )
        return container

    def _pictures(self) -> Iterator[tuple[FrameInfo, Pixels]]:
        stream, progress = self._container.streams.video[0], self.progress
        clock, epoch = self._begin(stream)
        number = -1
        meter, lag = RateMeter(progress), Lag()
        use_dts = self._uses_dts()
        self._ahead_s = None
        moved_s = 0.0  # time of the last picture before which everything was decoded
        for decoded in self._frames(stream):
            frame = decoded.frame
            number += 1
            stamp_s = frame.time
            if use_dts and frame.dts is not None and frame.time_base is not None:
                stamp_s = float(frame.dts * frame.time_base)
            arrived_s = decoded.arrived_s
            if not decoded.alone:
                if not self._keys_only:
                    meter.note(stamp_s)
                if self._live and frame.pts is not None:
                    self._reorder.picture(frame.pts, arrived_s)
                arrived_s -= self._reorder.seconds
            if self._live and stamp_s is not None:
                progress.behind_s = lag.note(stamp_s, arrived_s)
            if progress.away_s:
                clock.away(progress.away_s)
                progress.away_s = 0.0
            times = clock.next(stamp_s, arrived_s)
            self._ahead_s = None if stamp_s is None else times.t_s - stamp_s
            if not decoded.alone:
                moved_s = times.t_s
            if self._packets is not None and self._packets.wanted and frame.pts is not None:
                wall_s = clock.wall_s(times)
                self._packets.picture(PictureNote(epoch, frame.pts, number, times.media_time_s, wall_s))
            if self._file and self._realtime and not self._sleep_until(times.t_s):
                return
            if isinstance(frame, SparedPicture) or not self._sampler.wants(times.t_s):
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
                still_s=times.t_s - moved_s if decoded.alone and moved_s else 0.0,
            )
            if self._resting is not None:
                self._resting.look(frame, times.t_s)
            yield info, as_pixels(frame)
            if not self._begun.is_set():
                for again in self._standing(info, clock):
                    number = again.frame_no
                    yield again, as_pixels(frame)

    def _standing(self, info: FrameInfo, clock: PictureClock) -> Iterator[FrameInfo]:
        """The picture at which a file stands, again and again until pictures are wanted."""
        end_s = time.monotonic() + STAND_S
        while not self._begun.wait(1 / IDLE_FPS) and time.monotonic() < end_s:
            times = clock.stand(info.media_time_s)
            self.progress.last_packet_s = times.t_s
            wall_s = clock.wall_s(times)
            info = replace(info, frame_no=info.frame_no + 1, t_s=times.t_s, wall_s=wall_s, gap_reason="")
            yield info
        self._begun.set()
        clock.stand(info.media_time_s)

    def _begin(self, stream: Any) -> tuple[PictureClock, str]:
        """Set up what a stream's pictures need; their clock and epoch."""
        context = stream.codec_context
        context.thread_count = self._threads
        context.thread_type = ThreadType.NONE if self._threads == 1 else ThreadType.FRAME
        self.progress.codec = context.name
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        frame_s = 1 / rate if FPS_RANGE[0] <= rate <= FPS_RANGE[1] else 0.04
        clock = PictureClock(self._file, self._realtime, frame_s, self._wall_start_s, self._address.target)
        epoch = uuid.uuid4().hex[:16] if self._realtime else _file_epoch(self._address.target)
        self._video = _video_stream(stream, epoch)
        return clock, epoch

    def _uses_dts(self) -> bool:
        """AVI has no presentation times: what FFmpeg gives as such goes back and forth with B pictures."""
        return bool(self._container.format.name == "avi")

    def _will_take(self, time_s: float, before_s: Sequence[float]) -> bool:
        """Whether the picture of a time stamp will be used, once those of other time stamps have come."""
        ahead_s = self._ahead_s
        if ahead_s is None:
            return True
        sampler = self._sampler.copy()
        for each_s in before_s:
            sampler.wants(each_s + ahead_s)
        return sampler.due(time_s + ahead_s)

    def _received(self) -> Iterator[tuple[Packet[Any], float]]:
        """Packets as they come, with their time of arrival."""
        progress = self.progress
        asked_s = time.monotonic()
        try:
            for packet in self._container.demux(self._container.streams.video[0]):
                if self._closed.is_set():
                    return
                now_s = time.monotonic()
                if self._live and now_s - asked_s >= self._read_limit_s:
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
                yield packet, now_s
                asked_s = time.monotonic()  # decoding may have taken long on a busy machine: the camera was not silent
        except (av.error.FFmpegError, OSError) as error:
            if self._closed.is_set():
                return
            raise explain(error, self._address, self._read_limit_s) from None
        if self._live and not self._closed.is_set():
            raise CameraError(f"{self._address.shown}: the camera ended the connection.", hint="Trying again at once.")

    def _frames(self, stream: Any) -> Iterator[Decoded]:
        """Decoded pictures that are undamaged."""
        if self._gstreamer is not None:
            losses, shown = self._losses, self._address.shown
            by_gstreamer = self._gstreamer.decoder(stream.codec_context, self.progress, losses, shown)
            if by_gstreamer is not None:
                yield from self._frames_by_gstreamer(by_gstreamer)
                return
        decoder = PacketDecoder(stream.codec_context, self.progress, self._losses, self._threads)
        decoder.will_take = None if self._uses_dts() else self._will_take
        self._resting = RestingDecoder(decoder, self.progress)
        for packet, now_s in self._received():
            decoder.keys_only = self._keys_only
            # A file in real time is not asked to rest: its pace is that of its pictures.
            self._resting.set_rest(self._rest if self._live and not self._keys_only else None)
            for decoded in self._resting.decode(packet, now_s):
                yield decoded
                if self._closed.is_set():  # while the picture was in use: the container is gone
                    return

    def _frames_by_gstreamer(self, decoder: GstDecoder) -> Iterator[Decoded]:
        with closing(decoder):
            for packet, now_s in self._received():
                decoder.keys_only = self._keys_only
                for decoded in decoder.decode(packet, now_s):
                    yield decoded
                    if self._closed.is_set():
                        return

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


def _file_epoch(path: str) -> str:
    """A name for a file's content, so that a backtest names its pictures alike on every run."""
    digest = hashlib.sha256(str(Path(path).stat().st_size).encode())
    with open(path, "rb") as file:
        digest.update(file.read(_DIGEST_BYTES))
    return f"file-{digest.hexdigest()[:12]}"
