"""Where people's heads are in a picture, by what was seen in the analysed pictures around it.

Between two sights of a track its region goes in a straight line from one to the other and is grown by how far someone
can have strayed from that line; before the first and after the last sight it is grown by how far someone can have gone
meanwhile. What is covered then holds the head at every moment, if at the sights the detector had the body and if nobody
is faster than ``SPEED`` or changes speed by more than ``ACCELERATION``. Someone who runs on steadily is on the line.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.tracks import TrackBatch
from vedette.core.people import Kind, Watch, grown, kind_of

Floats = NDArray[np.float64]

#: Pictures further apart than this leave too much unknown between them: someone may come and go.
GAP_S: Final = 1.25
#: A body that is less than so many times as high as wide is not upright: the head may be anywhere in it.
UPRIGHT: Final = 1.3
#: The head of an upright body is in this share of its box, from the top: perspective enlarges heads, work bends them.
HEAD_SHARE: Final = 0.35
# Where the picture's edge cuts a body, its height is not known, its width is: this many widths hold the head.
_HEAD_WIDTHS: Final = 1.2
_ABOVE: Final = 0.05
_BESIDE: Final = 0.1
#: Boxes of detectors tremble: everything is grown by this share of the body's size.
TREMBLE: Final = 0.1
# A head is this part of a body: how far it gets is counted in bodies.
_HEADS_PER_BODY: Final = 5.0
# A face is found from brow to chin; in its own sizes, what hair and ears add, and how far it gets in a second.
_AROUND_FACE: Final = 0.4
_FACE_SPEED: Final = 4.0
_WIDTHS_PER_BODY: Final = 1.5
#: Body sizes a second: a brisk walk, 2 m/s.
SPEED: Final = 1.2
#: Body sizes a second, each second: what a head does in a start, a stop, a stumble; 13 m/s².
ACCELERATION: Final = 8.0
# Nearer to the edge of the picture than this share of it, a box is cut off by it.
_EDGE: Final = 0.01
#: A body's size is the largest within so many seconds: someone who walks into the picture is larger than first seen.
_SIZE_S: Final = 2.0
_SAME_S: Final = 1e-3
# Pictures of an epoch before the first analysed one.
_START_S: Final = 0.25
#: A detector finds someone later than it could, and loses them sooner: half in the picture, half hidden.
LATE_S: Final = 0.6
_LONGEST_END_S: Final = 4.0
#: Batches are needed from so long before a clip, and used until so long after it.
CONTEXT_S: Final = _LONGEST_END_S + LATE_S
# Pictures for a new track, where a pipeline's own number is not known.
_HITS: Final = 3


def stray(before_s: Floats, after_s: Floats) -> Floats:
    """How far from the straight line someone can be between two sights, in body sizes.

    Args:
        before_s: float64 (n,), time since the first sight.
        after_s: float64 (n,), time until the second one.
    """
    total = np.maximum(before_s + after_s, 1e-9)
    result: Floats = np.minimum(0.5 * ACCELERATION, 2.0 * SPEED / total) * before_s * after_s
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """What of a picture has to be filled.

    Attributes:
        boxes: float64 (n, 4), ``x1, y1, x2, y2`` as shares of the picture, 0..1.
        bodies: float64 (m, 4), likewise: whole bodies near their place, for a closer look; not to be filled as such.
        cells: bool (rows, columns) over the whole picture, to be filled too; None where there are none.
    """

    boxes: Floats
    bodies: Floats
    cells: NDArray[np.bool_] | None = None


class TrackMasking:
    """Knows the tracks of one camera around a clip.

    Args:
        batches: of all pipelines of the camera, in any order.
        watching: the pipelines that look for people; only their pictures say that there is nobody else.
    """

    def __init__(self, batches: Sequence[TrackBatch], watching: Sequence[Watch]) -> None:
        by_epoch: dict[str, list[TrackBatch]] = {}
        for batch in batches:
            by_epoch.setdefault(batch.frame.epoch, []).append(batch)
        self._epochs = {epoch: _Epoch(found, watching) for epoch, found in by_epoch.items()}

    def at(self, epoch: str, media_time_s: float) -> Cover | None:
        """What to fill in the picture of this moment.

        Args:
            epoch: ingest epoch.
            media_time_s: seconds since its first picture.

        Returns:
            None where nobody looked for people closely enough in time: the whole picture has to be filled.
        """
        known = self._epochs.get(epoch)
        return None if known is None or not np.isfinite(media_time_s) else known.at(media_time_s)

    def tracked(self, epoch: str, media_time_s: float) -> Floats:
        """Boxes to fill by tracks alone, float64 (n, 4), shares; whether there may be others is not said."""
        known = self._epochs.get(epoch)
        return np.empty((0, 4)) if known is None else known.segments.at(media_time_s)[0]


class _Epoch:
    """One uninterrupted stretch of a camera."""

    def __init__(self, batches: Sequence[TrackBatch], watching: Sequence[Watch]) -> None:
        hits = {watch.pipeline: watch.hits for watch in watching}
        times: dict[str, list[float]] = {}
        for batch in batches:
            if not batch.truncated and not batch.spared and np.isfinite(batch.frame.media_time_s):
                times.setdefault(batch.pipeline, []).append(batch.frame.media_time_s)
        looks = {
            pipeline: _Looks(np.unique(np.array(times.get(pipeline, []), np.float64)), hits.get(pipeline, _HITS))
            for pipeline in {batch.pipeline for batch in batches} | set(hits)
        }
        self.segments = _Segments(batches, looks)
        self._watched: list[tuple[_Looks, NDArray[np.bool_] | None]] = []
        for watch in watching:
            blind = watch.blind()
            if blind is not None:
                blind = grown(blind, self.segments.tallest, self.segments.widest)
            self._watched.append((looks[watch.pipeline], blind))

    def at(self, t: float) -> Cover | None:
        unseen: NDArray[np.bool_] | None = None
        seen = False
        for looks, blind in self._watched:
            if not looks.close(t):
                continue
            if blind is None:
                unseen, seen = None, True
                break
            unseen = blind if unseen is None else unseen & blind
            seen = True
        if not seen:
            return None
        boxes, bodies = self.segments.at(t)
        return Cover(boxes, bodies, unseen if unseen is not None and unseen.any() else None)


@dataclass(frozen=True, slots=True, eq=False)
class _Looks:
    """When a pipeline looked for people.

    Attributes:
        times: float64 (n,), seconds, rising.
        hits: pictures it takes to tell of someone who has just come.
    """

    times: Floats
    hits: int

    def close(self, t: float) -> bool:
        """Whether it looked closely enough before and after a moment, and often enough after it to tell who came."""
        times = self.times
        after = int(np.searchsorted(times, t - _SAME_S))
        told = after + self.hits - 1
        if told >= len(times) or times[told] - t > _LONGEST_END_S:
            return False
        if times[after] - t <= _SAME_S:
            return True
        if not after:
            return bool(times[0] - t <= _START_S)
        return bool(times[after] - times[after - 1] <= GAP_S)

    def since(self, t: float) -> float:
        """From when on someone may have been there whom it first told of at ``t``."""
        first = int(np.searchsorted(self.times, t - _SAME_S)) - self.hits
        known = self.times[first] if first >= 0 else t - self.hits * GAP_S
        return float(max(min(known, t), t - _LONGEST_END_S)) - LATE_S

    def until(self, t: float) -> float:
        """Until when someone may still be there whom it last told of at ``t``."""
        following = int(np.searchsorted(self.times, t + _SAME_S))
        known = self.times[following] if following < len(self.times) else t + GAP_S
        return float(min(known, t + _LONGEST_END_S)) + LATE_S


@dataclass(frozen=True, slots=True, eq=False)
class _Sights:
    """All sights of everything that may be a person, sorted by track, then by time.

    Pipelines number their tracks each on its own.

    Attributes:
        track: int64 (n,), one number per track.
        t: float64 (n,), seconds.
        boxes: float64 (n, 4), shares of the picture.
        pixels: float64 (n, 2), width and height of the picture, pixels.
        kinds: int64 (n,), ``Kind``.
        pipelines: of each track, by its number.
    """

    track: NDArray[np.int64]
    t: Floats
    boxes: Floats
    pixels: Floats
    kinds: NDArray[np.int64]
    pipelines: tuple[str, ...]

    @classmethod
    def of(cls, batches: Sequence[TrackBatch]) -> _Sights:
        numbers: dict[tuple[str, int], int] = {}
        rows: list[tuple[float, ...]] = []
        for batch in batches:
            frame = batch.frame
            for track_id, box, label in zip(batch.track_ids, batch.boxes, batch.labels, strict=True):
                number = numbers.setdefault((batch.pipeline, track_id), len(numbers))
                rows.append((number, frame.media_time_s, *box, frame.width, frame.height, kind_of(label)))
        table = np.array(rows, np.float64).reshape(-1, 9)
        table = table[np.lexsort((table[:, 1], table[:, 0]))]
        table = table[np.isfinite(table[:, 1])]
        # A track that was taken for a person once is one for ever.
        people = np.zeros(len(numbers), np.bool_)
        people[table[table[:, 8] != Kind.THING, 0].astype(np.int64)] = True
        table = table[people[table[:, 0].astype(np.int64)]]
        pixels = np.maximum(table[:, 6:8], 1.0)
        boxes = table[:, 2:6] / np.concatenate((pixels, pixels), axis=1)
        boxes = np.where(np.isfinite(boxes).all(axis=1)[:, None], boxes, np.array([0.0, 0.0, 1.0, 1.0]))
        return cls(
            table[:, 0].astype(np.int64),
            table[:, 1],
            boxes,
            pixels,
            table[:, 8].astype(np.int64),
            tuple(pipeline for pipeline, _ in numbers),
        )


class _Segments:
    """Straight lines between neighbouring sights of a track, and its two ends."""

    def __init__(self, batches: Sequence[TrackBatch], looks: Mapping[str, _Looks]) -> None:
        sights = _Sights.of(batches)
        count = len(sights.t)
        bodies = sights.boxes * np.concatenate((sights.pixels, sights.pixels), axis=1)
        self.tallest = float((sights.boxes[:, 3] - sights.boxes[:, 1]).max(initial=0.0))
        self.widest = float((sights.boxes[:, 2] - sights.boxes[:, 0]).max(initial=0.0))
        whole = _whole(bodies, sights.kinds)
        size = _largest_near(sights.track, sights.t, _sizes(bodies, sights.kinds))
        same = sights.track[1:] == sights.track[:-1]
        first = np.concatenate(([True], ~same))[:count]
        last = np.concatenate((~same, [True]))[:count]
        middle = np.flatnonzero(same)
        # A segment goes from sight `a` to sight `b`; at an end of the track both are the one sight that there is.
        a = np.concatenate((middle, np.flatnonzero(first), np.flatnonzero(last)))
        b = np.concatenate((middle + 1, np.flatnonzero(first), np.flatnonzero(last)))
        begins, ends = len(middle), len(middle) + int(first.sum())
        self._t0, self._t1 = sights.t[a].copy(), sights.t[b].copy()
        of = [looks[sights.pipelines[number]] for number in sights.track[a].tolist()]
        self._t0[begins:ends] = [of[i].since(float(self._t0[i])) for i in range(begins, ends)]
        self._t1[ends:] = [of[i].until(float(self._t1[i])) for i in range(ends, len(a))]
        self._known0 = np.ones(len(a), np.bool_)
        self._known1 = np.ones(len(a), np.bool_)
        self._known0[begins:ends] = False
        self._known1[ends:] = False
        both = whole[a] | whole[b]
        heads = _heads(bodies, sights.pixels)
        tops = np.where(both[:, None], bodies[a], heads[a]), np.where(both[:, None], bodies[b], heads[b])
        self._regions = tops
        self._bodies = bodies[a], bodies[b]
        self._size = np.maximum(size[a], size[b])
        self._pixels = sights.pixels[a]

    def at(self, t: float) -> tuple[Floats, Floats]:
        """(regions to fill, whole bodies) at a moment, both as shares of the picture, clipped to it."""
        rows = np.flatnonzero((self._t0 <= t) & (t <= self._t1))
        before, after = t - self._t0[rows], self._t1[rows] - t
        share = np.divide(before, before + after, out=np.zeros(len(rows)), where=before + after > 0)
        share = np.where(self._known0[rows], np.where(self._known1[rows], share, 0.0), 1.0)
        away = np.where(
            self._known0[rows] & self._known1[rows],
            stray(before, after),
            SPEED * np.where(self._known0[rows], before, after),
        )
        margin = (away + TREMBLE) * self._size[rows]
        pixels = np.concatenate((self._pixels[rows], self._pixels[rows]), axis=1)
        weight = share[:, None]
        regions = (1 - weight) * self._regions[0][rows] + weight * self._regions[1][rows]
        bodies = (1 - weight) * self._bodies[0][rows] + weight * self._bodies[1][rows]
        return _inside(_grown_by(regions, margin) / pixels), _inside(_grown_by(bodies, margin) / pixels)


def head_regions(bodies: Floats, size: tuple[int, int], away_s: float) -> Floats:
    """Where the heads of bodies are, so long before or after they were seen there.

    Args:
        bodies: float64 (n, 4), shares of the picture.
        size: (width, height) of the picture, pixels.
        away_s: seconds.

    Returns:
        float64 (m, 4), shares of the picture.
    """
    pixels = np.broadcast_to(np.array(size, np.float64), (len(bodies), 2))
    scale = np.concatenate((pixels, pixels), axis=1)
    kinds = np.full(len(bodies), int(Kind.BODY))
    boxes = bodies * scale
    regions = np.where(_whole(boxes, kinds)[:, None], boxes, _heads(boxes, pixels))
    return _inside(_grown_by(regions, (SPEED * away_s + TREMBLE) * _sizes(boxes, kinds)) / scale)


def face_regions(faces: Floats, size: tuple[int, int], away_s: float) -> Floats:
    """The heads that faces belong to; see ``head_regions``. Who shows a face to be found walks at most."""
    scale = np.array((*size, *size), np.float64)
    boxes = faces * scale
    sides = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    return _inside(_grown_by(boxes, (_AROUND_FACE + _FACE_SPEED * away_s) * sides) / scale)


def _grown_by(boxes: Floats, margin: Floats) -> Floats:
    """Boxes grown on all sides, each by its own margin, float64 (n,)."""
    return boxes + np.stack((-margin, -margin, margin, margin), axis=1)


def _inside(boxes: Floats) -> Floats:
    """Clipped to the picture; what lies outside altogether is gone."""
    clipped = np.clip(boxes, 0.0, 1.0)
    kept: Floats = clipped[(clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])]
    return kept


def _whole(bodies: Floats, kinds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which boxes are to be covered whole: no upright bodies."""
    width, height = bodies[:, 2] - bodies[:, 0], bodies[:, 3] - bodies[:, 1]
    found: NDArray[np.bool_] = (kinds != Kind.BODY) | (height < UPRIGHT * width)
    return found


