"""The footage of the measurements: real recordings, encoded anew as cameras send them.

Made once into ``build/bench``. An upscaled recording is softer than a camera's, so decoding costs a little less than on
site; every program measured gets the same files.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import PictureType
from av.video.stream import VideoStream

BUILD = Path(__file__).resolve().parents[1] / "build" / "bench"


@dataclass(frozen=True)
class Encoding:
    """How a recording is encoded.

    Attributes:
        codec: ``libx264`` or ``libx265``.
        size: width and height in pixels.
        fps: pictures a second.
        gop: pictures from one key picture to the next.
        b_frames: pictures between two that others refer to; these are not referred to.
        kbit: bits a second, thousands.
    """

    codec: str = "libx264"
    size: tuple[int, int] = (1920, 1080)
    fps: int = 25
    gop: int = 50
    b_frames: int = 2
    kbit: int = 4000

    @property
    def words(self) -> str:
        """For a report."""
        name = {"libx264": "H.264", "libx265": "H.265"}[self.codec]
        between = f"{self.b_frames} B pictures between references" if self.b_frames else "no B pictures"
        return f"{name} {self.size[0]}×{self.size[1]}, {self.fps} fps, GOP {self.gop / self.fps:g} s, {between}"


MAIN = Encoding()
SUB = Encoding(size=(640, 360), kbit=500)


def data() -> Path:
    """The folder of recordings and models.

    Raises:
        SystemExit: there is none.
    """
    folder = Path(os.environ.get("VEDETTE_DATA", "../shared/data"))
    if not (folder / "videos").is_dir():
        sys.exit(f"bench needs the footage folder; none at {folder} (set VEDETTE_DATA)")
    return folder


def recording(name: str) -> Path:
    """A recording as it is."""
    return data() / "videos" / name


def model() -> Path:
    """YOLOX-nano, 416."""
    return data() / "models" / "yolox_nano.onnx"


def encoded(name: str, encoding: Encoding = MAIN, seconds: float = 20.0) -> Path:
    """A recording encoded as a camera sends it; made where it is not there yet, repeated up to its length."""
    size = f"{encoding.size[0]}x{encoding.size[1]}"
    target = BUILD / (
        f"{Path(name).stem}-{encoding.codec}-{size}-{encoding.fps}-{encoding.gop}-{encoding.b_frames}-"
        f"{encoding.kbit}-{seconds:g}.mp4"
    )
    if target.exists():
        return target
    write(target, encoding, itertools.islice(_repeated(name, encoding.fps), round(seconds * encoding.fps)))
    return target


def write(target: Path, encoding: Encoding, pictures: Iterable[av.VideoFrame]) -> None:
    """Encode pictures of any size, one after the other at the encoding's rate."""
    BUILD.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".part.mp4")
    with av.open(str(temporary), "w") as output:
        stream = output.add_stream(encoding.codec, rate=encoding.fps, options=_options(encoding))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = encoding.size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 1000 * encoding.kbit
        stream.time_base = Fraction(1, encoding.fps)
        for number, frame in enumerate(pictures):
            picture = frame.reformat(*encoding.size, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, encoding.fps)
            # What the recording's own encoder made of it is else forced on this one.
            picture.pict_type = PictureType.NONE
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    temporary.rename(target)


def _repeated(name: str, fps: int) -> Iterator[av.VideoFrame]:
    """The recording's pictures at another rate, again and again."""
    while True:
        with av.open(str(recording(name))) as source:
            yield from _paced(source, fps)


def _options(encoding: Encoding) -> dict[str, str]:
    common = f"keyint={encoding.gop}:min-keyint={encoding.gop}:scenecut=0:bframes={encoding.b_frames}:b-adapt=0"
    if encoding.codec == "libx264":
        return {"preset": "veryfast", "x264-params": f"{common}:b-pyramid=none"}
    return {"preset": "ultrafast", "x265-params": f"{common}:b-pyramid=0:log-level=none"}


def _paced(source: av.container.InputContainer, fps: int) -> Iterator[av.VideoFrame]:
    """The recording's pictures at another rate: repeated or left out by their time."""
    due_s, last = 0.0, None
    for frame in source.decode(video=0):
        while last is not None and frame.time is not None and due_s < frame.time:
            yield last
            due_s += 1 / fps
        last = frame
