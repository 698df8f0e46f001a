"""What is left of a picture: nothing of a head, whatever the models do; nothing at all where it is not known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.core.test_masking import WATCH, Box, steady
from vedette.adapters.evidence.cover import FILL, Picture, fill, fill_all
from vedette.adapters.evidence.finders import find_in_bodies, pixels_of
from vedette.adapters.evidence.masker import PeopleMasker
from vedette.contracts.base import Polygon
from vedette.contracts.errors import EvidenceError, ModelError
from vedette.core.detections import Detections
from vedette.core.masking import TrackMasking
from vedette.core.people import Watch
from vedette.core.pixels import Pixels

WIDTH, HEIGHT = 1280, 720
BODY: Box = (600, 200, 700, 500)
HEAD = (slice(200, 300), slice(600, 700))


class Finder:
    """A detector that finds what it is told to in a whole picture, and nothing in parts of it."""

    def __init__(self, *boxes: Box, label: str = "face", fails: Callable[[], BaseException] | None = None) -> None:
        self.boxes = boxes
        self.labels = (label,)
        self.fails = fails
        self.calls = 0

    def detect(self, pixels: Pixels, hidden: tuple[Polygon, ...] = ()) -> Detections:
        self.calls += 1
        if self.fails is not None:
            raise self.fails()
        if (pixels.width, pixels.height) != (WIDTH, HEIGHT) or not self.boxes:
            return Detections.empty()
        count = len(self.boxes)
        return Detections(np.array(self.boxes, np.float32), np.full(count, 0.9, np.float32), np.zeros(count, np.int32))


def scene() -> Picture:
    """Noise: no part of it looks like another."""
    return np.random.default_rng(5).integers(60, 256, (HEIGHT, WIDTH, 3), np.uint8)


def masker(
    tracks: TrackMasking | None = None,
    *,
    watched: bool = True,
    face: Finder | None = None,
    person: Finder | None = None,
) -> PeopleMasker:
    tracks = tracks or TrackMasking(steady((1, BODY, "person")), [WATCH])
    return PeopleMasker(tracks, watched=watched, face=face, person=person)


def broken() -> Finder:
    return Finder(fails=lambda: ModelError("a run failed.", code="V302"))


def filled(picture: Picture) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (picture == np.array(FILL)).all(axis=2)
    return same


def test_the_head_is_one_solid_patch_and_the_rest_is_as_it_was() -> None:
    picture = scene()
    before = picture.copy()
    covered = masker().cover(picture, 2.0, "e1")
    assert filled(covered[HEAD]).all()
    assert np.array_equal(picture, before)
    kept = ~filled(covered)
    assert np.array_equal(covered[kept], picture[kept])
    assert kept.mean() > 0.9
    assert np.array_equal(covered[450:], picture[450:])


@pytest.mark.parametrize(
    "face",
    [
        None,
        broken(),
        Finder(fails=lambda: ValueError("shapes")),
        Finder(fails=MemoryError),
        Finder(),
    ],
    ids=["missing", "broken", "raises what it should not", "no memory", "finds nothing"],
)
def test_a_face_model_that_is_of_no_use_takes_nothing_away(face: Finder | None) -> None:
    picture = scene()
    assert np.array_equal(masker(face=face).cover(picture, 2.0, "e1"), masker().cover(picture, 2.0, "e1"))
    assert face is None or face.calls > 0


def test_what_a_model_did_wrong_is_told_once() -> None:
    used = masker(face=broken())
    for t in (1.0, 1.2, 1.4):
        used.cover(scene(), t, "e1")
    assert used.problems == ["face model: V302 a run failed."]


def test_a_face_without_a_track_is_covered_too() -> None:
    face = Finder((100, 100, 140, 150))
    covered = masker(face=face).cover(scene(), 2.0, "e1")
    assert filled(covered[100:150, 100:140]).all()
    assert filled(covered[HEAD]).all()


def test_a_face_is_looked_for_in_the_upper_half_of_every_body() -> None:
    class Close(Finder):
        def detect(self, pixels: Pixels, hidden: tuple[Polygon, ...] = ()) -> Detections:
            self.calls += 1
            self.sizes.append((pixels.width, pixels.height))
            return Detections.empty()

        sizes: list[tuple[int, int]] = []  # noqa: RUF012

    face = Close()
    masker(face=face).cover(scene(), 2.0, "e1")
    parts = [size for size in face.sizes if size[0] < 400]
    assert len(parts) == 2
    assert all(100 < width < 220 and 100 < height < 260 for width, height in parts)


def test_a_person_without_a_track_is_covered_too() -> None:
    person = Finder((100, 100, 160, 300), label="person")
    covered = masker(person=person).cover(scene(), 2.0, "e1")
    assert filled(covered[100:165, 100:160]).all()
    assert not filled(covered[260:300, 100:160]).any()


def test_what_was_found_holds_for_the_neighbours() -> None:
    picture = scene()
    face = Finder((100, 100, 140, 150))
    used = masker(face=face)
    used.look(picture, 2.0, "e1")
    face.boxes = ()
    assert filled(used.cover(picture, 2.2, "e1")[100:150, 100:140]).all()
    assert filled(used.cover(picture, 1.8, "e1")[100:150, 100:140]).all()
    assert not filled(used.cover(picture, 3.0, "e1")[100:150, 100:140]).any()
    assert not filled(used.cover(picture, 2.4, "e1")[100:150, 100:140]).any()


# --- where it is not known -------------------------------------------------------------------------------------------


def test_nobody_who_looks_for_people_means_no_picture() -> None:
    with pytest.raises(EvidenceError) as caught:
        masker(watched=False)
    assert caught.value.code == "V903"


@pytest.mark.parametrize("face", [None, Finder(), Finder((100, 100, 140, 150)), broken()])
def test_a_gap_in_the_analysis_means_no_picture_whatever_the_face_model_says(face: Finder | None) -> None:
    used = masker(face=face)
    with pytest.raises(EvidenceError, match="not analysed often enough") as caught:
        used.cover(scene(), 30.0, "e1")
    assert caught.value.code == "V902"
    covered = used.covered(scene(), 2.0, "another epoch")
    assert covered.whole
    assert filled(covered.picture).all()


def test_a_person_model_stands_in_for_the_analysis() -> None:
    person = Finder((100, 100, 160, 300), label="person")
    covered = masker(person=person).cover(scene(), 30.0, "e1")
    assert filled(covered[100:165, 100:160]).all()
    failing = Finder(label="person", fails=lambda: ModelError("a run failed.", code="V302"))
    assert masker(person=failing).covered(scene(), 30.0, "e1").whole


def test_a_person_model_that_knows_no_people_stands_in_for_nothing() -> None:
    assert masker(person=Finder((1, 1, 50, 90), label="bottle")).covered(scene(), 30.0, "e1").whole


def test_without_a_pipeline_a_face_model_that_fails_means_no_picture() -> None:
    used = masker(watched=False, face=broken())
    with pytest.raises(EvidenceError, match="a run failed"):
        used.cover(scene(), 2.0, "e1")


def test_without_a_pipeline_what_was_tracked_is_covered_all_the_same() -> None:
    """A pipeline for helmets, say, knows of some people; a face model of others."""
    covered = masker(watched=False, face=Finder((100, 100, 140, 150))).cover(scene(), 2.0, "e1")
    assert filled(covered[HEAD]).all()
    assert filled(covered[100:150, 100:140]).all()


def test_what_the_pipeline_does_not_look_at_is_filled_unless_a_person_model_does() -> None:
    watch = Watch("shop/people", region=((0, 0), (0.5, 0), (0.5, 1), (0, 1)))
    tracks = TrackMasking(steady(), [watch])
    picture = scene()
    assert filled(masker(tracks).cover(picture, 2.0, "e1")[:, WIDTH // 2 :]).all()
    assert filled(masker(tracks, face=Finder()).cover(picture, 2.0, "e1")[:, WIDTH // 2 :]).all()
    person = Finder(label="person")
    assert np.array_equal(masker(tracks, person=person).cover(picture, 2.0, "e1"), picture)


@settings(max_examples=60, deadline=None)
@given(
    bodies=st.lists(st.tuples(*[st.floats(-0.5, 1.5)] * 4), max_size=15),
    width=st.integers(2, 90),
    height=st.integers(2, 90),
)
def test_bodies_of_any_shape_are_looked_at_within_the_picture(
    bodies: list[tuple[float, float, float, float]], width: int, height: int
) -> None:
    class Looks(Finder):
        def detect(self, pixels: Pixels, hidden: tuple[Polygon, ...] = ()) -> Detections:
            assert pixels.y.size
            return Detections(np.array([[0, 0, 1, 1]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int32))

    picture = pixels_of(np.zeros((height, width, 3), np.uint8))
    found = find_in_bodies(Looks(), picture, np.array(bodies, np.float64).reshape(-1, 4))
    assert (found[:, :2] >= 0).all()
    assert (found[:, 2] <= picture.width).all()
    assert (found[:, 3] <= picture.height).all()


# --- filling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(31, 45), (720, 1280), (3, 3)])
def test_pictures_of_any_size_are_filled_to_the_edge(size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 255, np.uint8)
    assert filled(fill(picture, np.array([[0.0, 0.0, 1.0, 1.0]]))).all()
    assert filled(fill_all(picture)).all()
    assert filled(fill(picture, np.empty((0, 4)), np.ones((36, 64), np.bool_))).all()
    assert np.array_equal(fill(picture, np.empty((0, 4))), picture)


def test_a_region_is_rounded_outwards_to_whole_blocks_of_colour() -> None:
    covered = fill(np.full((20, 20, 3), 255, np.uint8), np.array([[0.26, 0.26, 0.54, 0.54]]))  # 5.2 to 10.8
    assert filled(covered)[4:12, 4:12].all()
    assert filled(covered).sum() == 64


def test_planes_for_detectors_are_those_of_the_picture() -> None:
    picture = np.zeros((45, 31, 3), np.uint8)
    picture[:, :] = (0, 0, 255)
    pixels = pixels_of(picture)
    assert (pixels.width, pixels.height) == (32, 46)
    assert 70 < pixels.y.mean() < 90
    assert pixels.v.mean() > 200
