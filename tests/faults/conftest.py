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
