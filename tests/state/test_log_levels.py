"""A level that is set while processes run reaches them, and goes again."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vedette.adapters.state.layout import StateLayout
from vedette.adapters.state.log_levels import COMPONENT_VARIABLE, FILE_VARIABLE, LogLevel, write_log_levels


@pytest.fixture
def root_level(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before = root.level
    for name in (FILE_VARIABLE, COMPONENT_VARIABLE):
        monkeypatch.setenv(name, "")
    yield root
    root.setLevel(before)


def test_what_is_set_holds_until_it_is_taken_back(tmp_path: Path, root_level: logging.Logger) -> None:
    StateLayout(tmp_path).run.mkdir()
    level = LogLevel()
    level.configure("INFO", tmp_path, "vedette.Alerting")
    assert root_level.level == logging.INFO
    write_log_levels(tmp_path, {"*": "DEBUG"})
    level.look()
    assert root_level.level == logging.DEBUG
    level.configure("WARNING", tmp_path, "vedette.Alerting")
    assert root_level.level == logging.DEBUG, "a new configuration does not end what was set"
    write_log_levels(tmp_path, {"*": "DEBUG", "vedette.Alerting": "ERROR", "vedette.Inference": "INFO"})
    level.look()
    assert root_level.level == logging.ERROR, "the component's own goes before that of all"
    write_log_levels(tmp_path, {})
    level.look()
    assert root_level.level == logging.WARNING


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"*": "LOUD"}', '{"*": 5}'])
def test_a_damaged_file_means_the_configured_level(tmp_path: Path, root_level: logging.Logger, content: str) -> None:
    layout = StateLayout(tmp_path)
    layout.run.mkdir()
    layout.log_levels.write_text(content)
    level = LogLevel()
    level.configure("WARNING", tmp_path, "vedette.Alerting")
    assert root_level.level == logging.WARNING


def test_the_file_is_written_where_something_changes(tmp_path: Path) -> None:
    layout = StateLayout(tmp_path)
    layout.run.mkdir()
    write_log_levels(tmp_path, {"*": "DEBUG"})
    before = layout.log_levels.stat().st_ino
    write_log_levels(tmp_path, {"*": "DEBUG"})
    assert layout.log_levels.stat().st_ino == before


def test_what_the_nucleus_answers_is_not_logged_even_at_debug(tmp_path: Path) -> None:
    """The SDK logs whole messages at DEBUG, a secret's value among them, before it is known to be one."""
    program = (
        "import logging, os\n"
        "from vedette.compose.processes import configure_logging\n"
        "configure_logging('DEBUG')\n"
        "logging.getLogger('awsiot.eventstreamrpc').debug('received canary')\n"
        "logging.getLogger('camera_ingest').debug('our own')\n"
    )
    layout = StateLayout(tmp_path)
    layout.run.mkdir()
    write_log_levels(tmp_path, {"*": "DEBUG"})
    environment = {**os.environ, FILE_VARIABLE: str(layout.log_levels), COMPONENT_VARIABLE: "vedette.CameraIngest"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert "our own" in done.stderr
    assert "canary" not in done.stderr
