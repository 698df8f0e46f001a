"""When a camera's stream needs no decoding: nothing moves, as its key pictures and the sizes of its packets tell.

A key picture is decoded by itself and compared with the scene as it was when it became still. Between key pictures
an encoder writes what has changed, so a packet that is much larger than its like says that something moves before
anybody has looked. Whoever decodes keeps the packets since the last key picture that was compared, so that what moved
is seen from its beginning on.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from statistics import median
from typing import Final

from vedette.contracts.manifest import Motion
from vedette.core.motion_gate import MotionGate, Thumbnail

#: Nothing must have moved for so long before decoding rests, seconds.
SETTLE_S: Final = 3.0
#: Packets a group of pictures may take; two groups are kept.
GROUP_LIMIT_BYTES: Final = 8 << 20
#: Groups of pictures may be so much longer than the bound: arrivals are uneven.
LATE: Final = 1.1
#: Groups whose length is remembered: the longest of them is what a stream may do again.
_GROUPS: Final = 3
#: Packets of a kind that say what is usual, and how many of them are needed to tell.
_SIZES: Final = 64
_SIZES_LEAST: Final = 8
#: A packet that is larger than usual by so many times the usual spread, and by such a share, and by so many bytes.
_SPREADS: Final = 10.0
_SHARE: Final = 0.5
_BYTES: Final = 32
#: The median of absolute deviations of a normal variable, inverted, as its standard deviation.
_MAD_TO_SIGMA: Final = 1.4826


class Wake(Enum):
    """Why decoding begins again."""

    PICTURE = "a key picture shows something else"
    PACKET = "a packet is much larger than its like"
    DAMAGE = "something was lost or damaged"
    LATE = "the next key picture does not come"
    ROOM = "the packets since the last key picture take too much room"


class Groups:
    """Length of the groups of pictures of a stream, from one key picture to the next."""

    def __init__(self) -> None:
        self._lengths_s: deque[float] = deque(maxlen=_GROUPS)
        self._sizes: deque[int] = deque(maxlen=_GROUPS)
        self._since_s: float | None = None
        self._bytes = 0

    def note(self, *, key: bool, size: int, arrival_s: float) -> None:
        """A packet: whether it begins a group, its bytes, when it came (monotonic seconds)."""
        if key:
            if self._since_s is not None:
                self._lengths_s.append(arrival_s - self._since_s)
                self._sizes.append(self._bytes)
            self._since_s, self._bytes = arrival_s, 0
        self._bytes += size

    @property
    def longest_s(self) -> float | None:
        """Of the last ones; None before one was seen whole."""
        return max(self._lengths_s, default=None)

    def fit(self, bound_s: float) -> bool:
        """Whether they are no longer than that (arrivals are uneven by a tenth) and small enough to keep."""
        longest_s = self.longest_s
        return longest_s is not None and longest_s <= LATE * bound_s and max(self._sizes) <= GROUP_LIMIT_BYTES


class Sizes:
    """What packets between key pictures usually take, those that others refer to and the others apart."""

    def __init__(self) -> None:
        self._seen: dict[bool, deque[int]] = {}

    def note(self, size: int, *, reference: bool) -> None:
        """A packet that was decoded, whatever it is like."""
        self._seen.setdefault(reference, deque(maxlen=_SIZES)).append(size)

    def jumped(self, size: int, *, reference: bool) -> bool:
        """Whether a packet is much larger than its like; one that is not is noted."""
        seen = self._seen.get(reference, ())
        if len(seen) >= _SIZES_LEAST:
            usual = median(seen)
            spread = _MAD_TO_SIGMA * median(abs(one - usual) for one in seen)
            if size > usual + max(_SPREADS * spread, _SHARE * usual, _BYTES):
                return True
        self.note(size, reference=reference)
        return False


class Stillness:
    """Whether anything moves, picture by picture.

    Args:
        settings: thresholds and the longest time that something may go unnoticed.
    """

    def __init__(self, settings: Motion) -> None:
        self.bound_s = settings.floor_s
        self._gate = MotionGate(settings)
        self._scene: Thumbnail | None = None
        self._since_s = 0.0

    def picture(self, small: Thumbnail, t_s: float) -> bool:
        """Note a picture; whether something has moved since the scene became still."""
        if self.moved(small):
            self._scene, self._since_s = small, t_s
            return True
        return False

    def moved(self, small: Thumbnail) -> bool:
        """Whether a picture differs from the still scene; nothing is noted."""
        return self._gate.moved(small, self._scene, 0.0)

    def settled(self, t_s: float) -> bool:
        """Whether nothing has moved for long enough to rest."""
        return self._scene is not None and t_s - self._since_s >= SETTLE_S

    def stir(self, t_s: float) -> None:
        """Something may move: it has to settle again."""
        self._since_s = t_s
