"""Damaged streams through the depacketiser, decoder and gate of the product: `python -m ... JSON`, a JSON line a stream.

The RTP packets come from memory instead of a socket; everything behind that is what a camera's process runs.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final
from unittest import mock

import av
import av.error
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from tests.faults import nal_damage
from tests.faults.nal_damage import Count
from vedette.adapters.capture import pyav
from vedette.adapters.capture.opening import TCP_HELD_BACK
from vedette.adapters.capture.planes import as_pixels
from vedette.adapters.engines.onnx import load_detector
from vedette.contracts.camera import CameraConfig
from vedette.contracts.errors import CameraError
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Manifest
from vedette.contracts.packets import EncodedPacket, PictureNote
from vedette.contracts.plan import AttachedApplication
from vedette.core.detections import Detections
from vedette.core.judge import Judge
from vedette.core.pixels import Pixels
from vedette.core.plan import make_plan
from vedette.core.url_policy import CheckedUrl
from vedette.pipeline.look import Looker
from vedette.pipeline.track import PipelineTracker
from vedette.testing.camera.bitstream import Codec
from vedette.testing.camera.media import CLOCK_HZ, Media
from vedette.testing.camera.sdp import describe
from vedette.testing.models import bright_rectangle

#: Pictures of one stream.
UNITS: Final = 480
#: After 280,000 bytes FFmpeg wants to write a report to where it reads from, which a feed does not take.
FEED_LIMIT_BYTES: Final = 250_000
#: A group of 8 x 8 pixels is that much off where coding was coarse: what is more is another picture.
NOISE: Final = 12.0
ADDRESS: Final = CheckedUrl("rtsp", "127.0.0.1", 554, ("127.0.0.1",), "/")


@dataclass(slots=True)
class Tally:
    """What came of one stream.

    Attributes:
        mode: what was damaged.
        nals: NAL units sent.
        damaged: of them (or of the RTP packets that carry them).
        pictures: handed to analysis.
        wrong: of them, not what was encoded.
        plainly: of them, by more than the noise of coding.
        alerts: of a rule that has none on the undamaged stream.
        stopped: the stream was given up with an error of the product's own.
    """

    mode: str
    nals: int = 0
    damaged: int = 0
    pictures: int = 0
    wrong: int = 0
    plainly: int = 0
    alerts: int = 0
    stopped: int = 0


class Feed:
    """A session description and RTP packets, as a file of which each read gives one packet."""

    name = "feed"

    def __init__(self, media: Media, packets: Iterator[bytes]) -> None:
        self.description = describe(media, name="cam", host="127.0.0.1", session=1)
        self._parts = iter((self.description, b""))
        self._packets = packets
        self._position = 0

    def read(self, _size: int) -> bytes:
        part = next(self._parts, None)
        if part is None:
            part = next(self._packets, b"") if self._position < FEED_LIMIT_BYTES else b""
        self._position += len(part)
        return part

    def seek(self, _offset: int, _whence: int) -> int:
        return self._position

    def tell(self) -> int:
        return self._position

    def open(self) -> Any:
        """What FFmpeg makes of it, with the options of a camera on TCP."""
        options = {"sdp_flags": "custom_io", "analyzeduration": "0", "probesize": "32"}
        options["reorder_queue_size"] = str(TCP_HELD_BACK)
        container = av.open(self, "r", format="sdp", options=options)
        # The description ends like a file; a seek to where it stands makes FFmpeg read on.
        container.seek(len(self.description), unsupported_byte_offset=True)
        return container


class Notes:
    """Time stamps of pictures by their number."""

    wanted = True

    def __init__(self) -> None:
        self.stamps: dict[int, int] = {}

    def packet(self, packet: EncodedPacket) -> None: ...

    def picture(self, note: PictureNote) -> None:
        self.stamps[note.frame_no] = note.pts


class Truth:
    """What the pictures of a clip look like, undamaged, by their time stamp."""

    def __init__(self, media: Media, codec: Codec) -> None:
        self.duration = media.duration
        decoder = av.CodecContext.create({"h265": "hevc"}.get(codec, codec), "r")
        self.pictures: dict[int, NDArray[np.uint8]] = {}
        for unit in [*media.units, None]:
            packet = None
            if unit is not None:
                packet = av.Packet(b"".join(b"\0\0\0\1" + nal for nal in (*unit.parameter_sets, *unit.nals)))
                packet.pts = unit.pts
            for frame in decoder.decode(packet):  # type: ignore[attr-defined]
                self.pictures[frame.pts] = flat(as_pixels(frame))
        self.known = {picture.tobytes(): stamp for stamp, picture in self.pictures.items()}
        assert len(self.known) == len(media.units)

    def difference(self, picture: NDArray[np.uint8], stamp: int | None) -> float:
        """How far the worst block of 8 x 8 is from the truth; 0 where every pixel is right."""
        if stamp is None:
            return 0.0 if picture.tobytes() in self.known else 255.0
        truth = self.pictures.get(stamp % self.duration)
        if truth is None or truth.shape != picture.shape:
            return 255.0
        if np.array_equal(truth, picture):
            return 0.0
        luma = (nal_damage.HEIGHT // 8, 8, nal_damage.WIDTH // 8, 8)
        size = nal_damage.HEIGHT * nal_damage.WIDTH
        off = np.abs(truth[:size].astype(np.int16) - picture[:size]).reshape(luma)
        return max(0.01, float(off.mean(axis=(1, 3)).max()))


def flat(pixels: Pixels) -> NDArray[np.uint8]:
    return np.concatenate([pixels.y.ravel(), pixels.u.ravel(), pixels.v.ravel()])


class Analysis:
    """A model that finds what is bright, the tracker and two rules that have nothing to say of the undamaged clip."""

    def __init__(self, folder: Path) -> None:
        model = folder / "rectangle.onnx"
        model.write_bytes(bright_rectangle(size=(64, 64)))
        rules = {
            "crossed": {"type": "line_crossed", "line": [[0.6, 0.0], [0.6, 1.0]], "anchor": "center"},
            "entered": {
                "type": "zone_entered",
                "zone": [[0.6, 0.0], [1.0, 0.0], [1.0, 1.0], [0.6, 1.0]],
                "anchor": "center",
            },
        }
        manifest = Manifest.model_validate(
            {
                "api": "vedette/v1",
                "name": "damage",
                "cameras": {"cam": {}},
                "models": {"things": {"family": "yolox", "file": str(model), "labels": ["thing", "other"]}},
                "pipelines": {"all": {"model": "things", "cameras": ["cam"], "fps": nal_damage.FPS}},
                "rules": rules,
            }
        )
        application = AttachedApplication(manifest=manifest, directory=str(folder), bindings={"cam": ("cam",)}, code={})
        self._plan = make_plan([application], [CameraConfig(name="cam", url="rtsp://127.0.0.1/")])
        (self._model,) = self._plan.models
        detector = load_detector(self._model.model, Path(self._model.file))
        self._looker, self._labels = Looker(detector), detector.labels
        self._known: dict[bytes, Detections] = {}
        self.begin()

    def begin(self) -> None:
        """A new stream."""
        self._tracker = PipelineTracker(self._model.pipelines[0], self._labels)
        self._judge = Judge("device", self._plan.rules)

    def alerts(self, info: FrameInfo, pixels: Pixels, right: bytes | None) -> int:
        """Alerts that one picture causes.

        Args:
            right: the picture's bytes where it is as it should be: such pictures are looked at once.
        """
        found = self._known.get(right) if right is not None else None
        if found is None:
            found = self._looker.look(pixels)
            if right is not None:
                self._known[right] = found
        return len(self._judge.judge(self._tracker.track(info, found)))


def gated(feed: Feed, notes: Notes) -> Iterator[tuple[FrameInfo, Pixels, int | None]]:
    """Pictures as a camera's process hands them on."""
    with mock.patch.object(pyav, "open_container", return_value=feed.open()):
        source = pyav.PyAvSource(ADDRESS, camera="cam", packets=notes)
    try:
        for info, pixels in source:
            yield info, pixels, notes.stamps.get(info.frame_no)
    finally:
        source.close()


