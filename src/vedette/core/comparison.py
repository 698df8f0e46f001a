"""Two versions of an application on the same pictures: how much of what one follows does the other see? Pure.

Rows of both come in the order of the journal: each version's pictures of a camera in their order, the versions
interleaved anyhow. A picture counts once both have analysed it. What both followed in it is paired by label and
overlap, and each object carries the number of its pictures and of those in which it had a partner.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.comparison import MAX_LABELS, OTHER_LABELS, Agreement, ComparisonPolicy
from vedette.contracts.tracks import TrackBatch
from vedette.core.comparison_objects import Followed
from vedette.core.nms import iou
from vedette.core.tracking.association import assign

#: Pictures of one version that wait for the other one's, of each pipeline and camera: some seconds.
MAX_WAITING: Final = 128
#: Pipelines on cameras that are compared.
MAX_PLACES: Final = 64
#: Labels that are told apart inside, and letters of a label in a report.
MAX_NAMES: Final = 512
_LABEL_LETTERS: Final = 64
#: Runs of a camera's process that are remembered.
_MAX_EPOCHS: Final = 4

RUNNING: Final = 0
NEW: Final = 1


class Place(NamedTuple):
    """Where both versions look: a pipeline by its name, and the device's camera."""

    pipeline: str
    camera: str


class _Picture(NamedTuple):
    """What one version saw in one picture, as far as it is needed."""

    row: int
    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]


class _Site:
    """One place: pictures that wait, how far it has come, objects of both versions."""

    def __init__(self) -> None:
        self.waiting: tuple[OrderedDict[tuple[str, int], _Picture], ...] = (OrderedDict(), OrderedDict())
        self.through: OrderedDict[str, int] = OrderedDict()
        self.pairs = 0
        self.followed = (Followed(), Followed())


