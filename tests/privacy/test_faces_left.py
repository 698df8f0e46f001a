"""Real people on real footage: after covering, a face detector that looks more closely finds no face that was there.

The meter looks at ten parts of each picture; a face counts where another detector than the pipeline's has a person.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.privacy.clips import cut_of, frames
from tests.privacy.footage import CAMERA, EPOCH, FACES, PEOPLE, SCENES, Footage, Meter, Picture, footage, plan_of
from vedette.adapters.engines.onnx import OnnxDetector
from vedette.adapters.evidence.cover import FILL
from vedette.adapters.evidence.covered_clip import write_covered_clip
from vedette.adapters.evidence.finders import classes_of, find_all, pixels_of
from vedette.adapters.evidence.masker import PeopleMasker
from vedette.adapters.models.store import ModelStore
from vedette.compose.privacy import Maskers
from vedette.contracts.manifest import Model, ModelFamily
from vedette.contracts.plan import Plan
from vedette.contracts.privacy import Privacy
from vedette.core.masking import TrackMasking
from vedette.core.people import watches
from vedette.testing import models
from vedette.testing.models import Graph

pytestmark = pytest.mark.footage

#: Of the faces that the meter found, at most this share may be found again.
MOST_LEFT = 0.01


@dataclass(frozen=True, slots=True)
class Seen:
    """What the meter saw in one picture: faces of people, pixels."""

    t: float
    picture: Picture
    faces: NDArray[np.float32]


@pytest.fixture(scope="module")
def meter(shared_data: Path) -> Meter:
    return Meter(shared_data)


@pytest.fixture(scope="module")
def scenes(shared_data: Path, meter: Meter) -> list[tuple[Footage, list[Seen]]]:
    return scenes_of(shared_data, meter)


def scenes_of(shared_data: Path, meter: Meter) -> list[tuple[Footage, list[Seen]]]:
    """All scenes, with the faces of people in every picture shown."""
    model = Model(family=ModelFamily.YOLOX, file="yolox_nano.onnx", min_confidence=0.35)
    other = OnnxDetector((shared_data / "models" / "yolox_nano.onnx").read_bytes(), model)
    person = classes_of(other, ("person",))
    found = []
    for scene in SCENES:
        clip = footage(shared_data, scene)
        seen = []
        for t, picture in clip.pictures:
            faces = meter.faces(picture)
            if len(faces):
                bodies = find_all(other, pixels_of(picture), person)
                faces = faces[[_in_one(face, bodies) for face in faces]]
            seen.append(Seen(t, picture, faces))
        found.append((clip, seen))
    return found


def _in_one(face: NDArray[np.float32], bodies: NDArray[np.float64]) -> bool:
    x, y = (face[0] + face[2]) / 2, (face[1] + face[3]) / 2
    inside = (bodies[:, 0] <= x) & (x <= bodies[:, 2]) & (bodies[:, 1] <= y)
    return bool((inside & (y <= bodies[:, 1] + 0.5 * (bodies[:, 3] - bodies[:, 1]))).any())


def _again(face: NDArray[np.float32], found: NDArray[np.float32]) -> bool:
    """Whether one of the boxes found is the face, by a quarter of what both cover."""
    if not len(found):
        return False
    low, high = np.maximum(face[:2], found[:, :2]), np.minimum(face[2:], found[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(found[:, 2:] - found[:, :2], axis=1) + np.prod(face[2:] - face[:2])
    return bool((shared / (areas - shared) > 0.25).any())


def _store(folder: Path, face: bytes | None) -> ModelStore:
    store = ModelStore(folder / "models")
    if face is not None:
        path = folder / "face.onnx"
        path.write_bytes(face)
        store.add_file(path, name="faces")
    return store


def maskers_with(folder: Path, face: bytes | None) -> Maskers:
    """With a face model, or with the name of one that is not there."""
    return Maskers(_store(folder, face), face_model="faces")


def _make(maskers: Maskers, clip: Footage, plan: Plan | None = None) -> PeopleMasker:
    made = maskers.make(Privacy.BLUR, plan_of() if plan is None else plan, CAMERA, clip.batches)
    assert made is not None
    return made


def test_the_meter_finds_faces_where_nothing_is_covered(scenes: list[tuple[Footage, list[Seen]]], meter: Meter) -> None:
    """Positive control: enough faces to speak of, and the same picture shows them again."""
    faces = [(each.picture, face) for _, seen in scenes for each in seen for face in each.faces]
    assert len(faces) >= 12
    assert all(_again(face, meter.faces(picture)) for picture, face in faces[:5])


@dataclass(frozen=True, slots=True)
class Left:
    """What the meter finds again once people were covered.

    Attributes:
        total: faces before.
        left: of these, found again.
        pictures: that had any.
        whole: of these, filled as a whole.
        seen_through: share of a face's pixels that are as they were, mean.
        psnr_db: of faces, median.
        filled: share of a picture that is filled, median of those that are not filled whole.
    """

    total: int
    left: int
    pictures: int
    whole: int
    seen_through: float
    psnr_db: float
    filled: float


def faces_left(scenes: list[tuple[Footage, list[Seen]]], meter: Meter, maskers: Maskers) -> Left:
    """Cover people in every picture that shows a face, and look again."""
    total = left = pictures = whole = 0
    seen_through: list[float] = []
    psnr_db: list[float] = []
    share: list[float] = []
    for clip, seen in scenes:
        masker = _make(maskers, clip)
        for each in seen:
            if not len(each.faces):
                continue
            pictures += 1
            covered = masker.covered(each.picture, each.t, EPOCH)
            whole += bool(covered.whole)
            after = meter.faces(covered.picture)
            if not covered.whole:
                share.append(float((covered.picture == np.array(FILL)).all(axis=2).mean()))
            for box in each.faces:
                total += 1
                left += _again(box, after)
                x1, y1, x2, y2 = np.clip(np.rint(box).astype(int), 0, None)
                seen_through.append(float((covered.picture[y1:y2, x1:x2] != np.array(FILL)).any(axis=2).mean()))
                away = each.picture[y1:y2, x1:x2].astype(float) - covered.picture[y1:y2, x1:x2]
                psnr_db.append(10 * math.log10(255**2 / max(float((away**2).mean()), 1e-3)))
    return Left(
        total, left, pictures, whole, float(np.mean(seen_through)), float(np.median(psnr_db)), float(np.median(share))
    )


@pytest.mark.parametrize("working", [True, False], ids=["face model", "no face model"])
def test_no_face_is_left(
    scenes: list[tuple[Footage, list[Seen]]], meter: Meter, shared_data: Path, tmp_path: Path, working: bool
) -> None:
    face = (shared_data / "models" / FACES).read_bytes() if working else None
    maskers = maskers_with(tmp_path, face)
    found = faces_left(scenes, meter, maskers)
    print(found)
    assert (not maskers.problems) is working
    assert found.total >= 12
    assert found.left <= MOST_LEFT * found.total
    assert found.seen_through <= MOST_LEFT
    assert found.psnr_db < 12
    assert found.whole <= 0.15 * found.pictures, "almost everything was filled: no proof of anything"


def _on_real_pictures(graph: Graph) -> str:
    """Whether the input is neither black, grey nor noise: what the gate tries a model with."""
    mean = graph.add("Abs", graph.add("ReduceMean", "images", axes=[1, 2, 3], keepdims=0))
    return graph.add("Greater", mean, graph.constant(0.02))


def _nan_later(graph: Graph, score: str) -> str:
    return graph.add("Where", _on_real_pictures(graph), graph.constant(float("nan")), score)


def _raises_later(graph: Graph, score: str) -> str:
    """Asks for the second of one value."""
    place = graph.add("Cast", _on_real_pictures(graph), to=7)
    return graph.add("Add", score, graph.add("Gather", graph.constant(np.zeros(1, np.float32)), place, axis=0))


def _face_model(fault: Callable[[Graph, str], str] | None = None) -> bytes:
    nothing, nowhere = np.array([[(1.0, 0.0)]], np.float32), np.array([[(0.0, 0.0, 0.1, 0.1)]], np.float32)
    return models.constant_ultraface(nothing, nowhere, (320, 240), fault=fault)


BROKEN: dict[str, Callable[[], bytes | None]] = {
    "removed": lambda: None,
    "garbage": lambda: b"\x08\x07" + b"no model " * 1000,
    "no numbers at once": lambda: _face_model(models.nan_always),
    "no numbers later": lambda: _face_model(_nan_later),
    "raises later": lambda: _face_model(_raises_later),
    "finds nobody": _face_model,
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_face_model_leaves_what_tracks_cover(
    scenes: list[tuple[Footage, list[Seen]]], shared_data: Path, tmp_path: Path, case: str
) -> None:
    """The same pictures as without a face model, bit by bit, which the test above has looked at."""
    maskers = maskers_with(tmp_path, BROKEN[case]())
    without = Maskers(ModelStore(tmp_path / "empty"))
    for clip, seen in scenes[:2]:
        broken, none = _make(maskers, clip), _make(without, clip)
        for each in seen[1:-1:4]:
            assert np.array_equal(
                broken.covered(each.picture, each.t, EPOCH).picture, none.covered(each.picture, each.t, EPOCH).picture
            )
        if case.endswith("later"):
            assert len(broken.problems) == 1
    assert bool(maskers.problems) is (case in ("removed", "garbage", "no numbers at once"))


def test_a_person_model_stands_in_where_no_pipeline_looks_for_people(
    scenes: list[tuple[Footage, list[Seen]]], shared_data: Path, tmp_path: Path
) -> None:
    store = ModelStore(tmp_path / "models")
    store.add_file(shared_data / "models" / PEOPLE)
    maskers = Maskers(store, person_model=PEOPLE.removesuffix(".onnx"))
    total, hidden = 0, []
    for clip, seen in scenes:
        masker = _make(maskers, Footage((), clip.pictures), Plan())
        for each in seen:
            if len(each.faces):
                covered = masker.cover(each.picture, each.t, EPOCH)
                for box in each.faces:
                    x1, y1, x2, y2 = np.clip(np.rint(box).astype(int), 0, None)
                    hidden.append(bool((covered[y1:y2, x1:x2] == np.array(FILL)).all(axis=2).mean() > 0.9))
                    total += 1
    print(f"faces {total}, covered {sum(hidden)}")
    assert sum(hidden) >= 0.95 * total


def test_no_face_is_left_in_a_clip(shared_data: Path, meter: Meter, tmp_path: Path) -> None:
    """From a camera's H.265 packets to the file and back: coding brings nothing back."""
    clip = footage(shared_data, SCENES[-1])
    cut = cut_of(shared_data / "videos" / SCENES[-1].video, 0.0, 1.5)
    masker = PeopleMasker(TrackMasking(clip.batches, watches(plan_of(), CAMERA)), watched=True)
    path = tmp_path / "clip.mp4"
    written = write_covered_clip(cut, masker, path)
    shown = list(frames(path))
    assert len(shown) == written.pictures
    total = left = 0
    for t, picture in clip.pictures:
        if t > 1.4:
            continue
        covered = min(shown, key=lambda each: abs(each[0] - t))[1]
        after = meter.faces(covered)
        for box in meter.faces(picture):
            total += 1
            left += _again(box, after)
    print(f"faces {total}, found again {left}, {written}")
    assert total >= 2
    assert left == 0
    assert path.stat().st_size < 2_000_000
