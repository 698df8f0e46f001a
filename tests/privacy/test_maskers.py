"""Who covers the pictures of an alert, or why nobody can; models are tried once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.core.test_masking import steady
from tests.core.test_people import plan
from vedette.adapters.models.store import ModelStore
from vedette.compose.privacy import Maskers
from vedette.contracts.errors import EvidenceError
from vedette.contracts.manifest import ModelFamily
from vedette.contracts.plan import Plan
from vedette.contracts.privacy import Privacy
from vedette.testing import models

BATCHES = steady((1, (600, 200, 700, 500), "person"))
PICTURE = np.full((720, 1280, 3), 200, np.uint8)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def add(store: ModelStore, name: str, content: bytes) -> None:
    path = store.directory.parent / f"{name}.onnx"
    path.write_bytes(content)
    store.add_file(path, name=name)


def face_model() -> bytes:
    return models.constant_ultraface(
        np.array([[(0.1, 0.9)]], np.float32), np.array([[(0.1, 0.1, 0.2, 0.2)]], np.float32)
    )


def test_with_no_privacy_nobody_is_needed(store: ModelStore) -> None:
    assert Maskers(store).make(Privacy.NONE, Plan(), "cam", []) is None


@pytest.mark.parametrize("names", [("", ""), ("faces", "people")])
def test_metadata_only_means_no_picture_whatever_is_there(store: ModelStore, names: tuple[str, str]) -> None:
    add(store, "faces", face_model())
    with pytest.raises(EvidenceError, match="metadata-only") as caught:
        Maskers(store, *names).make(Privacy.METADATA_ONLY, plan(), "cam", BATCHES)
    assert caught.value.code == "V902"


def test_tracks_are_enough(store: ModelStore) -> None:
    masker = Maskers(store).make(Privacy.BLUR, plan(), "cam", BATCHES)
    assert masker is not None
    assert (masker.cover(PICTURE, 2.0, "e1")[210:290, 610:690] < 100).all()
    assert masker.problems == []


def test_tracks_of_another_camera_say_nothing(store: ModelStore) -> None:
    other = [replace(each, frame=replace(each.frame, camera="other")) for each in BATCHES]
    masker = Maskers(store).make(Privacy.BLUR, plan(), "cam", other)
    assert masker is not None
    with pytest.raises(EvidenceError):
        masker.cover(PICTURE, 2.0, "e1")


def test_without_tracks_and_models_nothing_is_kept(store: ModelStore) -> None:
    with pytest.raises(EvidenceError) as caught:
        Maskers(store).make(Privacy.BLUR, plan(labels=("car",)), "cam", BATCHES)
    assert caught.value.code == "V903"
    with pytest.raises(EvidenceError):
        Maskers(store).make(Privacy.BLUR, plan(), "another camera", BATCHES)


def test_a_missing_model_is_told_with_what_to_do(store: ModelStore) -> None:
    maskers = Maskers(store, face_model="ultraface_rfb_320")
    with pytest.raises(EvidenceError, match=r"V301.*not in the model store") as caught:
        maskers.make(Privacy.BLUR, Plan(), "cam", BATCHES)
    assert caught.value.code == "V904"
    masker = maskers.make(Privacy.BLUR, plan(), "cam", BATCHES)
    assert masker is not None
    assert "the face model cannot be used (V301" in masker.problems[0]


def test_a_working_face_model_is_enough(store: ModelStore) -> None:
    add(store, "faces", face_model())
    masker = Maskers(store, face_model="faces").make(Privacy.BLUR, Plan(), "cam", [])
    assert masker is not None
    assert (masker.cover(PICTURE, 2.0, "e1")[72:144, 128:256] < 100).all()


def test_a_model_is_loaded_once(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    read = store.read

    def counted(name: str) -> bytes:
        calls.append(name)
        return read(name)

    monkeypatch.setattr(store, "read", counted)
    maskers = Maskers(store, face_model="nowhere")
    for _ in range(3):
        maskers.make(Privacy.BLUR, plan(), "cam", BATCHES)
    assert calls == ["nowhere"]


@pytest.mark.parametrize("family", [ModelFamily.YOLOX, ModelFamily.DETR, ModelFamily.YOLOV8])
def test_the_family_of_a_person_model_is_found_out(store: ModelStore, family: ModelFamily) -> None:
    add(store, "people", models.bright_rectangle(family, labels=80))
    maskers = Maskers(store, person_model="people")
    masker = maskers.make(Privacy.BLUR, Plan(), "cam", [])
    assert maskers.problems == ()
    assert masker is not None
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[10:50, 20:40] = 255
    assert (masker.cover(picture, 2.0, "e1")[10:24, 20:40] < 100).all()


def test_a_model_that_finds_faces_does_not_find_people(store: ModelStore) -> None:
    add(store, "faces", face_model())
    with pytest.raises(EvidenceError) as caught:
        Maskers(store, person_model="faces").make(Privacy.BLUR, Plan(), "cam", [])
    assert caught.value.code == "V904"