class Comparer:
    """Counts what two versions see of each other.

    Args:
        policy: what counts.
        reported: place → labels that the running version can report there. Objects of the new version with another
            label are not held against it: the running one could not have seen them. A place that is not named is
            compared whole.

    Attributes:
        frames: pictures that both analysed, after the warm-up.
        added: labels of the new version that were left out because the running one does not know them.
    """

    def __init__(self, policy: ComparisonPolicy, reported: Mapping[Place, frozenset[str]] | None = None) -> None:
        self.frames = 0
        self.added: set[str] = set()
        self._policy = policy
        self._reported = dict(reported or {})
        self._sites: dict[Place, _Site] = {}
        self._names: dict[str, int] = {}
        self._sums: NDArray[np.float64] = np.zeros((0, 4))

    @property
    def complete(self) -> bool:
        """Whether as many pictures were compared as wanted."""
        return self.frames >= self._policy.frames

    def set_reported(self, reported: Mapping[Place, frozenset[str]]) -> None:
        """Say anew which labels the running version can report; holds for what is folded from now on."""
        self._reported = dict(reported)

    def add(self, version: int, place: Place, batch: TrackBatch, row: int) -> None:
        """Take what one version saw in a picture. What came before, or is no longer wanted, changes nothing.

        Args:
            version: ``RUNNING`` or ``NEW``.
            place: where.
            batch: of the journal.
            row: its number there.
        """
        site = self._sites.get(place)
        if self.complete or (site is None and len(self._sites) >= MAX_PLACES):
            return
        if site is None:
            site = self._sites[place] = _Site()
        epoch, number = batch.frame.epoch, batch.frame.frame_no
        if number <= site.through.get(epoch, -1):
            return
        own, others = site.waiting[version], site.waiting[1 - version]
        picture = self._picture(batch, row)
        partner = others.get((epoch, number))
        if partner is None:
            own.setdefault((epoch, number), picture)
            if len(own) > MAX_WAITING:
                own.popitem(last=False)
            return
        site.through[epoch] = number
        site.through.move_to_end(epoch)
        if len(site.through) > _MAX_EPOCHS:
            site.through.popitem(last=False)
        for waiting in site.waiting:
            _forget(waiting, epoch, number)
        site.pairs += 1
        if site.pairs > self._policy.warm_up:
            self.frames += 1
            pair = (picture, partner) if version == RUNNING else (partner, picture)
            self._count(place, site, pair, batch.frame.t_s)

    def first_waiting(self) -> int | None:
        """Number of the oldest row that waits for its partner: a restart has to read from there. None: none does."""
        rows = [p.row for site in self._sites.values() for waiting in site.waiting for p in waiting.values()]
        return min(rows, default=None)

    def forget_waiting(self) -> None:
        """Drop what waits: its rows cannot be read again, because the journal is another one now."""
        for site in self._sites.values():
            for waiting in site.waiting:
                waiting.clear()

    def labels(self) -> dict[str, Agreement]:
        """What was counted, those labels by themselves of which there is most. Objects in view count as they stand."""
        sums = self._sums.copy()
        for place, site in self._sites.items():
            for version, followed in enumerate(site.followed):
                _add(sums, version, *self._finished(place, version, followed.all()))
        names = np.array(list(self._names), dtype=object)
        filled = np.flatnonzero(sums[: len(names), 0] + sums[: len(names), 2] > 0)
        order = sorted(filled.tolist(), key=lambda i: (names[i] == OTHER_LABELS, -(sums[i, 0] + sums[i, 2]), names[i]))
        found: dict[str, NDArray[np.float64]] = {}
        for position, index in enumerate(order):
            name = str(names[index])[:_LABEL_LETTERS] if position < MAX_LABELS else OTHER_LABELS
            found[name] = found.get(name, np.zeros(4)) + sums[index]
        return {name: _agreement(values) for name, values in found.items()}

    def dump(self) -> dict[str, Any]:
        """Everything but the pictures that wait, as JSON can hold it."""
        return {
            "frames": self.frames,
            "added": sorted(self.added),
            "names": list(self._names),
            "sums": self._sums.tolist(),
            "sites": [
                {
                    "place": list(place),
                    "through": list(site.through.items()),
                    "pairs": site.pairs,
                    "followed": [followed.dump() for followed in site.followed],
                }
                for place, site in self._sites.items()
            ],
        }

    @classmethod
    def load(cls, policy: ComparisonPolicy, document: Mapping[str, Any]) -> Comparer:
        """Go on from what ``dump`` gave.

        Raises:
            ValueError: it is nothing that ``dump`` gave.
        """
        comparer = cls(policy)
        try:
            comparer.frames = int(document["frames"])
            comparer.added = {str(name) for name in document["added"]}
            comparer._names = {str(name): index for index, name in enumerate(document["names"])}
            comparer._sums = np.array(document["sums"], np.float64).reshape(-1, 4)
            for entry in document["sites"]:
                site = comparer._sites[Place(*map(str, entry["place"]))] = _Site()
                site.through.update((str(epoch), int(number)) for epoch, number in entry["through"])
                site.pairs = int(entry["pairs"])
                site.followed = (Followed.load(entry["followed"][0]), Followed.load(entry["followed"][1]))
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"not the state of a comparison: {error!r}") from error
        used = {int(label) for s in comparer._sites.values() for f in s.followed for label in f.all()[:, 0]}
        if len(comparer._names) != len(comparer._sums) or not used <= set(range(len(comparer._names))):
            raise ValueError("not the state of a comparison: labels are not those that it names")
        return comparer

    def _count(self, place: Place, site: _Site, pair: tuple[_Picture, _Picture], t_s: float) -> None:
        running, new = pair
        similarity = iou(running.boxes, new.boxes)
        similarity[running.labels[:, None] != new.labels[None, :]] = 0.0
        rows, columns = assign(similarity, self._policy.least_overlap)
        for version, picture, partnered in ((RUNNING, running, rows), (NEW, new, columns)):
            seen = np.zeros(len(picture.ids), bool)
            seen[partnered] = True
            gone = site.followed[version].note(picture.ids, picture.labels, seen, t_s)
            if len(gone):
                _add(self._sums, version, *self._finished(place, version, gone))

    def _finished(
        self, place: Place, version: int, objects: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Of objects (n, 3: label, pictures, seen) those that count: labels and shares."""
        objects = objects[objects[:, 1] >= self._policy.least_pictures]
        known = self._reported.get(place)
        if version == NEW and known is not None and len(objects):
            names = list(self._names)
            foreign = {int(i) for i in np.unique(objects[:, 0]) if names[i] not in known and names[i] != OTHER_LABELS}
            if foreign:
                self.added |= {names[i] for i in sorted(foreign)[: max(0, MAX_LABELS - len(self.added))]}
                objects = objects[~np.isin(objects[:, 0], sorted(foreign))]
        return objects[:, 0], objects[:, 2] / np.maximum(objects[:, 1], 1)

    def _picture(self, batch: TrackBatch, row: int) -> _Picture:
        ids = np.array(batch.track_ids, np.int64)
        order = np.argsort(ids, kind="stable")
        boxes = np.array(batch.boxes, np.float64).reshape(-1, 4)
        distinct, index = np.unique(np.array(batch.labels, dtype=str), return_inverse=True)
        numbers = np.array([self._number(str(name)) for name in distinct], np.int64)
        labels = numbers[index] if len(ids) else np.zeros(0, np.int64)
        return _Picture(row, ids[order], boxes[order], labels[order])

    def _number(self, name: str) -> int:
        if name not in self._names:
            if len(self._names) >= MAX_NAMES:
                name = OTHER_LABELS
            if name not in self._names:
                self._names[name] = len(self._names)
                self._sums = np.vstack((self._sums, np.zeros((1, 4))))
        return self._names[name]


def _add(sums: NDArray[np.float64], version: int, labels: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    np.add.at(sums[:, 2 * version], labels, 1.0)
    np.add.at(sums[:, 2 * version + 1], labels, shares)


def _forget(waiting: OrderedDict[tuple[str, int], _Picture], epoch: str, through: int) -> None:
    """Drop the pictures of a run up to one: each version's come in order, so they have no partner any more."""
    for key in [key for key in waiting if key[0] == epoch and key[1] <= through]:
        del waiting[key]


def _agreement(values: NDArray[np.float64]) -> Agreement:
    running, running_seen, new, new_seen = values.tolist()
    return Agreement(
        running_objects=round(running),
        running_seen=round(min(running_seen, running), 6),
        new_objects=round(new),
        new_seen=round(min(new_seen, new), 6),
    )
