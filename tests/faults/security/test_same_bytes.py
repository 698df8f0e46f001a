"""X13: two builds of the same sources, as different people at different places would make them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row


def build(out: Path, **environment: str) -> dict[str, bytes]:
    """Every file of a build, without the libraries, which are pinned by hash."""
    command = [sys.executable, "-m", "vedette", "build", "--no-libraries", "--out", str(out)]
    surroundings = {**os.environ, **environment}
    subprocess.run(command, cwd=REPOSITORY, env=surroundings, check=True, capture_output=True, timeout=200)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> int:
    """Bytes that differ; a file that is missing counts as a whole."""
    total = 0
    for name in one.keys() | other.keys():
        left, right = one.get(name, b""), other.get(name, b"")
        total += sum(a != b for a, b in zip(left, right, strict=False)) + abs(len(left) - len(right))
    return total


def test_x13_same_bytes(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    first = build(tmp_path / "a", TZ="UTC", PYTHONHASHSEED="1", LC_ALL="C")
    second = build(tmp_path / "elsewhere" / "b", TZ="Asia/Tokyo", PYTHONHASHSEED="2", LC_ALL="C.UTF-8", USER="other")
    apart = differing(first, second)
    name = next(iter(first))
    control = differing(first, {**second, name: bytes([second[name][0] ^ 1]) + second[name][1:]}) - apart
    row = Row(
        "X13",
        "bytes that differ between two builds",
        apart,
        "bytes",
        len(first),
        "0",
        passed=apart == 0 and len(first) > 5 and control == 1,
        control=Control("one bit changed in one file: bytes", control, control == 1),
        notes=f"{sum(map(len, first.values())):,} bytes in {len(first)} files; other folder, time zone, language, "
        "user and hash seed. Without the libraries, whose wheels the lock pins by SHA-256.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
