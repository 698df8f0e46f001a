"""Ours on a file: what it finds in each picture, then the whole backtest with its time taken."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from work import begin, tell, told

from bench.system import application
from vedette.adapters.capture.pyav import PyAvSource
from vedette.adapters.engines.onnx import load_detector
from vedette.compose.backtest import Backtest
from vedette.core.url_policy import camera_policy, check_url
from vedette.local.camera_arguments import parse_camera_arguments
from vedette.pipeline.look import Looker

task = begin()
file = Path(task.urls[0])
manifest = application(Path(task.model), ["gate"], 25.0)
bound = parse_camera_arguments(manifest, [f"gate={file}"])
model = manifest.models["objects"]
detector = load_detector(model, Path(task.model))
looker = Looker(detector, nms_iou=model.nms_iou, class_agnostic=model.class_agnostic_nms).for_camera()


def pictures() -> PyAvSource:
    """Every one of the file."""
    address = check_url(bound.cameras[0].url, camera_policy(), lambda _: [])
    return PyAvSource(address, camera="gate", fps=math.inf, realtime=False, wall_start_s=0.0)


seen = 0
for _, pixels in pictures():
    seen += 1
    found = looker.look(pixels)
    told(0, np.array([0 if detector.labels[index] == "person" else 1 for index in found.classes], int))
backtest = Backtest(manifest, file.parent, bound.cameras, bound.bindings, threads=1)
tell("ready")
list(backtest.alerts())
tell("done")
analysed = sum(backtest.report.pictures.values())
if analysed != seen:  # the time would be divided by pictures that it was not spent on
    sys.exit(f"the backtest analysed {analysed} of {seen} pictures")
