"""Decoding with GStreamer, for the sake of decoders that FFmpeg does not have: NVIDIA's ``nvv4l2decoder``.

FFmpeg still opens the camera and receives its packets, so the address policy, credentials, limits and evidence are the
same whoever decodes, and GStreamer never sees an address or a password. Only whole packets of undamaged groups go into
the pipeline: after a loss nothing until the next key picture, since what a decoder in hardware makes of missing
references is its own affair.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from av.packet import Packet

from vedette.adapters.capture.damage import DamageGate, LossWatch, PacketWatch
from vedette.adapters.capture.decoding import Decoded
from vedette.adapters.capture.gst_library import Gst, GstError, Pipeline, Sample
from vedette.adapters.capture.planes import ReadyPicture
from vedette.contracts.errors import CameraError
from vedette.core.stream import StreamProgress

logger = logging.getLogger(__name__)

#: FFmpeg's name of a codec → GStreamer's media type, form of the stream with an ``avcC`` or ``hvcC`` record, parser.
_CODECS: Final = {
    "h264": ("video/x-h264", "avc", "h264parse"),
    "hevc": ("video/x-h265", "hvc1", "h265parse"),
}
#: Decoder, the codecs it has, and what brings its pictures into ordinary memory. In the order of preference.
_HARDWARE: Final = (("nvv4l2decoder", ("h264", "hevc"), "nvvidconv"),)
_SOFTWARE: Final = (
    ("avdec_h264", ("h264",), "videoconvert"),
    ("avdec_h265", ("hevc",), "videoconvert"),
    ("openh264dec", ("h264",), "videoconvert"),
)
#: Settings of a decoder. One thread, as FFmpeg is given: more cameras than cores are the rule.
_SETTINGS: Final = {"avdec_h264": " max-threads=1", "avdec_h265": " max-threads=1"}

#: What people install on Debian and Ubuntu, JetPack among them.
NEEDED: Final = "Packages: gstreamer1.0-plugins-base, gstreamer1.0-plugins-bad; on a Jetson also nvidia-l4t-gstreamer."

#: Pictures ready at once; the pipeline waits for those to be taken, so that memory is bounded and none is lost.
_READY: Final = 4
#: A picture that is due is waited for this long. Less than from one picture to the next at 25 a second.
_WAIT_S: Final = 0.03
#: At the end of a file.
_END_WAIT_S: Final = 2.0
#: Every so many packets what the decoder keeps back is measured anew.
_MEASURE_EVERY: Final = 25
#: Packets without their picture that mean that the decoder hangs; decoders keep back 16 pictures at most by H.264.
OWED_LIMIT: Final = 64
#: Time stamps within the pipeline begin here, so that those a little before the first are not negative.
_ORIGIN_US: Final = 3_600_000_000
#: A first packet without time stamp counts as so much earlier than the next.
_BEFORE_US: Final = 1_000_000
#: So many packets in a row without time stamps, and the stream has none.
_UNSTAMPED_LIMIT: Final = 50
#: Time stamps that jump back by more begin a new pipeline.
_JUMP_US: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Elements:
    """What decodes a codec here.

    Attributes:
        decoder: element.
        converter: element that brings its pictures into ordinary memory as I420.
    """

    decoder: str
    converter: str


def find_elements(gst: Gst, codec: str, *, software: bool) -> Elements | None:
    """The elements for a codec by FFmpeg's name; None where there are none here.

    Args:
        gst: GStreamer.
        codec: such as ``h264``.
        software: whether decoders on the processor are good enough.
    """
    if codec not in _CODECS or not gst.has(_CODECS[codec][2]):
        return None
    for decoder, codecs, converter in _HARDWARE + (_SOFTWARE if software else ()):
        if codec in codecs and gst.has(decoder) and gst.has(converter):
            return Elements(decoder, converter)
    return None


@dataclass(frozen=True, slots=True)
class GstUse:
    """That GStreamer is to decode.

    Attributes:
        gst: GStreamer.
        required: whether it has to: then also with decoders on the processor, and it is an error where there are none.
            Else only where the hardware has a decoder.
    """

    gst: Gst
    required: bool

    def decoder(self, context: Any, progress: StreamProgress, losses: LossWatch, shown: str) -> GstDecoder | None:
        """A decoder for a stream; None where FFmpeg is to decode it: it is neither H.264 nor H.265, or see above.

        Args:
            context: FFmpeg's codec context of the stream.
            progress: counters, kept up to date.
            losses: counts what FFmpeg reports as lost.
            shown: the camera for error messages, without credentials.

        Raises:
            CameraError: V203, GStreamer has no decoder and is required, or its pipeline does not start.
        """
        codec = context.name
        elements = find_elements(self.gst, codec, software=self.required)
        if elements is not None:
            extradata = bytes(context.extradata or b"")
            return GstDecoder(self.gst, codec, extradata, elements, progress, losses, shown)
        if self.required and codec in _CODECS:
            wanted = [name for name, codecs, _ in _HARDWARE + _SOFTWARE if codec in codecs]
            raise CameraError(
                f"{shown} cannot be decoded: GStreamer has no decoder for {codec} here; "
                f"looked for {_CODECS[codec][2]} with one of {', '.join(wanted)}.",
                hint=f"Install one, or choose `decoder: ffmpeg` or `auto`. {NEEDED}",
                code="V203",
            )
        return None


def pipeline_text(codec: str, elements: Elements, extradata: bytes) -> str:
    """A pipeline from packets to I420 in the notation of ``gst-launch``. It holds nothing of the camera's address.

    Args:
        codec: ``h264`` or ``hevc``.
        elements: what decodes.
        extradata: of the stream; where it is an ``avcC`` or ``hvcC`` record, packets have lengths, else start codes.
    """
    media, form, parser = _CODECS[codec]
    if extradata[:1] == b"\1":
        caps = f"{media},stream-format={form},alignment=au,codec_data=(buffer){extradata.hex()}"
    else:
        caps = f"{media},stream-format=byte-stream,alignment=au"
    decoder = elements.decoder + _SETTINGS.get(elements.decoder, "")
    return (
        f'appsrc name=in format=time max-bytes=0 caps="{caps}" ! {parser} ! {decoder} ! {elements.converter}'
        f" ! video/x-raw,format=I420 ! appsink name=out sync=false async=false max-buffers={_READY} drop=false"
    )


@dataclass(frozen=True, slots=True)
class _Sent:
    """A packet whose picture has not come out yet."""

    pts: int | None
    dts: int | None
    time_base: Fraction
    key: bool


class GstDecoder:
    """Decodes packets and keeps damaged pictures out. The counterpart of ``decoding.PacketDecoder``.

    Args:
        gst: GStreamer.
        codec: ``h264`` or ``hevc``.
        extradata: of the stream.
        elements: what decodes.
        progress: counters, kept up to date.
        losses: counts what FFmpeg reports as lost on the way here.
        shown: the camera for error messages, without credentials.

    Attributes:
        keys_only: only key pictures are wanted.

    Raises:
        CameraError: V203, the pipeline does not start.
    """

    def __init__(
        self,
        gst: Gst,
        codec: str,
        extradata: bytes,
        elements: Elements,
        progress: StreamProgress,
        losses: LossWatch,
        shown: str,
    ) -> None:
        self.keys_only = False
        self._gst = gst
        self._elements = elements
        self._shown = shown
        progress.decoder = elements.decoder
        self._text = pipeline_text(codec, elements, extradata)
        # Sequence and picture parameters that only the stream description had go before each key picture.
        self._before_key = extradata if extradata[:1] != b"\1" else b""
        self._progress = progress
        self._watch = PacketWatch(losses, codec, extradata)
        self._gate = DamageGate(progress.last_packet_s)
        self._skipping = False
        self._joining = True  # pictures before the first key picture are not damaged, merely of no use
        self._unstamped = 0
        self._awaiting = True  # nothing is decoded until the next key picture
        self._floor_us = 0  # pictures before the key picture that was joined at refer to those before it
        self._start()

    def close(self) -> None:
        """End the pipeline; idempotent."""
        self._pipeline.close()

    def decode(self, packet: Packet[Any], now_s: float) -> Iterator[Decoded]:
        """The pictures that are complete with a packet.

        Raises:
            CameraError: V203, the decoder fails or gives no pictures.
        """
        pushed = bool(packet.size) and self._takes(packet, now_s)
        if pushed:
            self._push(packet)
        if not packet.size:
            self._pipeline.end()
        yield from self._ready(now_s, measure=pushed and self._pushed % _MEASURE_EVERY == 0, end=not packet.size)
        self._check(now_s)
        self._progress.waiting_for_key_s = self._gate.closed_since_s

    def _start(self) -> None:
        try:
            self._pipeline = Pipeline(self._gst, self._text)
        except GstError as error:
            raise self._unusable(str(error)) from None
        self._sent: dict[int, _Sent] = {}
        self._base_us: int | None = None
        self._last_us = 0
        self._pushed = self._kept_back = self._pictures = 0

    def _begin_anew(self, now_s: float) -> None:
        self._pipeline.close()
        self._start()
        self._damage(now_s)

    def _damage(self, now_s: float, pts: int | None = None) -> None:
        self._gate.damage(now_s, pts)
        self._awaiting = True

    def _takes(self, packet: Packet[Any], now_s: float) -> bool:
        """Whether a packet is to be decoded."""
        if self.keys_only != self._skipping:
            self._skipping = self.keys_only
            self._joining = True
            self._damage(now_s)  # what was skipped is missing as a reference
        damaged = self._watch.damaged(packet)
        first = not self._pushed and self._base_us is None
        self._unstamped = self._unstamped + 1 if packet.pts is None else 0
        if self._unstamped > _UNSTAMPED_LIMIT:
            raise self._unusable("its packets have no time stamps")
        # The first packet of a live stream has none: FFmpeg does not yet know where the stream's time begins.
        if damaged or (packet.pts is None and not first):
            self._damage(now_s, packet.pts)
            self._progress.corrupt += 1
            return False
        stamp_us = self._stamp_us(packet)
        if stamp_us < 0 or stamp_us < self._last_us - _JUMP_US:
            self._begin_anew(now_s)
            stamp_us = self._stamp_us(packet)
        if packet.is_keyframe:
            if self._awaiting:
                self._awaiting, self._floor_us = False, stamp_us
            return True
        if self._skipping:
            return False
        if self._awaiting or stamp_us < self._floor_us:
            self._progress.corrupt += not self._joining
            return False
        return True

    def _stamp_us(self, packet: Packet[Any]) -> int:
        """Time stamp within the pipeline. Whole microseconds: V4L2 decoders know no finer ones."""
        if packet.pts is None:
            return _ORIGIN_US - _BEFORE_US
        stamp_us = round(Fraction(packet.pts) * (packet.time_base or Fraction(1, 90_000)) * 1_000_000)
        if self._base_us is None:
            self._base_us = stamp_us - _ORIGIN_US
        return stamp_us - self._base_us

    def _push(self, packet: Packet[Any]) -> None:
        stamp_us = self._last_us = self._stamp_us(packet)
        key = packet.is_keyframe
        self._sent[stamp_us] = _Sent(packet.pts, packet.dts, packet.time_base or Fraction(1, 90_000), key)
        try:
            self._pipeline.push(self._before_key + bytes(packet) if key else bytes(packet), stamp_us)
        except GstError as error:
            raise self._unusable(str(error)) from None
        self._pushed += 1

    def _ready(self, now_s: float, *, measure: bool, end: bool) -> Iterator[Decoded]:
        """Pictures that have come out, waiting a moment for one that is due."""
        while True:
            due = bool(self._sent) and (measure or end or len(self._sent) > self._kept_back)
            try:
                sample = self._pipeline.pull((_END_WAIT_S if end else _WAIT_S) if due else 0)
            except GstError as error:
                raise self._unusable(str(error)) from None
            if sample is None:
                if due:
                    self._kept_back = len(self._sent)  # so many it needs to put them in order
                return
            decoded = self._passed(sample, now_s)
            if decoded is not None:
                yield decoded

    def _passed(self, sample: Sample, now_s: float) -> Decoded | None:
        """A picture with what is known of its packet; None where it may not be used."""
        sent = self._sent.pop(sample.stamp_us, None)
        swallowed = [stamp_us for stamp_us in self._sent if stamp_us < sample.stamp_us]
        for stamp_us in swallowed:
            del self._sent[stamp_us]
        # A decoder leaves out what it cannot decode, and some more, without a word. It is given packets all the same:
        # some decode a key picture that is no fresh start (H.264's recovery points) only where those before it were.
        if sent is None or swallowed:
            self._progress.corrupt += len(swallowed)
            self._gate.damage(now_s)
        if sent is None:
            return None
        progress, pixels = self._progress, sample.pixels
        if not self._gate.passes(key=sent.key, corrupt=sample.corrupt, now_s=now_s, pts=sent.pts):
            progress.corrupt += sample.corrupt or not self._joining
            return None
        self._joining = False
        self._pictures += 1
        progress.decoded += 1
        progress.width, progress.height = pixels.width, pixels.height
        return Decoded(ReadyPicture(pixels, sent.pts, sent.dts, sent.time_base), now_s)

    def _check(self, now_s: float) -> None:
        """Notice a pipeline that has failed or hangs."""
        trouble = self._pipeline.error()
        if not trouble and len(self._sent) > OWED_LIMIT:
            trouble = f"{len(self._sent)} packets gave no picture"
        if not trouble:
            return
        if not self._pictures:
            raise self._unusable(trouble)
        logger.warning("%s: GStreamer's %s begins anew: %s", self._shown, self._elements.decoder, trouble)
        self._progress.corrupt += len(self._sent)
        self._begin_anew(now_s)

    def _unusable(self, why: str) -> CameraError:
        self._progress.decoder_failed = True
        return CameraError(
            f"{self._shown} cannot be decoded by GStreamer's {self._elements.decoder}: {why}.",
            hint="`decoder: ffmpeg` of the camera decodes on the processor.",
            code="V203",
        )
