"""An application with Panorama code against its own tests, with the interpreter that is named for it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from tests.cli.test_cli_main import vedette
from tests.edge.made_up import clip
from tests.panorama.test_host_run import manifest

pytestmark = pytest.mark.processes


@pytest.fixture
def application(short_tmp: Path) -> Path:
    """An application with a recording on which something bright comes once."""
    short_tmp.chmod(0o755)
    document = manifest(short_tmp).model_dump(mode="json", exclude_none=True, exclude_unset=True)
    folder = short_tmp / "source"
    (folder / "vedette.yaml").write_text(yaml.safe_dump(document))
    (folder / "tests").mkdir()
    recording = clip(folder / "tests" / "visit.mp4", [(1.0, 2.0)], 3.0)
    test = {
        "api": "vedette-test/v1",
        "clips": {"gate": {"file": recording.name, "sha256": hashlib.sha256(recording.read_bytes()).hexdigest()}},
        "rules": ["visit"],
        "alerts": [{"rule": "visit", "camera": "gate", "between_s": [0.5, 2.5]}],
    }
    (folder / "tests" / "visit.yaml").write_text(yaml.safe_dump(test))
    return folder


@pytest.mark.timeout(120)
def test_its_alerts_are_those_that_are_expected(application: Path) -> None:
    done = vedette("app", "test", str(application), "--strict", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert (document["passed"], [rule["matched"] for rule in document["rules"]]) == (True, [1])


@pytest.mark.timeout(120)
def test_the_interpreter_that_is_named_runs_it(application: Path) -> None:
    done = vedette("app", "test", str(application), "--app-python", "/bin/false")
    assert done.returncode == 1
    assert "V801" in done.stderr
    assert "the interpreter /bin/false cannot be used" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
