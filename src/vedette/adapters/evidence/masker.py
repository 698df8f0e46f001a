"""Makes people in pictures of a camera unrecognisable, or says that it cannot.

What is filled is the union of what the tracks of the journal say and of what models find in the picture itself: a
model that is missing, broken or blind takes nothing away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.adapters.evidence.cover import Picture, fill, fill_all
from vedette.adapters.evidence.finders import classes_of, find_all, find_in_bodies, pixels_of
from vedette.contracts.errors import EvidenceError
from vedette.core.masking import TrackMasking, face_regions, head_regions
from vedette.core.people import EVERYONE
from vedette.ports.detector import Detector

Boxes = NDArray[np.float64]

#: What a model found is held on to for so long before and after: it does not find everyone in every picture.
HOLD_S: Final = 0.25
#: Moments of a clip that finds are kept of; the oldest go.
_MOST_LOOKS: Final = 20_000
_NOTHING: Final = np.empty((0, 4))


@dataclass(frozen=True, slots=True)
class Covered:
    """A picture that may be shown.

    Attributes:
        picture: uint8 (height, width, 3), blue, green, red.
        whole: why nothing of the picture is left; empty where only parts are filled.
    """

    picture: Picture
    whole: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What models found in one picture: shares of it, and what went wrong.

    ``bodies`` is None where no model looked for people, or it failed; likewise ``faces``.
    """

    t: float
    bodies: Boxes | None
    faces: Boxes | None
    sizes: tuple[int, int]


class PeopleMasker:
    """Covers people in the pictures of one clip; implements ``vedette.ports.evidence.Masker``.

    Args:
        tracks: of the clip's camera.
        watched: whether some pipeline looks for people in its pictures.
        face: a model that finds faces, or None.
        person: a model that finds people, or None.

    Raises:
        EvidenceError: V903, nobody looks for people.
    """

    def __init__(
        self, tracks: TrackMasking, *, watched: bool, face: Detector | None = None, person: Detector | None = None
    ) -> None:
        if not watched and face is None and person is None:
            raise EvidenceError(
                "people cannot be covered: no pipeline looks for people in the pictures of this camera, and no face or "
                "person model is there.",
                hint="Let an application look for `person` on this camera, or give the device a `faceModel` or "
                "`personModel`.",
                code="V903",
            )
        self._tracks = tracks
        self._watched = watched
        self._face = face
        self._person = person
        self._people = classes_of(person, tuple(EVERYONE)) if person is not None else frozenset()
        self._looks: dict[str, dict[float, _Look]] = {}
        self.problems: list[str] = []

    def look(self, picture: Picture, media_time_s: float, epoch: str) -> None:
        """Let the models see a picture ahead of ``cover``: what they find holds for its neighbours too."""
        if self._face is not None or self._person is not None:
            self._look(picture, media_time_s, epoch)

    def cover(self, picture: Picture, media_time_s: float, epoch: str) -> Picture:
        """A copy of the picture with people made unrecognisable.

        Args:
            picture: uint8 (height, width, 3), blue, green, red.
            media_time_s: seconds since the first picture of the epoch.
            epoch: ingest epoch.

        Raises:
            EvidenceError: V902, it is not known where people are: nothing of the picture may be shown.
        """
        covered = self.covered(picture, media_time_s, epoch)
        if covered.whole:
            raise EvidenceError(
                f"the picture is not kept: {covered.whole}.",
                hint="Analyse the camera at 2 pictures a second or more; give the device a `personModel`.",
                code="V902",
            )
        return covered.picture

    def covered(self, picture: Picture, media_time_s: float, epoch: str) -> Covered:
        """As ``cover``, but where it is not known where people are, the whole picture is filled."""
        look = self._look(picture, media_time_s, epoch)
        known = self._tracks.at(epoch, media_time_s) if self._watched else None
        if known is None and look.bodies is None:
            if self._watched:
                return Covered(fill_all(picture), "the camera was not analysed often enough around it")
            if look.faces is None:
                return Covered(fill_all(picture), f"a model failed: {self._last_problem()}")
        tracked = known.boxes if known is not None else self._tracks.tracked(epoch, media_time_s)
        cells = known.cells if known is not None and look.bodies is None else None
        regions = np.concatenate((tracked, *self._held(epoch, media_time_s)))
        return Covered(fill(picture, regions, cells))

    def _look(self, picture: Picture, t: float, epoch: str) -> _Look:
        """What the models find in the picture; asked once for each moment."""
        looks = self._looks.setdefault(epoch, {})
        if (look := looks.get(t)) is None:
            look = looks[t] = self._find(picture, t, epoch)
            if len(looks) > _MOST_LOOKS:
                del looks[next(iter(looks))]
        return look

    def _find(self, picture: Picture, t: float, epoch: str) -> _Look:
        bodies: Boxes | None = None
        faces: Boxes | None = None
        height, width = picture.shape[:2]
        scale = np.array((width, height, width, height), np.float64)
        if self._face is None and self._person is None:
            return _Look(t, None, None, (width, height))
        pixels = pixels_of(picture)
        if self._person is not None and self._people:
            try:
                bodies = find_all(self._person, pixels, self._people) / scale
            except Exception as error:  # noqa: BLE001 - whatever a model raises, what tracks say is covered all the same
                self._complain(f"person model: {error}")
        if self._face is not None:
            known = self._tracks.at(epoch, t)
            near = [known.bodies if known is not None else _NOTHING, bodies if bodies is not None else _NOTHING]
            try:
                whole = find_all(self._face, pixels)
                faces = np.concatenate((whole, find_in_bodies(self._face, pixels, np.concatenate(near)))) / scale
            except Exception as error:  # noqa: BLE001 - as above
                self._complain(f"face model: {error}")
        return _Look(t, bodies, faces, (width, height))

    def _held(self, epoch: str, t: float) -> list[Boxes]:
        """Regions of what models found around a moment, shares."""
        regions = [_NOTHING]
        for look in self._looks.get(epoch, {}).values():
            away_s = abs(look.t - t)
            if away_s <= HOLD_S:
                if look.bodies is not None and len(look.bodies):
                    regions.append(head_regions(look.bodies, look.sizes, away_s))
                if look.faces is not None and len(look.faces):
                    regions.append(face_regions(look.faces, look.sizes, away_s))
        return regions

    def _complain(self, problem: str) -> None:
        if problem not in self.problems and len(self.problems) < 8:
            self.problems.append(problem)

    def _last_problem(self) -> str:
        return self.problems[-1] if self.problems else "no model is there"
