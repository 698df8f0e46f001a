"""The objects that one version follows at one place, as columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Objects that are kept open; those unseen for longest are finished first. More than a picture can hold.
MAX_OPEN: Final = 512
#: An object unseen for so long is finished. Trackers give a number back for less.
UNSEEN_S: Final = 120.0


class Followed:
    """Open objects: how many pictures each was in, and in how many of them the other version saw it."""

    def __init__(self) -> None:
        self._ids = np.zeros(0, np.int64)
        #: One row per object: label, pictures, seen.
        self._counts = np.zeros((0, 3), np.int64)
        self._last_s = np.zeros(0)

    def __len__(self) -> int:
        """Open objects."""
        return len(self._ids)

    def all(self) -> NDArray[np.int64]:
        """Every open object: int64 (n, 3), label, pictures, pictures in which it was seen."""
        return self._counts

    def note(
        self, ids: NDArray[np.int64], labels: NDArray[np.int64], seen: NDArray[np.bool_], t_s: float
    ) -> NDArray[np.int64]:
        """Count one picture; what is finished by it, as ``all`` gives it.

        Args:
            ids: of its objects, ascending; a number that is there twice counts once.
            labels: their labels.
            seen: whether the other version saw them.
            t_s: time of the picture.
        """
        # The clock of a device that was started anew counts from another point: all before it is over.
        gone = self._take(np.abs(t_s - self._last_s) > UNSEEN_S)
        ids, first = np.unique(ids, return_index=True)
        labels, seen = labels[first], seen[first]
        fresh = ~np.isin(ids, self._ids)
        if fresh.any():
            all_ids = np.concatenate((self._ids, ids[fresh]))
            order = np.argsort(all_ids, kind="stable")
            rows = np.zeros((int(fresh.sum()), 3), np.int64)
            rows[:, 0] = labels[fresh]
            self._ids = all_ids[order]
            self._counts = np.concatenate((self._counts, rows))[order]
            self._last_s = np.concatenate((self._last_s, np.full(len(rows), t_s)))[order]
        at = np.searchsorted(self._ids, ids)
        self._counts[at, 1] += 1
        self._counts[at, 2] += seen
        self._last_s[at] = t_s
        surplus = np.zeros(len(self._ids), bool)
        surplus[np.argsort(self._last_s, kind="stable")[: max(0, len(self._ids) - MAX_OPEN)]] = True
        return np.concatenate((gone, self._take(surplus)))

    def dump(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"ids": self._ids.tolist(), "counts": self._counts.tolist(), "last_s": self._last_s.tolist()}

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> Followed:
        """What ``dump`` gave.

        Raises:
            ValueError: it is something else.
        """
        found = cls()
        found._ids = np.array(document["ids"], np.int64)
        found._counts = np.array(document["counts"], np.int64).reshape(-1, 3)
        found._last_s = np.array(document["last_s"], np.float64)
        if not len(found._ids) == len(found._counts) == len(found._last_s):
            raise ValueError("not the state of a comparison: columns differ in length")
        return found

    def _take(self, which: NDArray[np.bool_]) -> NDArray[np.int64]:
        gone = self._counts[which]
        if len(gone):
            self._ids, self._counts, self._last_s = self._ids[~which], self._counts[~which], self._last_s[~which]
        return gone
