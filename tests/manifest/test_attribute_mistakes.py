"""Mistakes in what looks at colours and in detectors that look at parts of objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette.adapters.manifest import check_manifest, load_manifest
from vedette.contracts.manifest import ColourAttribute, ColourRange, DetectorAttribute, SafetyColour

GOOD = """\
api: vedette/v1
name: site
cameras: {floor: {}}
models:
  people: {family: yolox, file: yolox_nano}
  ppe: {family: detr, file: ppe.onnx, labels: [hard_hat, head, person]}
  kinds: {family: classifier, file: kinds.onnx, labels: [worker, visitor]}
  codes: {family: codes}
pipelines:
  main:
    model: people
    cameras: [floor]
    labels: [person]
    attributes:
      hat: {type: detector, model: ppe, classes: {hard_hat: yes, head: no}, crop: [-0.2, -0.1, 1.2, 0.4]}
      vest: {type: colour, colours: [hi_vis_orange, {hue: [200, 220], saturation: [0.4, 1]}], min_share: 0.3}
      helmet: {type: colour, colours: [hard_hat_white], present: white, absent: other}
      kind: {type: classifier, model: kinds}
  badges: {model: codes, cameras: [floor]}
rules:
  bare: {type: zone_entered, pipeline: main, zone: [[0, 0], [1, 0], [1, 1]], where: {hat: [no], vest: [no]}}
  white: {type: zone_entered, pipeline: main, zone: [[0, 0], [1, 0], [1, 1]], where: {helmet: [white]}}
"""

ATTRIBUTES = "pipelines.main.attributes"
MISTAKES = [
    ("detector, model: ppe", "detector, model: pp", f"{ATTRIBUTES}.hat.model", "`ppe`"),
    ("detector, model: ppe", "detector, model: kinds", f"{ATTRIBUTES}.hat.model", "the family yolox"),
    ("detector, model: ppe", "detector, model: codes", f"{ATTRIBUTES}.hat.model", "of the family 'codes'"),
    ("classifier, model: kinds", "classifier, model: ppe", f"{ATTRIBUTES}.kind.model", "of the family classifier"),
    ("classes: {hard_hat: yes", "classes: {hardhat: yes", f"{ATTRIBUTES}.hat.classes.hardhat", "`hard_hat`"),
    ("classes: {hard_hat: yes, head: no}", "classes: {}", f"{ATTRIBUTES}.hat.classes", "at least 1"),
    ("classes: {hard_hat: yes, head: no}, ", "", f"{ATTRIBUTES}.hat.classes", "missing"),
    ("classes: {hard_hat: yes", "classes: {hard_hat: true", f"{ATTRIBUTES}.hat.classes.hard_hat", "text"),
    ("colours: [hi_vis_orange,", "colours: [hivis_orange,", f"{ATTRIBUTES}.vest.colours[0]", "`hi_vis_orange`"),
    ("colours: [hard_hat_white]", "colours: []", f"{ATTRIBUTES}.helmet.colours", "at least 1"),
    ("hue: [200, 220]", "hue: [200, 400]", f"{ATTRIBUTES}.vest.colours[1].hue[1]", "at most 360"),
    ("hue: [200, 220]", "hue: [200, 200]", f"{ATTRIBUTES}.vest.colours[1]", "no range"),
    ("hue: [200, 220], ", "", f"{ATTRIBUTES}.vest.colours[1].hue", "missing"),
    ("saturation: [0.4, 1]", "saturation: [0.9, 0.4]", f"{ATTRIBUTES}.vest.colours[1]", "smaller"),
    ("saturation: [0.4, 1]", "brightness: [0.4, 100]", f"{ATTRIBUTES}.vest.colours[1].brightness[1]", "at most 1"),
    ("saturation: [0.4, 1]", "shade: 1", f"{ATTRIBUTES}.vest.colours[1].shade", "brightness"),
    ("min_share: 0.3", "min_share: 30", f"{ATTRIBUTES}.vest.min_share", "at most 0.9"),
    ("absent: other", "absent: white", f"{ATTRIBUTES}.helmet", "must differ"),
    ("where: {hat: [no], vest: [no]}", "where: {hat: [none], vest: [no]}", "rules.bare.where.hat[0]", "yes, no"),
    ("where: {hat: [no], vest: [no]}", "where: {hat: [no], vest: [nope]}", "rules.bare.where.vest[0]", "yes, no"),
    ("where: {helmet: [white]}", "where: {helmet: [yes]}", "rules.white.where.helmet[0]", "white, other"),
    ("where: {helmet: [white]}", "where: {helmets: [white]}", "rules.white.where.helmets", "`helmet`"),
]


def check(folder: Path, text: str) -> list[tuple[str, str, str]]:
    file = folder / "vedette.yaml"
    file.write_text(text)
    return [(m.level, m.path, m.render()) for m in check_manifest(file)]


def test_a_good_manifest_has_no_mistakes_and_means_what_it_says(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD) == []
    attributes = load_manifest(tmp_path / "vedette.yaml").pipelines["main"].attributes
    hat, vest = attributes["hat"], attributes["vest"]
    assert isinstance(hat, DetectorAttribute)
    assert hat.classes == {"hard_hat": "yes", "head": "no"}, "`yes` and `no` are words"
    assert isinstance(vest, ColourAttribute)
    assert vest.colours == (SafetyColour.HI_VIS_ORANGE, ColourRange(hue=(200, 220), saturation=(0.4, 1)))
    assert (vest.present, vest.absent) == ("yes", "no")


@pytest.mark.parametrize(("old", "new", "path", "words"), MISTAKES)
def test_one_mistake_is_found_in_its_place(tmp_path: Path, old: str, new: str, path: str, words: str) -> None:
    assert GOOD.count(old) == 1
    found = check(tmp_path, GOOD.replace(old, new))
    assert [(level, where) for level, where, _ in found if level == "error"] == [("error", path)], found
    text = next(text for level, _, text in found if level == "error")
    assert words in text


def test_a_colour_that_is_none_is_worth_a_warning(tmp_path: Path) -> None:
    wide = GOOD.replace("saturation: [0.4, 1]}", "saturation: [0, 1], brightness: [0.1, 1]}")
    ((level, path, text),) = check(tmp_path, wide)
    assert (level, path) == ("warning", f"{ATTRIBUTES}.vest.colours[1]")
    assert "grey and black" in text
