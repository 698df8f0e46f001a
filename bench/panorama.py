"""A Panorama application beside the same work done bare: ``python -m bench.panorama [--rounds N]``.

The application is one of the tests' (a class derived from the node, YOLOX-nano at 416, boxes decoded in NumPy,
rectangles and labels drawn), imported from its project and run unmodified on a recording, picture by picture. Bare is
the same code's own preparation and decoding around ``session.run``, in one process. Both decode the same file and use
one thread of ONNX Runtime for a run. The two are interleaved; what differs between them is the host, the confinement,
the way there and back, and the track batches.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import cv2
import onnxruntime

from tests.panorama.test_end_to_end import THRESHOLD, _yolox, imported
from vedette.adapters.capture.pyav import PyAvSource
from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore
from vedette.cli.run import with_resolved_models
from vedette.compose.backtest import Backtest
from vedette.compose.backtest_panorama import BacktestPanorama
from vedette.core.pixels import Pixels
from vedette.core.url_policy import camera_policy, check_url
from vedette.local.camera_arguments import parse_camera_arguments

VIDEO = "person-parking-lot-7sec.mp4"


def bare(recording: Path, model: Path) -> list[float]:
    """Milliseconds of each picture: decoded, converted, prepared, analysed, decoded."""
    yolox: Any = _yolox()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options)
    spent, last = [], time.perf_counter()
    with av.open(str(recording)) as container:
        for frame in container.decode(container.streams.video[0]):
            image = cv2.cvtColor(frame.to_ndarray(format="yuv420p"), cv2.COLOR_YUV2BGR_I420)
            data, ratio = yolox.prepare(image)
            yolox.decode(session.run(None, {"images": data[None]})[0], ratio, THRESHOLD)
            now = time.perf_counter()
            spent.append(1e3 * (now - last))
            last = now
    return spent[5:]


def hosted(application: Path, recording: Path) -> tuple[list[float], list[float]]:
    """Milliseconds of each picture, from one to the next; and of each call of the model."""
    manifest = with_resolved_models(load_manifest(application), application, ModelStore.default())
    arguments = parse_camera_arguments(manifest, [f"front_door={recording}"])
    test = Backtest(manifest, application, arguments.cameras, dict(arguments.bindings))
    (plan,) = test.plan.panorama
    spent = []
    with BacktestPanorama(plan, python=Path(sys.executable)) as code:
        (camera,) = arguments.cameras
        address = check_url(camera.url, camera_policy(), lambda _: [])
        source = PyAvSource(address, camera=camera.name, fps=plan.settings.fps, realtime=False)
        last = time.perf_counter()
        for info, pixels in source:
            copy = Pixels(pixels.y.copy(), pixels.u.copy(), pixels.v.copy(), pixels.full_range)
            code.step(info, copy)
            now = time.perf_counter()
            spent.append(1e3 * (now - last))
            last = now
        source.close()
        calls = [1e3 * seconds for seconds in code.call_s]
    return spent[5:], calls


def main() -> int:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.panorama", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("VEDETTE_DATA", "../shared/data")))
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    recording, model = arguments.data / "videos" / VIDEO, arguments.data / "models" / "yolox_nano.onnx"
    if not recording.is_file():
        print(f"bench needs the footage folder; none at {arguments.data} (set VEDETTE_DATA)", file=sys.stderr)
        return 2
    rows: dict[str, list[float]] = {"bare": [], "hosted": [], "call": []}
    with tempfile.TemporaryDirectory(prefix="vd") as folder:
        Path(folder).chmod(0o755)
        with contextlib.redirect_stdout(io.StringIO()):
            application = imported("subclass", Path(folder), {"detector": model})
        for _ in range(arguments.rounds):
            rows["bare"].append(statistics.mean(bare(recording, model)))
            spent, calls = hosted(application, recording)
            rows["hosted"].append(statistics.mean(spent))
            rows["call"].append(statistics.mean(calls))
    print(
        f"{platform.machine()}, {os.cpu_count()} cores; {VIDEO}, {arguments.rounds} rounds interleaved; "
        "median (least to most)"
    )
    for name, what in (("bare", "bare loop"), ("hosted", "Panorama application"), ("call", "of it, node.call()")):
        values = sorted(rows[name])
        middle = statistics.median(values)
        print(
            f"{what:24} {middle:6.1f} ms a picture ({values[0]:.1f} to {values[-1]:.1f})  {1e3 / middle:6.1f} a second"
        )
    ratios = sorted(one / other for one, other in zip(rows["hosted"], rows["bare"], strict=True))
    print(f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
