"""Writes a clip in which nobody can be recognised: decoded, covered picture by picture, encoded anew."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from vedette.adapters.evidence.cover import fill_all
from vedette.adapters.evidence.drawings import Drawings
from vedette.adapters.evidence.masker import PeopleMasker
from vedette.adapters.evidence.video import pictures_of
from vedette.contracts.errors import EvidenceError
from vedette.ports.evidence import ClipCut, Masker, Picture, WrittenClip

#: Ticks of a second in the file, as is usual for video.
_TIME_BASE: Final = Fraction(1, 90_000)
#: Bits a second that the encoder may use, per pixel of a picture; at least and at most.
_BITS_PER_PIXEL: Final = 3
_LEAST_BITS, _MOST_BITS = 400_000, 6_000_000
_ENCODER: Final = {"preset": "veryfast", "crf": "27", "tune": "zerolatency", "threads": "1"}
#: Length of a clip of one picture, seconds.
_ONE_PICTURE_S: Final = 0.04


def _unwatched() -> None:
    """Nobody waits for this clip meanwhile."""


def write_covered_clip(
    cut: ClipCut,
    masker: Masker,
    path: Path,
    drawings: Drawings | None = None,
    *,
    tick: Callable[[], None] = _unwatched,
) -> WrittenClip:
    """Write a clip with people covered; as ``vedette.adapters.evidence.video.write_clip`` does without.

    The pictures are decoded twice: once for the models, whose finds hold for the pictures before as well.

    Args:
        cut: the packets.
        masker: of the alert.
        path: the MP4 file.
        drawings: what is drawn over the covered pictures.
        tick: called at each picture, each time it is decoded; a clip may take minutes.

    Raises:
        EvidenceError: V902, not one picture can be made safe; V901, the clip cannot be decoded or written.
    """
    if not cut.packets:
        raise EvidenceError("the clip has no picture.", code="V901")
    epoch = cut.packets[0].stream.epoch
    try:
        if isinstance(masker, PeopleMasker):
            for t, picture in _pictures(cut, tick):
                masker.look(picture, t, epoch)
        return _write(cut, masker, path, epoch, drawings, tick)
    except av.FFmpegError as error:
        raise EvidenceError(f"the clip cannot be encoded anew: {error.strerror or error}.", code="V901") from error


def _write(
    cut: ClipCut, masker: Masker, path: Path, epoch: str, drawings: Drawings | None, tick: Callable[[], None]
) -> WrittenClip:
    times: list[float] = []
    whole: list[bool] = []
    why: EvidenceError | None = None
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream: Any = None
        last = -1
        for t, picture in _pictures(cut, tick):
            try:
                covered = masker.cover(picture, t, epoch)
                whole.append(False)
            except EvidenceError as error:
                covered, why = fill_all(picture), error
                whole.append(True)
            if drawings is not None:
                covered = drawings.draw(covered, epoch, t)
            times.append(t)
            if stream is None:
                stream = _stream(container, covered)
            even = np.ascontiguousarray(covered[: stream.height, : stream.width])
            shown = av.VideoFrame.from_ndarray(even, format="bgr24")
            last = max(last + 1, round((t - times[0]) / _TIME_BASE))
            shown.pts, shown.time_base = last, _TIME_BASE
            for packet in stream.encode(shown):
                container.mux(packet)
        if stream is None:
            raise EvidenceError("the clip has no picture that can be decoded.", code="V901")
        for packet in stream.encode(None):
            container.mux(packet)
    if why is not None and all(whole):
        path.unlink(missing_ok=True)
        raise why
    lengths = _lengths(times)
    return WrittenClip(
        reencoded=True,
        duration_s=sum(lengths),
        pictures=len(times),
        first_media_time_s=times[0],
        covered_s=sum((length for length, filled in zip(lengths, whole, strict=True) if filled), 0.0),
    )


def _pictures(cut: ClipCut, tick: Callable[[], None]) -> Iterator[tuple[float, Picture]]:
    """(media time, picture) of everything that can be decoded, in the order it is shown."""
    media_times = {
        packet.pts: t for packet, t in zip(cut.packets, cut.media_times_s, strict=True) if packet.pts is not None
    }
    for pts, picture in pictures_of(cut.packets):
        tick()
        t = media_times.get(pts)
        if t is not None:
            yield t, picture


def _stream(container: Any, picture: Picture) -> Any:
    """An H.264 stream for pictures of this size; an odd row or column goes, as 4:2:0 has none."""
    height, width = picture.shape[:2]
    stream = container.add_stream("libx264", rate=25, options=dict(_ENCODER))
    stream.width, stream.height, stream.pix_fmt = width // 2 * 2, height // 2 * 2, "yuv420p"
    stream.time_base = stream.codec_context.time_base = _TIME_BASE
    bits = min(max(width * height * _BITS_PER_PIXEL, _LEAST_BITS), _MOST_BITS)
    stream.codec_context.options = {**_ENCODER, "maxrate": str(bits), "bufsize": str(bits)}
    return stream


def _lengths(times: list[float]) -> list[float]:
    """How long each picture is shown."""
    steps = [max(0.0, after - before) for before, after in itertools.pairwise(times)]
    return [*steps, statistics.median(steps) if steps else _ONE_PICTURE_S]
