"""X8: archives that mean harm, given to everything that opens archives: what gets out, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from tests.conftest import REPOSITORY
from tests.faults import scorecard
from tests.faults.scorecard import Anchor, Control, Row, upper95
from tests.faults.security.archives import corpus

PEAK_BYTES: Final = 16 << 20


def opened(folder: Path, asked: list[tuple[str, Path]]) -> list[dict[str, Any]]:
    """What came of each archive, from one process that opens all."""
    folder.mkdir(parents=True)
    lines = "".join(f"{kind} {path}\n" for kind, path in asked)
    command = [sys.executable, "-m", "tests.faults.security.archive_program", str(folder)]
    done = subprocess.run(command, input=lines, cwd=REPOSITORY, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def outside(root: Path, folder: Path) -> list[str]:
    """Files beside the targets, where none may be."""
    found = [path for path in root.rglob("*") if path.is_file() and folder not in path.parents]
    found += [path for path in folder.iterdir() if not path.name.startswith("target") or not path.is_dir()]
    return [str(path) for path in found if "archives" not in path.parts] + [
        str(path) for path in (Path("/tmp/vedette-escaped"), Path("/escaped")) if path.exists()
    ]


def test_x8_archives(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    store = tmp_path / "archives"
    store.mkdir()
    asked: list[tuple[str, Path]] = []
    for kind, name, content in corpus():
        path = store / f"{kind}-{name}"
        path.write_bytes(content)
        asked.append((kind, path))
    root = tmp_path / "ours"
    answers = opened(root / "deep" / "targets", asked)
    assert len(answers) == len(asked)
    escaped = outside(root, root / "deep" / "targets")
    left = [
        str(path) for path in (root / "deep").rglob("*") if path.is_symlink() or not (path.is_file() or path.is_dir())
    ]
    strange = [
        f"{path.name}: {answer['error']}"
        for (kind, path), answer in zip(asked, answers, strict=True)
        if answer["error"] and not answer["error"].startswith("V")
    ]
    peak, worst = max((answer["peak"], path.name) for (_, path), answer in zip(asked, answers, strict=True))
    safe = [("careless", store / f"component-name{number}.zip") for number in range(3)]
    wide = [("careless", store / "neo-extended.tar.gz")]
    control_root = tmp_path / "control"
    control = opened(control_root / "deep" / "targets", [*safe, *wide])
    control_escaped = len(outside(control_root, control_root / "deep" / "targets"))
    seen = control_escaped > 0 and control[-1]["peak"] > PEAK_BYTES
    harm = [*escaped, *left]
    row = Row(
        "X8",
        "archives that get out of their folder, leave links, or are not refused in our words",
        len(harm) + len(strange),
        "archives",
        len(asked),
        "0; <= 16 MB",
        passed=not harm and not strange and peak <= PEAK_BYTES and seen,
        upper95=upper95(min(len(harm), len(asked)), len(asked)),
        control=Control("the same with a program that trusts archives: files outside", control_escaped, seen),
        anchors=(Anchor("Greengrass nucleus", "no limit of an archive's size", "documented"),),
        notes=f"Peak memory {peak / 2**20:.1f} MB ({worst}), with the archive itself; the careless program took "
        f"{control[-1]['peak'] / 2**20:.0f} MB for one extended header. Found: {harm + strange or 'nothing'}.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
