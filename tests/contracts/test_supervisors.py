"""A component's first process holds none of the native code that cameras and models feed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ("numpy", "av", "cv2", "onnxruntime", "lap")


@pytest.mark.parametrize(
    "module",
    [
        "camera_ingest.__main__",
        "inference.__main__",
        "alerting.__main__",
        "app_host.__main__",
        "app_host.warden",
        "device_agent.__main__",
    ],
)
def test_a_supervisor_loads_no_native_code_of_the_frame_path(module: str) -> None:
    script = f"import sys, {module}; print(*[name for name in {NATIVE!r} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'components'}:{ROOT / 'src'}"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
