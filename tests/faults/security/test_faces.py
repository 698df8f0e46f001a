"""X18: faces in real footage that are found again once people were covered."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from tests.privacy.footage import FACES, Meter
from tests.privacy.test_faces_left import MOST_LEFT, faces_left, maskers_with, scenes_of

pytestmark = pytest.mark.footage


@pytest.mark.timeout(400)
def test_x18_faces(shared_data: Path, tmp_path: Path) -> None:
    begun_s = time.monotonic()
    meter = Meter(shared_data)
    scenes = scenes_of(shared_data, meter)
    boxes = sum(len(each.faces) for _, seen in scenes for each in seen)
    again = sum(len(meter.faces(each.picture)) > 0 for _, seen in scenes for each in seen if len(each.faces))
    shown = sum(len(each.faces) > 0 for _, seen in scenes for each in seen)
    results = {}
    for name, face in (("with", (shared_data / "models" / FACES).read_bytes()), ("without", None)):
        folder = tmp_path / name
        folder.mkdir()
        results[name] = faces_left(scenes, meter, maskers_with(folder, face))
    total = sum(one.total for one in results.values())
    left = sum(one.left for one in results.values())
    seen = again == shown and boxes >= 12
    share = max(one.left / one.total for one in results.values())
    through = max(one.seen_through for one in results.values())
    row = Row(
        "X18",
        "faces found after covering",
        round(100 * share, 2),
        "%",
        total,
        "<= 1 %",
        passed=share <= MOST_LEFT and through <= MOST_LEFT and seen,
        upper95=upper95(left, total),
        control=Control(f"the {shown} pictures as they were: faces found", 100.0 * again / shown, seen),
        notes="; ".join(
            f"{name} a face model: {one.left} of {one.total} faces in {one.pictures} pictures found again, "
            f"{100 * one.seen_through:.2f} % of their pixels as they were, {one.psnr_db:.1f} dB, {one.whole} pictures "
            f"filled whole, {100 * one.filled:.0f} % of the others filled"
            for name, one in results.items()
        )
        + f". {len(scenes)} scenes with real people; few faces, so the bound is wide.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, results