def ungated(feed: Feed) -> Iterator[tuple[FrameInfo, Pixels, int | None]]:
    """Pictures as the decoder alone gives them."""
    with feed.open() as container:
        for number, packet in enumerate(container.demux(container.streams.video[0])):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                if isinstance(frame, VideoFrame):
                    info = FrameInfo("cam", "e", number, number / 25, number / 25, 0.0, frame.width, frame.height)
                    yield info, as_pixels(frame), frame.pts


def stream(media: Media, truth: Truth, analysis: Analysis, asked: Asked, mode_name: str, seed: int) -> Tally:
    """One stream from its first packet to its last."""
    count, mode = Count(), nal_damage.MODES[mode_name]
    feed = Feed(media, nal_damage.packets(media, mode_name, count, random.Random(seed), UNITS, asked.share))
    tally, notes, last_s, offset = Tally(mode_name), Notes(), 0.0, None
    analysis.begin()
    try:
        for info, pixels, stamp in gated(feed, notes) if asked.gate else ungated(feed):
            tally.pictures += 1
            if not asked.judged:
                continue
            picture = flat(pixels)
            if offset is None:  # FFmpeg counts from the first packet that it keeps; the first picture is a whole one
                offset = truth.known[picture.tobytes()] - (stamp or 0)
            stamp = None if stamp is None else stamp + offset
            difference = truth.difference(picture, stamp if mode.timed else None)
            tally.wrong += difference > 0
            tally.plainly += difference > NOISE
            # Packets come faster than a camera sends them; the rules are told the camera's own pace.
            last_s = max(last_s + 0.001, (stamp or 0) / CLOCK_HZ if mode.timed else last_s + 1 / nal_damage.FPS)
            timed = replace(info, t_s=last_s, media_time_s=last_s, wall_s=1e9 + last_s)
            tally.alerts += analysis.alerts(timed, pixels, picture.tobytes() if difference == 0 else None)
    except CameraError as error:
        tally.stopped += "ended the connection" not in error.message
    tally.nals, tally.damaged = count.nals, count.damaged
    return tally


@dataclass(frozen=True, slots=True)
class Asked:
    """What a process is to do.

    Attributes:
        name: of the clip.
        seed: of its first stream; the next ones count on.
        damaged: NAL units after which it ends, and ``seconds`` after which it ends, whatever comes first.
        gate: whether pictures come by way of the product, or of the decoder alone.
        judged: whether pictures are compared and analysed.
        share: of NAL units that are damaged; that of the mode where 0.
    """

    name: str
    seed: int
    damaged: int
    seconds: float
    gate: bool = True
    judged: bool = True
    share: float = 0.0


def main() -> None:
    asked = Asked(**json.loads(sys.argv[1]))
    media = nal_damage.encode(asked.name)
    truth, seed, damaged = Truth(media, media.codec), asked.seed, 0
    modes, end_s = tuple(nal_damage.MODES), time.monotonic() + asked.seconds
    with tempfile.TemporaryDirectory() as folder:
        analysis = Analysis(Path(folder))
        while damaged < asked.damaged and time.monotonic() < end_s:
            tally = stream(media, truth, analysis, asked, modes[seed % len(modes)], seed)
            damaged += tally.damaged
            seed += 1
            print(json.dumps(asdict(tally)), flush=True)


if __name__ == "__main__":
    main()
