"""The examples of the documentation are right, and the picture of the retail example is drawn from its figures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.manifest.test_manifest_mistakes import GOOD
from vedette.adapters.manifest import check_manifest
from vedette.adapters.pictures.background import read_background
from vedette.adapters.pictures.heat_map import draw_heat_map
from vedette.contracts.insight import InsightReport, OccupancyValues
from vedette.core.insights.heat_sum import sum_heat_maps

DOCUMENT = (REPOSITORY / "docs" / "insights.md").read_text("utf-8")
RETAIL = REPOSITORY / "examples" / "retail_analytics"


def test_the_manifest_of_the_document_is_right(tmp_path: Path) -> None:
    (section,) = re.findall(r"```yaml\n(insights:.*?)```", DOCUMENT, re.S)
    (tmp_path / "vedette.yaml").write_text(GOOD.partition("rules:")[0] + section)
    assert check_manifest(tmp_path) == []


def test_the_report_of_the_document_is_one() -> None:
    (text,) = re.findall(r"```json\n(.*?)```", DOCUMENT, re.S)
    report = InsightReport.model_validate_json(text)
    assert json.loads(report.model_dump_json(exclude_none=True)) == json.loads(text)
    floor = report.values["shop-floor"]
    assert isinstance(floor, OccupancyValues)
    assert floor.mean is not None
    assert floor.mean * floor.analysed_s == pytest.approx(floor.presence_s, abs=0.05)


def test_the_picture_of_the_retail_example_is_drawn_from_its_figures() -> None:
    lines = (RETAIL / "figures.jsonl").read_text().splitlines()
    heat = sum_heat_maps(InsightReport.model_validate_json(line) for line in lines)
    drawn = draw_heat_map(read_background(RETAIL / "shop.png"), heat)
    kept = cv2.imread(str(RETAIL / "heat_map.jpg"))
    assert kept is not None
    assert kept.shape == drawn.shape
    assert np.abs(kept.astype(int) - drawn.astype(int)).mean() < 3.0
