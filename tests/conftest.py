"""Fixtures that more than one part of the suite uses."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Tests run beside others: the time that an example takes, or its making, says nothing.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")

REPOSITORY = Path(__file__).resolve().parent.parent


def shared_data_directory() -> Path:
    """Where the real footage, models and checked facts lie."""
    return Path(os.environ.get("VEDETTE_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real footage and models; the test is skipped where there is none."""
    folder = shared_data_directory()
    if not (folder / "videos").is_dir():
        pytest.skip(f"needs the footage folder (set VEDETTE_DATA; looked in {folder})")
    return folder


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A temporary directory whose path is short enough for Unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="vd", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
