"""X20: what a scanner finds in the shipped code without a reason beside it, and calls that make code of data."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row
from tests.test_dangerous_calls import SHIPPED, unexplained

#: The mark that silences a rule, the rule, and then a reason that is more than a mark.
REASON = re.compile(r"#\s*noqa:\s*(?P<rules>[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)\s*(?P<reason>.*)")
#: Left out as a whole by pyproject.toml, with the reason there.
LEFT_OUT = ("S101", "S404", "S603", "S607")
SEEDED = """
import hashlib, pickle, subprocess, tempfile

def bad(data, name):
    subprocess.run(name, shell=True)
    eval(data)
    hashlib.md5(data)
    tempfile.mktemp()
    return pickle.loads(data)  # noqa: S301

def explained(data):
    return eval(data)  # noqa: S307 - a literal of our own
"""


def findings(folders: list[Path], ignored: tuple[str, ...]) -> list[tuple[str, str, bool]]:
    """(place, rule, whether a reason stands there) of everything that ruff's rules of bandit say, explained or not."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--ignore-noqa", "--select", "S"]
    command += ["--output-format", "json", "--exit-zero"]
    command += ["--ignore", ",".join(ignored)] if ignored else []
    said = subprocess.run([*command, *map(str, folders)], capture_output=True, text=True, timeout=120, check=True)
    found = []
    for one in json.loads(said.stdout):
        path = Path(one["filename"])
        line = path.read_text("utf-8").splitlines()[one["noqa_row"] - 1]
        found.append((f"{path}:{one['noqa_row']}", str(one["code"]), explained(line, str(one["code"]))))
    return found


def explained(line: str, rule: str) -> bool:
    """Whether the line names the rule and says why it does not count."""
    said = REASON.search(line)
    if said is None or rule not in re.split(r",\s*", said["rules"]):
        return False
    return len(re.sub(r"\W", "", said["reason"])) >= 4


def test_x20_scanner(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    found = findings([REPOSITORY / top for top in SHIPPED], LEFT_OUT)
    bare = [f"{place} {rule}" for place, rule, said in found if not said]
    calls = unexplained(REPOSITORY)
    seeded = tmp_path / "src" / "seeded.py"
    seeded.parent.mkdir()
    seeded.write_text(SEEDED)
    seen = Counter(rule for _, rule, said in findings([seeded], LEFT_OUT) if not said)
    missed = {"S602", "S307", "S324", "S306", "S301"} - set(seen)
    dangerous = unexplained(tmp_path)
    right = not missed and seen["S307"] == 1 and len(dangerous) == 4
    files = sum(1 for top in SHIPPED for _ in (REPOSITORY / top).rglob("*.py"))
    everywhere = Counter(rule for _, rule, _ in findings([REPOSITORY / top for top in SHIPPED], ()))
    row = Row(
        "X20",
        "findings of ruff's rules of bandit without a reason, and dangerous calls",
        len(bare) + len(calls),
        "findings",
        files,
        "0; 0",
        passed=not bare and not calls and right,
        control=Control(
            "a file with five bad calls, one of them waved through without a reason: found by the scanner and by our own walk",
            sum(seen.values()) + len(dangerous),
            right,
        ),
        notes=f"Over {', '.join(SHIPPED)}; {len(found)} findings have their reason on their line. Without a reason: {bare or 'none'}. "
        f"Dangerous calls: {calls or 'none'}. Left out as a whole, with the reason in pyproject.toml: "
        + ", ".join(f"{rule} ({everywhere[rule]})" for rule in LEFT_OUT)
        + ". Bandit and semgrep themselves were not run.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
