"""Packets in, undamaged pictures out; and as few packets decoded as what is wanted allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import av.error
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from vedette.adapters.capture.damage import DamageGate, LossWatch
from vedette.adapters.capture.planes import as_pixels
from vedette.contracts.manifest import Motion
from vedette.core.motion_gate import thumbnail
from vedette.core.nal import is_reference
from vedette.core.rest import GROUP_LIMIT_BYTES, Groups, Sizes, Stillness, Wake
from vedette.core.stream import StreamProgress

#: Pictures that are shown before a key picture and sent after it are not longer before it; else its time has jumped.
_BEFORE_KEY_S: Final = 1
#: Packets that gave no picture, beyond those the decoder holds back to put pictures in order, that mean damage.
OWED_LIMIT: Final = 2


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture that may be used.

    Attributes:
        frame: the picture.
        arrived_s: monotonic time at which the packet came after which it was known.
        alone: whether it was decoded by itself: nothing was held back, and the pictures before it were not decoded
            because nothing moved.
    """

    frame: VideoFrame
    arrived_s: float
    alone: bool = False


class PacketDecoder:
    """Decodes packets and keeps damaged pictures out.

    Args:
        context: of the stream.
        progress: counters, kept up to date.
        losses: counts what FFmpeg reports as lost.
        threads: of the decoder.

    Attributes:
        keys_only: only key pictures are wanted.
    """

    def __init__(self, context: VideoCodecContext, progress: StreamProgress, losses: LossWatch, threads: int) -> None:
        self.keys_only = False
        self._context = context
        self._progress = progress
        self._losses = losses
        self._lost = losses.losses
        self._threads = threads
        self._gate = DamageGate(progress.last_packet_s)
        self._skipping = self._interlaced = False
        self._joining = True  # pictures before the first key picture are not damaged, merely of no use
        self._owed = 0

    def lost(self) -> bool:
        """Whether FFmpeg has reported a loss that is not known yet; it stays so until the next packet is decoded."""
        return self._losses.losses != self._lost

    def decode(self, packet: Packet[Any], now_s: float) -> Iterator[Decoded]:
        """The pictures that a packet completes."""
        gate, progress, context = self._gate, self._progress, self._context
        if packet.is_corrupt:
            gate.damage(now_s, packet.pts)
        if self.keys_only != self._skipping:
            self._skipping = self.keys_only
            context.skip_frame = "NONKEY" if self._skipping else "DEFAULT"
            self._joining = True
            gate.damage(now_s)  # what was skipped is missing as a reference
        try:
            frames = packet.decode()
        except av.error.EOFError:
            frames = []
        except (av.error.InvalidDataError, av.error.PatchWelcomeError):
            frames = []
            gate.damage(now_s, packet.pts)
            progress.corrupt += 1
        if self.lost():  # packets lost on the way here, or trouble in decoding
            self._lost = self._losses.losses
            gate.damage(now_s, packet.pts)
        # A decoder that misses what a picture refers to may swallow it, and some more, without a word.
        self._owed = 0 if self._skipping else self._owed + bool(packet.size) - len(frames)
        if self._owed > context.reorder_depth + self._threads - 1 + OWED_LIMIT:
            self._owed = 0
            if not self._interlaced:  # two packets may make one picture
                gate.damage(now_s)
        for frame in frames:
            if isinstance(frame, VideoFrame) and self._passes(frame, now_s):
                yield Decoded(frame, now_s)
        progress.waiting_for_key_s = gate.closed_since_s

    def decode_alone(self, packet: Packet[Any], now_s: float) -> Decoded | None:
        """A key picture by itself, at once; None where it is damaged. Pictures that the decoder holds are lost."""
        self.begin_anew()
        frames: list[object] = []
        try:
            frames += packet.decode()
            frames += self._context.decode(None)
        except av.error.FFmpegError:
            return None
        finally:
            self.begin_anew()
        if packet.is_corrupt or self.lost() or len(frames) != 1:
            return None
        (frame,) = frames
        if not isinstance(frame, VideoFrame) or not self._passes(frame, now_s):
            return None
        frame.time_base = packet.time_base  # what the decoder held back does not know it
        return Decoded(frame, now_s, True)

    def begin_anew(self) -> None:
        """Forget what was decoded; the next packet begins with a key picture."""
        self._context.flush_buffers()
        self._owed = 0

    def _passes(self, frame: VideoFrame, now_s: float) -> bool:
        progress = self._progress
        self._interlaced = frame.interlaced_frame
        if self._gate.passes(key=bool(frame.key_frame), corrupt=frame.is_corrupt, now_s=now_s, pts=frame.pts):
            progress.decoded += 1
            progress.width, progress.height = frame.width, frame.height
            progress.waiting_for_key_s = None
            self._joining = False
            return True
        progress.corrupt += bool(frame.is_corrupt) or not self._joining
        return False


