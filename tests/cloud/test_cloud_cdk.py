"""``vedette cloud cdk``: the pinned CDK with the owner's settings, from any directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def cdk(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vedette", "cloud", "cdk", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120)


def test_stacks_are_listed_with_settings_of_a_file_from_anywhere(tmp_path: Path) -> None:
    network = "network:\n  on_premises_cidrs: [10.1.0.0/16]\nbaseline:\n  aws.greengrass.Nucleus: {version: 2.14.3}\n"
    (tmp_path / "account.yaml").write_text(f"stage: test\n{network}")
    done = cdk(tmp_path, "--settings", "account.yaml", "ls")
    assert done.returncode == 0, done.stderr
    assert {"vedette-test-storage", "vedette-test-fleet"} <= set(done.stdout.split())
    assert (tmp_path / "cdk.out" / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fleets: []\n", "fleets: Tuple should have at least 1 item"),
        ("- a\n", "are list"),
        ("a: [\n", "cannot be read"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "account.yaml").write_text(text)
    done = cdk(tmp_path, "--settings", "account.yaml", "ls")
    assert done.returncode != 0
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = cdk(tmp_path, "--settings", "nowhere.yaml", "ls")
    assert done.returncode == 1
    assert "nowhere.yaml" in done.stderr
