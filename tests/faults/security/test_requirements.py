"""X19: how many requirements of published catalogues have tests that show them, and what is said of the others."""

from __future__ import annotations

import copy
import time
from typing import Any

from tests.faults import scorecard
from tests.faults.scorecard import Control, Row
from tests.requirement_map import COUNTED, load, problems, share


def spoiled() -> list[str]:
    """What is told of a map with a test that there is not, and without one of its requirements."""
    found = copy.deepcopy(load())
    found["isvs"]["requirements"]["1.1.2"]["tests"].append("tests/test_requirements.py::test_that_there_is_not")
    del found["etsi"]["requirements"]["5.13-1"]
    return problems(found)


def named(entries: dict[str, Any], kind: str, levels: tuple[object, ...]) -> str:
    return ", ".join(name for name, one in entries.items() if kind in one and one["level"] in levels) or "none"


def test_x19_requirements() -> None:
    begun_s = time.monotonic()
    found, wrong, control = load(), problems(load()), spoiled()
    seen = len(control) == len(wrong) + 2
    rows = []
    for each in COUNTED:
        counted, entries = share(found[each.catalogue], each.levels), found[each.catalogue]["requirements"]
        rows.append(
            Row(
                each.row,
                f"{each.name}: requirements that tests show as a whole",
                round(counted.percent, 1),
                "%",
                counted.asked,
                f"{'' if each.least is None else f'>= {each.least:g} %; '}the rest argued, none not done",
                passed=not wrong and seen and not counted.open and counted.percent >= (each.least or 0.0),
                control=Control("a test that there is not, and a requirement taken out: told", len(control), seen),
                notes=f"{counted.whole} of {counted.asked} as a whole, {counted.part} in part; held to without a test {counted.untested}, "
                f"asked of the machine, the site or the account {counted.others}, not done {counted.open}: "
                f"{named(entries, 'open', each.levels)}. Besides, {counted.not_applicable} are about what there is not. All of them: "
                "docs/requirements.yaml. IEC 62443-4-2 is left out: its list is not free to read. "
                f"Wrong with the map: {wrong or 'nothing'}.",
            )
        )
    for row in rows:
        scorecard.record(row, time.monotonic() - begun_s)
    assert all(row.passed for row in rows), rows
