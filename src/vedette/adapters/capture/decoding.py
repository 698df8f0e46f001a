"""Packets in, undamaged pictures out; and as few packets decoded as what is wanted allows."""

from __future__ import annotations

import logging
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av.error
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from vedette.adapters.capture.damage import DamageGate, LossWatch, PacketWatch
from vedette.adapters.capture.planes import ReadyPicture, as_pixels
from vedette.contracts.manifest import Motion
from vedette.core.motion_gate import thumbnail
from vedette.core.nal import Slice, first_slice, length_size
from vedette.core.rest import GROUP_LIMIT_BYTES, LATE, Groups, Sizes, Stillness, Wake
from vedette.core.stream import StreamProgress

logger = logging.getLogger(__name__)

#: Pictures that are shown before a key picture and sent after it are not longer before it; else its time has jumped.
_BEFORE_KEY_S: Final = 1
#: Pictures that wait for their turn; more than a decoder holds back, and than lie between two that it is given.
_WAITING_LIMIT: Final = 64
#: Packets that gave no picture, beyond those the decoder holds back to put pictures in order, that mean damage.
OWED_LIMIT: Final = 2


@dataclass(frozen=True, slots=True)
class SparedPicture:
    """A picture that was not decoded because nobody needs it, with as much of ``VideoFrame`` as is known.

    Attributes:
        pts: time stamp of presentation, in units of the stream's time base.
        dts: time stamp of decoding; None where unknown.
        time: time stamp of presentation, seconds.
        time_base: seconds a unit.
    """

    pts: int
    dts: int | None
    time: float
    time_base: Fraction


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture in its turn.

    Attributes:
        frame: the picture; one that was spared has its place in the order, and no pixels.
        arrived_s: monotonic time at which the packet came after which it was known.
        alone: whether it was decoded by itself: nothing was held back, and the pictures before it were not decoded
            because nothing moved.
    """

    frame: VideoFrame | ReadyPicture | SparedPicture
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
        will_take: whether a picture of this time stamp will be wanted when its turn comes, once those of these time
            stamps have come, seconds; None: all are wanted. What is not wanted and no other picture refers to is not
            decoded.
    """

    def __init__(self, context: VideoCodecContext, progress: StreamProgress, losses: LossWatch, threads: int) -> None:
        self.keys_only = False
        self.will_take: Callable[[float, Sequence[float]], bool] | None = None
        self._context = context
        extradata = bytes(context.extradata or b"")
        self._length_bytes = length_size(extradata, context.name)
        self._watch = PacketWatch(losses, context.name, extradata)
        self._layered = False
        self._awaited_s: list[float] = []  # of what was given to the decoder and has not come out, in order
        self._spared: list[Decoded] = []  # in order, until their turn
        self._progress = progress
        self._threads = threads
        self._gate = DamageGate(progress.last_packet_s)
        self._skipping = self._interlaced = False
        self._joining = True  # pictures before the first key picture are not damaged, merely of no use
        self._owed = 0

    def take_loss(self) -> bool:
        """Whether FFmpeg has reported a loss since this was asked, or a packet decoded."""
        return self._watch.take_loss()

    def suspect(self) -> None:
        """Something was lost before the next packet, or in it."""
        self._watch.suspect()

    def pass_over(self, packet: Packet[Any]) -> None:
        """A packet is not decoded, and is not missing either."""
        self._watch.damaged(packet)

    def decode(self, packet: Packet[Any], now_s: float) -> Iterator[Decoded]:
        """The pictures that a packet completes."""
        gate, progress, context = self._gate, self._progress, self._context
        if self._watch.damaged(packet):
            gate.damage(now_s, packet.pts)
        if packet.is_keyframe and packet.pts is not None:
            gate.key(packet.pts)
        if not self.keys_only and self._spares(packet, now_s):
            return
        if self.keys_only != self._skipping:
            self._skipping = self.keys_only
            context.skip_frame = "NONKEY" if self._skipping else "DEFAULT"
            self._joining = True
            gate.damage(now_s)  # what was skipped is missing as a reference
            self._watch.begin()
        try:
            frames = packet.decode()
        except av.error.EOFError:
            frames = []
        except av.error.FFmpegError:  # damaged parameter sets are refused in many ways
            frames = []
            gate.damage(now_s, packet.pts)
            progress.corrupt += 1
        if self.take_loss():  # trouble in decoding
            gate.damage(now_s, packet.pts)
        # A decoder that misses what a picture refers to may swallow it, and some more, without a word.
        self._owed = 0 if self._skipping else self._owed + bool(packet.size) - len(frames)
        if self._owed > context.reorder_depth + self._threads - 1 + OWED_LIMIT:
            self._owed = 0
            if not self._interlaced:  # two packets may make one picture
                gate.damage(now_s)
        for frame in frames:
            self._came(frame.time)
            good_before = gate.closed_since_s is None
            good, before = self._passes(frame, now_s), self._in_turn(frame.pts)
            if good_before and good:
                yield from before
            if good:
                yield Decoded(frame, now_s)
        if not packet.size:
            yield from self._in_turn(None)
        progress.waiting_for_key_s = gate.closed_since_s

    def decode_alone(self, packet: Packet[Any], now_s: float) -> VideoFrame | None:
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
        if self.take_loss() or packet.is_corrupt or len(frames) != 1:
            return None
        (frame,) = frames
        if not isinstance(frame, VideoFrame) or not self._passes(frame, now_s):
            return None
        frame.time_base = packet.time_base  # what the decoder held back does not know it
        return frame

    def slice_of(self, packet: Packet[Any]) -> Slice:
        """What a packet's picture says of itself."""
        return first_slice(memoryview(packet), self._context.name, self._length_bytes)

    def begin_anew(self) -> None:
        """Forget what was decoded; the next packet begins with a key picture."""
        self._context.flush_buffers()
        self._watch.forget()
        self._owed = 0
        self._spared.clear()
        self._awaited_s.clear()

    def _spares(self, packet: Packet[Any], now_s: float) -> bool:
        """Whether a packet need not be decoded: no picture refers to its own, which will not be wanted."""
        pts, unit_s = packet.pts, packet.time_base
        if not packet.size or pts is None or unit_s is None:
            return False
        time_s = float(pts * unit_s)
        if self._may_spare(packet) and self.will_take is not None:
            before = self._awaited_s[: bisect_left(self._awaited_s, time_s)]
            if not self.will_take(time_s, before):
                insort(self._spared, Decoded(SparedPicture(pts, packet.dts, time_s, unit_s), now_s), key=_shown)
                del self._spared[:-_WAITING_LIMIT]
                return True
        insort(self._awaited_s, time_s)
        del self._awaited_s[:-_WAITING_LIMIT]
        return False

    def _may_spare(self, packet: Packet[Any]) -> bool:
        """Whether no picture refers to that of a packet.

        In H.265 with temporal layers, pictures of a higher one may refer to one to which none of its own layer does.
        Of two packets that make one interlaced picture, one may be referred to and the other not.
        """
        seen = self.slice_of(packet)
        self._layered = self._layered or seen.layer > 0
        return not (seen.reference or self._layered or self._interlaced or packet.is_corrupt)

    def _came(self, time_s: float | None) -> None:
        if time_s is not None:
            del self._awaited_s[: bisect_right(self._awaited_s, time_s)]

    def _in_turn(self, before: int | None) -> list[Decoded]:
        """Take the spared pictures that are shown before another; None: all."""
        count = len(self._spared) if before is None else bisect_left(self._spared, before, key=_shown)
        turn, self._spared = self._spared[:count], self._spared[count:]
        return turn

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


