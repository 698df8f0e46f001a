"""`make audit` passes only where somebody who knows weaknesses was asked about everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.security import audit
from tests.faults.security.audit import FOUND, NOT_MEASURED, WEAK, WELL, Audit, locked, main, newest, read

NAME, _, VERSION = WEAK.partition("==")
CONTROL = {"name": NAME, "version": VERSION, "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]}
FINE = {"name": "numpy", "version": "2.0", "vulns": []}
WEAKER = {"name": "pip", "version": "1.0", "vulns": [{"id": "CVE-1"}]}
SKIPPED = {"name": "pip", "skip_reason": "Dependency not found on PyPI and could not be audited: pip (26.3)"}


def said(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_what_the_program_says_is_read() -> None:
    found = read("pypi", said(CONTROL, FINE, WEAKER))
    assert (found.control, found.asked, found.weak) == (2, 2, ("pip==1.0: CVE-1",))
    assert found.complete


@pytest.mark.parametrize("dependencies", [(FINE,), (CONTROL, FINE, SKIPPED), ({**CONTROL, "vulns": []}, FINE)])
def test_silence_is_no_measurement(dependencies: tuple[dict[str, Any], ...]) -> None:
    assert not read("pypi", said(*dependencies)).complete


def pages(folder: Path, **projects: tuple[str, list[str]]) -> str:
    """An index's pages of projects, as files."""
    for name, (version, ids) in projects.items():
        (folder / name).mkdir(parents=True)
        page = {"info": {"version": version}, "vulnerabilities": [{"id": one} for one in ids]}
        (folder / name / "json").write_text(json.dumps(page))
    return folder.as_uri()


def test_the_index_tells_of_newest_releases_only(tmp_path: Path) -> None:
    index = pages(tmp_path, pycrypto=("2.6.1", ["A"]), numpy=("2.5", []), pip=("1.0", ["B"]))
    found = newest([("numpy", "2.4"), ("numpy", "2.5"), ("pip", "1.0")], index)
    assert (found.asked, found.weak, found.unknown) == (2, ("pip==1.0: B",), ("numpy 2.4 (newest: 2.5)",))
    assert found.measured
    assert not found.complete


def test_an_index_without_the_data_measures_nothing(tmp_path: Path) -> None:
    mute = pages(tmp_path / "mute", pycrypto=("2.6.1", []), numpy=("2.5", []))
    assert not newest([("numpy", "2.5")], mute).measured
    assert not newest([("numpy", "2.5")], (tmp_path / "absent").as_uri()).measured


def test_everything_locked_is_asked_for() -> None:
    names = {name for name, _ in locked()}
    assert {"numpy", "pip", "pip-audit", "aws-lambda-powertools", "onnxruntime-gpu", "cyclonedx-python-lib"} <= names


@pytest.mark.parametrize(
    ("found", "code", "text"),
    [
        (Audit("osv", 99, control=3), WELL, "No known weakness in 99"),
        (Audit("osv", 99, ("pip==1.0: CVE-1",), control=3), FOUND, "CVE-1"),
        (Audit("osv", 99, ("pip==1.0: CVE-1",), ("nothing of numpy",)), FOUND, "CVE-1"),
        (Audit("osv", 99, unknown=("numpy 1",), control=3), NOT_MEASURED, "NOT MEASURED HERE: 1 others: numpy 1"),
        (Audit("osv", 99), NOT_MEASURED, "NOT MEASURED HERE"),
        (Audit("osv", trouble="no route"), NOT_MEASURED, "no route"),
    ],
)
def test_the_exit_code_says_what_came_of_it(
    found: Audit, code: int, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "best", lambda: found)
    assert main() == code
    assert text in capsys.readouterr().out


def test_a_program_that_is_absent_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PROGRAM", audit.PROGRAM / "absent")
    found = audit.audit("pypi")
    assert not found.measured
    assert "make audit" in found.trouble