def _heads(bodies: Floats, pixels: Floats) -> Floats:
    """The part of upright bodies that holds the head, pixels."""
    width, height = bodies[:, 2] - bodies[:, 0], bodies[:, 3] - bodies[:, 1]
    edge = _EDGE * pixels
    cut = (
        (bodies[:, 0] <= edge[:, 0])
        | (bodies[:, 2] >= pixels[:, 0] - edge[:, 0])
        | (bodies[:, 3] >= pixels[:, 1] - edge[:, 1])
    )
    depth = HEAD_SHARE * height
    depth = np.where(cut, np.minimum(np.maximum(depth, _HEAD_WIDTHS * width), height), depth)
    return np.stack(
        (
            bodies[:, 0] - _BESIDE * width,
            bodies[:, 1] - _ABOVE * height,
            bodies[:, 2] + _BESIDE * width,
            bodies[:, 1] + depth,
        ),
        axis=1,
    )


def _sizes(bodies: Floats, kinds: NDArray[np.int64]) -> Floats:
    """Size of the body, pixels: what distances are counted in."""
    width, height = bodies[:, 2] - bodies[:, 0], bodies[:, 3] - bodies[:, 1]
    size = np.maximum(height, _WIDTHS_PER_BODY * width)
    return np.where(kinds == Kind.HEAD, _HEADS_PER_BODY * size, size)


def _largest_near(track: NDArray[np.int64], t: Floats, size: Floats) -> Floats:
    """The largest size of the same track within some seconds, for each sight."""
    largest = size.copy()
    if not len(track):
        return largest
    bounds: list[int] = np.flatnonzero(np.concatenate(([True], track[1:] != track[:-1], [True]))).tolist()
    for start, stop in itertools.pairwise(bounds):
        times, sizes = t[start:stop], size[start:stop]
        left = np.searchsorted(times, times - _SIZE_S, "left")
        right = np.searchsorted(times, times + _SIZE_S, "right")
        largest[start:stop] = [sizes[i:j].max() for i, j in zip(left, right, strict=True)]
    return largest
