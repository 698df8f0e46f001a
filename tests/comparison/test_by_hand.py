"""``vedette app try`` as a process beside a device on this machine, and what its owner is told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.test_cli_main import vedette
from tests.comparison.site import Site, site
from tests.comparison.test_plan import manifest
from vedette.contracts.comparison import ComparisonReport

pytestmark = pytest.mark.processes


def wait_until(condition: Callable[[], object]) -> None:
    limit_s = time.monotonic() + 40.0
    while not condition():
        assert time.monotonic() < limit_s
        time.sleep(0.02)


@contextmanager
def trying(here: Site, *more: str) -> Iterator[subprocess.Popen[str]]:
    """The process, once the device knows of the candidate."""
    document = manifest(version="0.2.0").model_dump(mode="json", exclude_unset=True)
    (here.folder / "vedette.yaml").write_text(json.dumps(document))
    command = [sys.executable, "-m", "vedette", "app", "try", str(here.folder), "--state", str(here.state)]
    with subprocess.Popen(
        [*command, "--bind", "door=east", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until(lambda: here.owner.candidates or process.poll() is not None)
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_a_comparison_on_this_machine(short_tmp: Path) -> None:
    with site(short_tmp) as here, trying(here, "--frames", "50", "--json") as process:
        status = vedette("status", "--state", str(here.state))
        assert "0.2.0 (candidate)" in status.stdout
        here.pictures(0, 80)
        out, errors = process.communicate(timeout=40)
        assert process.returncode == 0, errors
        report = ComparisonReport.model_validate_json(out)
        assert (report.done, report.frames, report.against) == (True, 50, "0.1.0")
        assert not here.owner.candidates


def test_interrupted_it_says_what_it_has_and_goes(short_tmp: Path) -> None:
    with site(short_tmp) as here, trying(here) as process:
        here.pictures(0, 80)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=40)
        assert process.returncode == 0, errors
        assert "gate 0.2.0 against 0.1.0" in out
        assert "(interrupted)" in out
        assert not here.owner.candidates
        assert [a.manifest.version for a in here.owner.applications] == ["0.1.0"]


def test_what_a_killed_one_left_can_be_taken_away(short_tmp: Path) -> None:
    with site(short_tmp) as here, trying(here) as process:
        process.kill()
        process.wait(20)
        assert here.owner.candidates
        assert vedette("app", "detach", "gate", "--candidate", "--state", str(here.state)).returncode == 0
        assert not here.owner.candidates
        assert len(here.owner.applications) == 1
        again = vedette("app", "detach", "gate", "--candidate", "--state", str(here.state))
        assert again.returncode == 1
        assert "no candidate is attached as 'gate'" in again.stderr


@pytest.mark.parametrize("arguments", [("--frames", "5"), ("--timeout", "soon")])
def test_what_is_not_allowed_is_refused(short_tmp: Path, arguments: tuple[str, ...]) -> None:
    with site(short_tmp) as here, trying(here, *arguments) as process:
        _, errors = process.communicate(timeout=40)
        assert process.returncode != 0
        assert "Traceback" not in errors
        assert arguments[0] in errors


def test_options_without_a_state_directory_are_refused(short_tmp: Path) -> None:
    with site(short_tmp) as here, trying(here) as process:
        process.kill()
        run = vedette("app", "try", str(here.folder), "--frames", "60")
        assert run.returncode == 1
        assert "for use with --state" in run.stderr
