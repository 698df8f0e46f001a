"""What a camera's picture looks like with nothing in front: learned, followed, and compared with each picture.

A pixel has a background, the deviation that is usual there, and a candidate: the other brightness that was seen there
last, with the time it has lasted. What lasts long enough takes the background's place (a box that was put down); the
background that was there before comes back at once when it is seen again (the box is taken away). The light of the
whole picture is followed from picture to picture; shade that changes softly from pixel to pixel is not an object.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

#: A background is the median of what was seen for so long, of at most so many pictures.
LEARN_S: Final = 2.0
LEARN_PICTURES: Final = 24
_LEAST_PICTURES: Final = 3
#: A background that was hardly seen gives way to what lasts so long: it may have been learned with goods in view. One
#: that was seen for longer stands for so many times that.
YOUNG_S: Final = 3.0
_STANDS: Final = 4.0
#: One that was seen for so long is known again when it comes back.
_KNOWN_S: Final = 5.0
#: Time in which the background follows slow changes of the light.
FOLLOW_S: Final = 4.0
#: A pause that is longer tells nothing of how long something has lasted, seconds.
LONGEST_STEP_S: Final = 1.0
#: More of the picture than this has changed: not goods, but light or a camera that was moved.
UPHEAVAL: Final = 0.7
#: An upheaval that lasts so long is how it looks from now on.
UPHEAVAL_S: Final = 1.0
#: Change counts from this many usual deviations on.
_DEVIATIONS: Final = 5.0
#: Shade: no darker than this share of the background, and no steeper than this from pixel to pixel.
_DARKEST_SHADE: Final = 0.4
_SHADE_STEP: Final = 0.05
_MOST_GAIN: Final = 1.6
_BLACK: Final = 4.0


@dataclass(slots=True)
class _Learned:
    """The state of all pixels, float32 (height, width) each; ``known`` bool."""

    mean: Plane
    deviation: Plane
    candidate: Plane
    lasted_s: Plane
    seen_s: Plane
    known: NDArray[np.bool_]
    clear: NDArray[np.bool_]


class Background:
    """One view of one camera. Used by one thread at a time; pictures in the order of their time.

    Memory is bounded: 24 pictures while it learns, eight planes afterwards.

    Args:
        min_change: least change of brightness that counts, of 255.
        absorb_s: what stands still for so long belongs to the background.
    """

    def __init__(self, min_change: float, absorb_s: float) -> None:
        self._min_change = np.float32(min_change)
        self._absorb_s = absorb_s
        self._samples: list[Plane] = []
        self._learning_s = 0.0
        self._sampled_s = self._last_s = -math.inf
        self._upheaval_s: float | None = None
        self._learned: _Learned | None = None

    def compare(self, picture: Plane, t_s: float) -> Plane | None:
        """How far each pixel is beyond what is usual there, as a multiple of the least change that counts.

        Args:
            picture: float32 (height, width), brightness 0..255; always of the same shape.
            t_s: when it was taken, seconds.

        Returns:
            float32 (height, width), 0 where nothing is, 1 and more where something is; None while it learns and
            where most of the picture has changed at once.
        """
        if t_s <= self._last_s:  # another clock: what was known may be of another time
            self._begin(t_s)
        step_s = min(t_s - self._last_s, LONGEST_STEP_S)
        self._last_s = t_s
        if self._learned is None:
            self._learn(picture, t_s)
            return None
        return self._judge(self._learned, picture, t_s, step_s)

    def _begin(self, t_s: float) -> None:
        self._learned, self._upheaval_s = None, None
        self._samples, self._learning_s, self._sampled_s = [], t_s, -math.inf

    def _learn(self, picture: Plane, t_s: float) -> None:
        if not self._samples:
            self._learning_s = t_s
        if t_s - self._sampled_s >= LEARN_S / LEARN_PICTURES * 0.9:
            self._samples = [*self._samples[1 - LEARN_PICTURES :], picture]
            self._sampled_s = t_s
        if t_s - self._learning_s < LEARN_S or len(self._samples) < _LEAST_PICTURES:
            return
        seen = np.stack(self._samples)
        mean = np.median(seen, axis=0).astype(np.float32)
        deviation = np.maximum(1.0, 1.48 * np.median(np.abs(seen - mean), axis=0)).astype(np.float32)
        # Where goods passed while it learned the deviation is theirs; it must not hide those that come.
        deviation = np.minimum(deviation, 2.0 * np.median(deviation)).astype(np.float32)
        nothing = np.zeros(mean.shape, np.float32)
        none, every = np.zeros(mean.shape, np.bool_), np.ones(mean.shape, np.bool_)
        self._learned = _Learned(mean, deviation, mean.copy(), nothing, nothing.copy(), none, every)
        self._samples = []

    def _judge(self, learned: _Learned, picture: Plane, t_s: float, step_s: float) -> Plane | None:
        gain = _gain(picture, learned.mean, learned.clear)
        learned.mean *= gain
        learned.candidate *= gain
        least = np.maximum(self._min_change, np.float32(_DEVIATIONS) * learned.deviation)
        change = np.abs(picture - learned.mean) / least
        like_candidate = np.abs(picture - learned.candidate) < least
        back = (change >= 1) & like_candidate & learned.known
        if back.any():
            _swap(learned, back)
            learned.seen_s[back] = _KNOWN_S
            change[back] = 0
        changed = change >= 1
        if changed.mean() > UPHEAVAL:
            self._upheaval_s = t_s if self._upheaval_s is None else self._upheaval_s
            if t_s - self._upheaval_s >= UPHEAVAL_S:
                self._begin(t_s)
            return None
        self._upheaval_s = None
        self._follow(learned, picture, changed, like_candidate, step_s)
        change[_shade(picture, learned.mean)] = 0
        return np.where(changed, change, 0).astype(np.float32)

    def _follow(
        self,
        learned: _Learned,
        picture: Plane,
        changed: NDArray[np.bool_],
        like_candidate: NDArray[np.bool_],
        step_s: float,
    ) -> None:
        """Take the picture into account."""
        share = np.float32(1.0 - math.exp(-step_s / FOLLOW_S))
        learned.clear = ~changed
        learned.seen_s[learned.clear] += np.float32(step_s)
        off = picture - learned.mean
        learned.mean += np.where(learned.clear, share * off, 0)
        learned.deviation += np.where(learned.clear, share * (np.float32(1.25) * np.abs(off) - learned.deviation), 0)
        np.maximum(learned.deviation, np.float32(1), out=learned.deviation)
        lasts = changed & like_candidate & ~learned.known
        new = changed & ~like_candidate
        learned.lasted_s[lasts] += np.float32(step_s)
        learned.lasted_s[new] = 0
        learned.candidate[new] = picture[new]
        learned.known[new] = False
        stays = changed & (learned.lasted_s >= np.clip(_STANDS * learned.seen_s, YOUNG_S, self._absorb_s))
        if stays.any():
            known, lasted_s = learned.seen_s[stays] >= _KNOWN_S, learned.lasted_s[stays]
            _swap(learned, stays)
            learned.known[stays], learned.seen_s[stays] = known, lasted_s


def _swap(learned: _Learned, where: NDArray[np.bool_]) -> None:
    """Background and candidate change places."""
    mean = learned.mean[where]
    learned.mean[where] = learned.candidate[where]
    learned.candidate[where] = mean
    learned.lasted_s[where] = 0
    learned.known[where] = False


def _gain(picture: Plane, mean: Plane, clear: NDArray[np.bool_]) -> np.float32:
    """By how much the whole picture became brighter, from where nothing was in front."""
    seen = clear if clear.any() else np.ones(clear.shape, np.bool_)
    ratio = float(np.median((picture[seen] + np.float32(_BLACK)) / (mean[seen] + np.float32(_BLACK))))
    return np.float32(min(max(ratio, 1 / _MOST_GAIN), _MOST_GAIN))


def _shade(picture: Plane, mean: Plane) -> NDArray[np.bool_]:
    """Where it is darker, but the darkness has no edge: shade that falls on what was there."""
    ratio = (picture + np.float32(_BLACK)) / (mean + np.float32(_BLACK))
    steep = np.zeros(ratio.shape, np.bool_)
    across = np.abs(ratio[:, 2:] - ratio[:, :-2]) > 2 * _SHADE_STEP
    down = np.abs(ratio[2:] - ratio[:-2]) > 2 * _SHADE_STEP
    steep[:, 1:-1] |= across
    steep[1:-1] |= down
    soft: NDArray[np.bool_] = (ratio < 1) & (ratio > _DARKEST_SHADE) & ~steep
    return soft
