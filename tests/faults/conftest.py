"""Everything below this folder runs with `make faults` only, and says its seed and its size first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import scorecard

FOLDER = Path(__file__).resolve().parent


def pytest_report_header() -> str:
    """Printed before the first test, so that a failure can be had again."""
    return f"faults: profile {scorecard.profile()}, seed {scorecard.seed()} (VEDETTE_FAULTS, VEDETTE_FAULTS_SEED)"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark before the selection by marks."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.faults)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """What failed or was skipped is in the scorecard, whether or not it came to a figure."""
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        scorecard.note_end(report.nodeid, "failed", str(getattr(crash, "message", report.longrepr)))
    elif report.skipped and isinstance(report.longrepr, tuple):
        scorecard.note_end(report.nodeid, "skipped", report.longrepr[2].removeprefix("Skipped: "))
    elif report.when == "call":
        scorecard.note_end(report.nodeid, "passed", "")
