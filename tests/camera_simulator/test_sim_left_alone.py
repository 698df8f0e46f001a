from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from vedette.testing.synthetic import make_clip


def test_a_simulator_whose_starter_was_killed_ends_by_itself(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(make_clip(frames=750, fps=25))  # long enough that no loop line tells it first
    command = [sys.executable, "-m", "vedette", "camera", "simulate", "--json", "--port", "0", f"gate={clip}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as simulator:
        try:
            assert simulator.stdout is not None
            assert json.loads(simulator.stdout.readline())["camera"] == "gate"
            simulator.stdout.close()
            assert simulator.wait(10.0) == 0
        finally:
            simulator.kill()
