"""Mistakes in what a pipeline looks at, and in what it finds out about its objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette.adapters.manifest import check_manifest, load_manifest
from vedette.contracts.camera import CameraConfig
from vedette.contracts.manifest import ModelFamily, Tiles
from vedette.contracts.plan import AttachedApplication
from vedette.core.plan import make_plan

GOOD = """\
api: vedette/v1
name: gate
cameras: {gate: {}}
models:
  people: {family: yolox, file: yolox_nano}
  hats: {family: classifier, file: hats.onnx, labels: [hat, none]}
  codes: {family: codes, labels: [qr_code, code128]}
pipelines:
  main:
    model: people
    cameras: [gate]
    labels: [person]
    region: [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]
    masks: [[[0, 0], [0.1, 0], [0.1, 0.1]]]
    tiles: {columns: 2, rows: 1}
    motion: {floor_s: 1}
    attributes:
      head: {type: classifier, model: hats, crop: [0, 0, 1, 0.3]}
      badge: {type: codes, formats: [qr_code]}
  parcels: {model: codes, cameras: [gate]}
rules:
  bare: {type: zone_entered, pipeline: main, zone: [[0, 0], [1, 0], [1, 1]], where: {head: [none]}}
  known: {type: zone_entered, pipeline: parcels, zone: [[0, 0], [1, 0], [1, 1]], where: {text: [A-1]}}
"""

MISTAKES = [
    (
        "family: codes, labels: [qr_code, code128]",
        "family: codes, labels: [qrcode]",
        "models.codes.labels[0]",
        "qr_code",
    ),
    ("family: codes, labels", "family: codes, file: x.onnx, labels", "models.codes", "takes no file"),
    ("family: classifier, file: hats.onnx,", "family: classifier,", "models.hats", "`file` is missing"),
    ("model: hats", "model: hat", "pipelines.main.attributes.head.model", "`hats`"),
    ("model: hats", "model: people", "pipelines.main.attributes.head.model", "of the family classifier"),
    ("type: classifier", "type: klassifier", "pipelines.main.attributes.head.type", "classifier"),
    ("formats: [qr_code]", "formats: [ean-13]", "pipelines.main.attributes.badge.formats[0]", "ean13"),
    ("crop: [0, 0, 1, 0.3]", "crop: [0, 0.3, 1, 0.3]", "pipelines.main.attributes.head", "no part of a box"),
    ("where: {head: [none]}", "where: {haed: [none]}", "rules.bare.where.haed", "`head`"),
    ("where: {head: [none]}", "where: {head: [non]}", "rules.bare.where.head[0]", "`none`"),
    ("pipeline: parcels, zone", "pipeline: main, zone", "rules.known.where.text", "head, badge"),
    ("columns: 2", "columns: 9", "pipelines.main.tiles.columns", "at most 8"),
    ("floor_s: 1", "floor_s: 0", "pipelines.main.motion.floor_s", "more than 0"),
    ("[0.9, 0.9], [0.1, 0.9]]", "[0.1, 0.9], [0.9, 0.9]]", "pipelines.main.region", "crosses itself"),
    ("[[[0, 0], [0.1, 0], [0.1, 0.1]]]", "[[[0, 0], [0.1, 0.1], [0.2, 0.2]]]", "pipelines.main.masks[0]", "one line"),
]


def mistakes(folder: Path, text: str) -> list[tuple[str, str]]:
    file = folder / "vedette.yaml"
    file.write_text(text)
    return [(m.path, m.render()) for m in check_manifest(file) if m.level == "error"]


def test_a_good_manifest_has_no_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "vedette.yaml"
    file.write_text(GOOD)
    assert [mistake.render() for mistake in check_manifest(file)] == []


@pytest.mark.parametrize(("old", "new", "path", "words"), MISTAKES)
def test_one_mistake_is_found_in_its_place(tmp_path: Path, old: str, new: str, path: str, words: str) -> None:
    assert GOOD.count(old) == 1
    found = mistakes(tmp_path, GOOD.replace(old, new))
    assert [where for where, _ in found] == [path], found
    assert words in found[0][1]


def test_the_plan_says_what_each_pipeline_looks_at(tmp_path: Path) -> None:
    file = tmp_path / "vedette.yaml"
    file.write_text(GOOD)
    application = AttachedApplication(manifest=load_manifest(file), directory="/apps/gate")
    plan = make_plan([application], [CameraConfig(name="gate", url="rtsp://192.0.2.1/x")])
    assert plan.problems == ()
    by_family = {model.model.family: model for model in plan.models}
    assert set(by_family) == {ModelFamily.YOLOX, ModelFamily.CODES}
    assert by_family[ModelFamily.CODES].key.startswith("codes-")
    (main,) = by_family[ModelFamily.YOLOX].pipelines
    assert main.tiles == Tiles(columns=2, rows=1)
    assert main.motion is not None
    assert [(a.name, a.file) for a in main.attributes] == [("badge", ""), ("head", "hats.onnx")]
    assert main.attributes[1].model is not None


GROUND = """\
api: vedette/v1
name: yard
cameras:
  yard: {ground: {picture: [[0.2, 0.4], [0.8, 0.4], [1, 1], [0, 1]], metres: [[0, 10], [6, 10], [6, 0], [0, 0]]}}
models: {things: {family: yolox, file: yolox_nano}}
pipelines: {main: {model: things, cameras: [yard], labels: [person, car]}}
rules:
  near: {type: proximity, labels: [person], to: [car], within_m: 3}
"""

GROUND_MISTAKES = [
    (GROUND.splitlines()[3], "  yard: {}", "rules.near", "has no `ground`"),
    ("to: [car]", "to: [truck]", "rules.near.to[0]", "does not keep the class 'truck'"),
    ("[6, 10], [6, 0], [0, 0]]", "[6, 0], [6, 10], [0, 0]]", "cameras.yard.ground", "same order"),
    ("[6, 0], [0, 0]]", "[6, 0]]", "cameras.yard.ground.metres", "a list of 3"),
    ("within_m: 3", "within_m: 0", "rules.near.within_m", "more than 0"),
    ("type: proximity, labels: [person], to: [car], within_m: 3", "type: code_read", "rules.near", "reads no text"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "words"), GROUND_MISTAKES)
def test_one_mistake_about_distances_and_codes(tmp_path: Path, old: str, new: str, path: str, words: str) -> None:
    assert mistakes(tmp_path, GROUND) == []
    assert GROUND.count(old) == 1
    found = mistakes(tmp_path, GROUND.replace(old, new))
    assert [where for where, _ in found] == [path], found
    assert words in found[0][1]