class RestingDecoder:
    """Decodes everything while something moves, and key pictures only while nothing does.

    Args:
        decoder: does the decoding.
        progress: told whether it rests.
        codec: FFmpeg's name of the codec.
    """

    def __init__(self, decoder: PacketDecoder, progress: StreamProgress, codec: str) -> None:
        self._decoder = decoder
        self._progress = progress
        self._codec = codec
        self._groups = Groups()
        self._sizes = Sizes()
        self._rest: Motion | None = None
        self._still: Stillness | None = None
        self._kept: list[tuple[Packet[Any], float]] = []
        self._kept_bytes = 0
        self._known_s: float | None = None

    def set_rest(self, rest: Motion | None) -> None:
        """When it may rest; None: never. A change takes effect with the next packet."""
        if rest != self._rest:
            self._rest = rest
            self._still = Stillness(rest) if rest is not None else None

    def look(self, frame: VideoFrame, t_s: float) -> None:
        """Note a picture that is used (monotonic seconds); what moves in it keeps everything decoded."""
        if self._still is not None and not self._progress.resting:
            self._still.picture(thumbnail(as_pixels(frame).y), t_s)

    def decode(self, packet: Packet[Any], now_s: float) -> Iterator[Decoded]:
        """The pictures that are known with a packet; those that were passed over come first where something moves."""
        if not packet.size:  # the end
            yield from self._decoder.decode(packet, now_s)
            return
        self._groups.note(key=packet.is_keyframe, size=packet.size, arrival_s=now_s)
        if not self._progress.resting:
            if not (packet.is_keyframe and self._may_rest(now_s)):
                if self._still is not None and not packet.is_keyframe:
                    self._sizes.note(packet.size, reference=self._is_reference(packet))
                yield from self._plain(packet, now_s)
                return
            self._progress.resting = True
        wake = self._wake(packet)
        if packet.is_keyframe and wake is None:
            alone = self._decoder.decode_alone(packet, now_s)
            if alone is None:
                wake = Wake.DAMAGE
            elif self._still is None or self._still.moved(thumbnail(as_pixels(alone.frame).y)):
                wake = Wake.PICTURE
            else:
                self._kept, self._kept_bytes = [], 0
                self._known_s = alone.frame.time
                yield alone
        self._kept.append((packet, now_s))
        self._kept_bytes += packet.size
        if wake is not None:
            yield from self._catch_up(now_s)

    def _may_rest(self, now_s: float) -> bool:
        still = self._still
        return (
            still is not None and still.settled(now_s) and self._groups.fit(still.bound_s) and not self._decoder.lost()
        )

    def _wake(self, packet: Packet[Any]) -> Wake | None:
        """What a packet says by itself."""
        if self._still is None or packet.is_corrupt or self._decoder.lost():
            return Wake.DAMAGE
        if self._kept_bytes + packet.size > 2 * GROUP_LIMIT_BYTES:
            return Wake.ROOM
        if not packet.is_keyframe and self._sizes.jumped(packet.size, reference=self._is_reference(packet)):
            return Wake.PACKET
        return None

    def _is_reference(self, packet: Packet[Any]) -> bool:
        return is_reference(memoryview(packet), self._codec)

    def _plain(self, packet: Packet[Any], now_s: float) -> Iterator[Decoded]:
        for decoded in self._decoder.decode(packet, now_s):
            time_s, known_s = decoded.frame.time, self._known_s
            if time_s is not None and known_s is not None and known_s - _BEFORE_KEY_S < time_s <= known_s:
                continue  # the key picture is known already, by itself; those shown before it came before
            self._known_s = None
            yield decoded

    def _catch_up(self, now_s: float) -> Iterator[Decoded]:
        """Decode what was passed over since the key picture before."""
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        self._progress.resting = False
        if self._still is not None:
            self._still.stir(now_s)
        self._decoder.begin_anew()
        for packet, arrived_s in kept:
            yield from self._plain(packet, arrived_s)
