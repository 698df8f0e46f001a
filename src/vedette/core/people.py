"""Which labels mean people, and which pipelines of a plan look for people, over which part of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.base import Polygon
from vedette.contracts.manifest import Model
from vedette.contracts.plan import Plan
from vedette.core import geometry
from vedette.core.labels import COCO, labels_of

#: Cells in which the parts of a picture that nobody looks at are counted: columns, rows.
GRID: Final = (64, 36)
#: Points per side of a cell that are tested against the outlines.
_SAMPLES: Final = 3
# Someone whose middle lies outside a region is not followed, although the head may reach in. Shares of the picture.
_LEAST_REACH: Final = 0.25
#: A pipeline that drops more than this looks for certain people only; it says nothing of the others.
SUREST: Final = 0.6

#: A model that knows one of these looks for everyone, not for people of some kind.
EVERYONE: Final = frozenset({"person", "people", "human"})
_SOME: Final = """
pedestrian, man, woman, boy, girl, child, adult, worker, employee, staff, customer, visitor, operator, rider, driver,
cyclist, body
"""
_BODIES: Final = EVERYONE | {name.strip() for name in _SOME.split(",")}
_HEADS: Final = frozenset({"face", "head", "mask", "no_mask", "with_mask", "without_mask", "helmet", "hardhat"})
_THINGS: Final = frozenset(COCO) - {"person"}


class Kind(IntEnum):
    """What a label says about people, by rising claim on the picture."""

    THING = 0
    BODY = 1
    HEAD = 2
    UNKNOWN = 3


def kind_of(label: str) -> Kind:
    """What a label means. The 79 things and animals of COCO are known to be no people; of others nothing is known."""
    name = label.strip().lower()
    if name in _BODIES:
        return Kind.BODY
    if name in _HEADS:
        return Kind.HEAD
    return Kind.THING if name in _THINGS else Kind.UNKNOWN


def finds_people(model: Model, labels: tuple[str, ...] | None = None) -> bool:
    """Whether a model, with only these labels kept, reports everyone it can find.

    Args:
        model: what the manifest says of it.
        labels: kept; all where None.
    """
    if model.min_confidence > SUREST:
        return False
    return any(name.strip().lower() in EVERYONE and (labels is None or name in labels) for name in labels_of(model))


@dataclass(frozen=True, slots=True)
class Watch:
    """A pipeline that looks for people in the pictures of a camera.

    Attributes:
        pipeline: ``<application>/<pipeline>``, as in the journal.
        region: only this part is looked at, normalised; the whole picture where None.
        masks: parts that are not looked at, normalised.
        hits: pictures in which someone is seen before the tracker says so.
    """

    pipeline: str
    region: Polygon | None = None
    masks: tuple[Polygon, ...] = ()
    hits: int = 2

    def blind(self) -> NDArray[np.bool_] | None:
        """The cells of the picture of which some part is not looked at, bool (rows, columns); None: there is none."""
        if self.region is None and not self.masks:
            return None
        columns, rows = GRID
        y, x = np.mgrid[: rows * _SAMPLES, : columns * _SAMPLES]
        shares = (np.stack((x.ravel(), y.ravel()), axis=1) + 0.5) / (columns * _SAMPLES, rows * _SAMPLES)
        unseen = np.zeros(len(shares), np.bool_)
        if self.region is not None:
            np.logical_or(unseen, ~geometry.inside(shares, self.region), out=unseen)
        for mask in self.masks:
            np.logical_or(unseen, geometry.inside(shares, mask), out=unseen)
        found: NDArray[np.bool_] = np.any(unseen.reshape(rows, _SAMPLES, columns, _SAMPLES), axis=(1, 3))
        return found if bool(found.any()) else None


def watches(plan: Plan, camera: str) -> tuple[Watch, ...]:
    """The pipelines of a camera whose tracks can be believed to hold everyone the model can find.

    Left out are candidates, models that know no people, pipelines that do not keep them, those that want to be very
    sure, and those that look at parts of the picture only: someone larger than a part is not found in any.

    Args:
        plan: of the device.
        camera: the device's name of it.
    """
    return tuple(
        Watch(pipeline.key, pipeline.region, pipeline.masks, pipeline.tracker.min_hits)
        for session in plan.models
        for pipeline in session.pipelines
        if pipeline.camera == camera
        and not pipeline.candidate
        and pipeline.tracker.high_confidence <= SUREST
        and (pipeline.tiles is None or pipeline.tiles.whole)
        and finds_people(session.model, pipeline.labels)
    )


def grown(cells: NDArray[np.bool_], tallest: float, widest: float) -> NDArray[np.bool_]:
    """Blind cells with those that someone may reach into whose middle is in them.

    Args:
        cells: bool (rows, columns).
        tallest: height of the tallest person, share of the picture's height.
        widest: width of the widest, share of the picture's width.

    Returns:
        bool (rows, columns).
    """
    rows, columns = cells.shape
    down = int(np.ceil(max(_LEAST_REACH, tallest / 2) * rows))
    across = int(np.ceil(max(_LEAST_REACH / 2, widest / 2) * columns))
    return _spread(_spread(cells, down).T, across).T


def _spread(cells: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Every row that is at most ``reach`` rows from one that is set, column by column."""
    sums = np.zeros((cells.shape[0] + 1, cells.shape[1]), np.int64)
    np.cumsum(cells, axis=0, out=sums[1:])
    row = np.arange(cells.shape[0])
    set_near: NDArray[np.bool_] = sums[np.minimum(row + reach + 1, len(row))] > sums[np.maximum(row - reach, 0)]
    return set_near
