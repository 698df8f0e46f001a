"""Every pixel of every leased picture is checked while the writer runs at full speed. To repeat on aarch64."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.frames.{program}", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": "src:."},
        stdout=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def finish(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.processes
def test_no_picture_is_torn_at_full_speed_and_kills_do_no_harm(short_tmp: Path) -> None:
    path = short_tmp / "gate.sock"
    writer = start("writer_program", str(path))
    assert line(writer) == "ready"
    readers = [start("reader_program", str(path), "4") for _ in range(2)]
    victim = start("reader_program", str(path), "60")
    try:
        assert [line(reader) for reader in (*readers, victim)] == ["connected"] * 3
        results = [json.loads(line(reader)) for reader in readers]
        finish(victim)  # kill -9 with leases held: its slots come back
        later = start("reader_program", str(path), "1")
        readers.append(later)
        assert line(later) == "connected"
        results.append(json.loads(line(later)))
        witness = start("reader_program", str(path), "60")
        readers.append(witness)
        assert line(witness) == "connected"
        finish(writer)  # kill -9 of the writer: readers notice, nobody crashes
        seen = json.loads(line(witness))
    finally:
        for process in (writer, victim, *readers):
            if process.returncode is None:
                finish(process)
    for result in results:
        assert result["pictures"] > 100
        assert result["torn"] == result["backwards"] == result["late"] == result["lost"] == 0, result
    assert sum(result["sizes"] for result in results) > len(results), "sizes changed while reading"
    assert seen["lost"] == 1
