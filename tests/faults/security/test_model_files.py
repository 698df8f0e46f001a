"""X9: models whose weights are said to lie in another file, wherever a tensor can hide."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from tests.engines.test_gate import YOLOX, hidden
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row, upper95
from vedette.adapters.engines.gate import check_model, read_model
from vedette.contracts.errors import ModelError
from vedette.testing import models

PLACES: Final = (
    *("attribute", "attribute list", "sparse attribute", "sparse attribute list", "sparse indices"),
    *("sparse initialiser", "nested graph", "nested graph list", "location alone", "entry alone"),
)
LOCATIONS: Final = (
    *(
        "../secret",
        "/etc/passwd",
        "symlink.bin",
        "hardlink.bin",
        "secret",
        "./secret",
        "folder/../secret",
        "",
        "secret\0x",
    ),
    *("/proc/self/environ", "/dev/zero", "..\\secret", "file:///etc/passwd", "//etc/passwd", "a" * 5_000),
)


def test_x9_external_data(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    secret = tmp_path / "secret"
    secret.write_bytes(b"\0" * 64)
    os.utime(secret, ns=(1, 1))  # any read shows, whatever the file system keeps of times
    (tmp_path / "symlink.bin").symlink_to(secret)
    os.link(secret, tmp_path / "hardlink.bin")
    files = [hidden(place) for place in PLACES] + [models.external_weights(where) for where in LOCATIONS]
    passed = []
    for number, data in enumerate(files):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(data)
        try:
            check_model(read_model(path, YOLOX), YOLOX)
            passed.append(number)
        except ModelError as error:
            if error.code != "V302":
                passed.append(number)
    touched = secret.stat().st_atime_ns != 1
    secret.read_bytes()
    control = secret.stat().st_atime_ns != 1
    good = check_model(models.bright_rectangle(), YOLOX).nodes > 0
    row = Row(
        "X9",
        "ONNX files that reach another file",
        len(passed) + touched,
        "files",
        len(files),
        "0",
        passed=not passed and not touched and control and good,
        upper95=upper95(len(passed), len(files)),
        control=Control("the other file, read once by the test: its time of access changes", int(control), control),
        notes=f"{len(PLACES)} places of a tensor, {len(LOCATIONS)} locations, a hard link too; a good model passes.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