def _shown(decoded: Decoded) -> int:
    return decoded.frame.pts or 0


class RestingDecoder:
    """Decodes everything while something moves, and key pictures only while nothing does.

    Args:
        decoder: does the decoding.
        progress: told whether it rests.
    """

    def __init__(self, decoder: PacketDecoder, progress: StreamProgress) -> None:
        self._decoder = decoder
        self._progress = progress
        self._groups = Groups()
        self._sizes = Sizes()
        self._rest: Motion | None = None
        self._still: Stillness | None = None
        self._kept: list[_Kept] = []
        self._kept_bytes = 0
        self._known_s: float | None = None

    def set_rest(self, rest: Motion | None) -> None:
        """When it may rest; None: never. A change takes effect with the next packet."""
        if rest != self._rest:
            self._rest = rest
            self._still = Stillness(rest) if rest is not None else None

    def look(self, frame: VideoFrame | ReadyPicture, t_s: float) -> None:
        """Note a picture that is used (monotonic seconds); what moves in it keeps everything decoded."""
        if self._still is None or self._progress.resting:
            return
        if self._still.picture(thumbnail(as_pixels(frame).y), t_s):
            self._sizes = Sizes()  # what is usual is learnt anew: motion makes packets larger

    def decode(self, packet: Packet[Any], now_s: float) -> Iterator[Decoded]:
        """The pictures that are known with a packet; those that were passed over come first where something moves."""
        if not packet.size:  # the end
            yield from self._decoder.decode(packet, now_s)
            return
        self._groups.note(key=packet.is_keyframe, size=packet.size, arrival_s=now_s)
        if not self._progress.resting:
            if not (packet.is_keyframe and self._may_rest(now_s)):
                if self._still is not None and not packet.is_keyframe:
                    self._sizes.note(packet.size, reference=self._decoder.slice_of(packet).reference)
                yield from self._plain(packet, now_s)
                return
            self._progress.resting = True
        kept = _Kept(packet, now_s, self._decoder.take_loss())
        wake = self._wake(kept)
        if packet.is_keyframe and wake is None:
            alone = self._decoder.decode_alone(packet, now_s)
            if alone is None:
                wake = Wake.DAMAGE
            elif self._still is None or self._still.moved(thumbnail(as_pixels(alone).y)):
                wake = Wake.PICTURE
            else:
                self._kept, self._kept_bytes = [], 0
                self._known_s = alone.time
                yield Decoded(alone, now_s, True)
        self._kept.append(kept)
        self._kept_bytes += packet.size
        if wake is not None:
            logger.debug("decoding again: %s", wake.value)
            yield from self._catch_up(now_s)

    def _may_rest(self, now_s: float) -> bool:
        still = self._still
        return still is not None and still.settled(now_s) and self._groups.fit(still.bound_s)

    def _wake(self, kept: _Kept) -> Wake | None:
        """What a packet says by itself."""
        packet = kept.packet
        if self._still is None or packet.is_corrupt or kept.lost:
            return Wake.DAMAGE
        if self._kept and kept.arrived_s - self._kept[0].arrived_s > LATE * self._still.bound_s:
            return Wake.LATE
        if self._kept_bytes + packet.size > 2 * GROUP_LIMIT_BYTES:
            return Wake.ROOM
        if not packet.is_keyframe and self._sizes.jumped(
            packet.size, reference=self._decoder.slice_of(packet).reference
        ):
            return Wake.PACKET
        return None

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
        begun_s = time.monotonic()
        first = kept[0].packet.pts if kept[0].packet.is_keyframe else None
        for one in kept:
            # It takes a while, in which nothing is read: that is no silence of the camera.
            self._progress.last_packet_s = time.monotonic()
            if one.lost:
                self._decoder.suspect()
            if first is not None and one.packet.pts is not None and one.packet.pts < first:
                self._decoder.pass_over(one.packet)  # shown before the key picture and refers to what is not decoded
                continue
            yield from self._plain(one.packet, one.arrived_s)
        self._progress.last_packet_s = time.monotonic()
        self._progress.away_s = time.monotonic() - begun_s


@dataclass(frozen=True, slots=True)
class _Kept:
    """A packet that was passed over, when it came, and whether something was lost before it."""

    packet: Packet[Any]
    arrived_s: float
    lost: bool
