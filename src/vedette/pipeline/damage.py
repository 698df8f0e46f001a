"""What share of a camera's pictures arrives damaged, in words."""

from __future__ import annotations

from collections import deque
from typing import Final

#: The share is taken over this time, in steps of this length, seconds.
WINDOW_S: Final = 3.0
STEP_S: Final = 0.25
#: Less is not worth a word: a single lost packet costs the pictures up to the next key picture.
SOME: Final = 0.1
MOST: Final = 0.5


class DamageMeter:
    """Counts damaged pictures against good ones over the last three seconds."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int, int]] = deque(maxlen=round(WINDOW_S / STEP_S) + 2)

    def reset(self) -> None:
        """Begin anew: what was before says nothing about what comes."""
        self._counts.clear()

    def words(self, now_s: float, good: int, damaged: int) -> str:
        """For people: whether pictures are left out; empty where next to none are.

        Args:
            now_s: monotonic time.
            good: pictures passed on so far.
            damaged: pictures left out so far.
        """
        if not self._counts or now_s - self._counts[-1][0] >= STEP_S:
            self._counts.append((now_s, good, damaged))
        while now_s - self._counts[0][0] > WINDOW_S:
            self._counts.popleft()
        _, good_before, damaged_before = self._counts[0]
        lost = damaged - damaged_before
        share = lost / max(1, lost + good - good_before)
        if share < SOME:
            return ""
        amount = "most" if share >= MOST else "some"
        return f"{amount} pictures arrive damaged and are left out; check the camera, its cable and its network"
