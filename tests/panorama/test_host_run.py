"""Panorama code under the whole edge side of ``vedette run``: what it draws raises an alert of a rule."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.edge.made_up import ZONE, clip
from tests.edge.running import Watched, wait_until
from tests.panorama.tiny import mean_model
from vedette.contracts.manifest import Manifest
from vedette.local.camera_arguments import parse_device_arguments
from vedette.local.edge import Edge, EdgeSettings, RunApplication

pytestmark = pytest.mark.processes

#: Draws a rectangle where the middle of the picture is bright, as the model says, in the way published samples do.
CODE = """
import cv2
import numpy as np
import panoramasdk


class Application(panoramasdk.node):
    def __init__(self):
        self.threshold = self.inputs.threshold.get()

    def process_streams(self):
        streams = self.inputs.video_in.get()
        for stream in streams:
            self.process_media(stream)
        self.outputs.video_out.put(streams)

    def process_media(self, stream):
        height, width, _ = stream.image.shape
        middle = stream.image[height // 3 : height * 2 // 3, width * 2 // 5 : width * 3 // 5]
        tensor = cv2.resize(middle, (8, 8)).astype(np.float32).transpose(2, 0, 1)[None] / 255.0
        results = self.call({"data": tensor}, "brightness")
        if results is None:
            return
        if results[0].mean() > self.threshold:
            stream.add_label("thing {:.2f}".format(float(results[0].mean())), 0.33, 0.25)
            stream.add_rect(1 / 3, 0.25, 2 / 3, 0.75)
        cv2.putText(stream.image, "seen", (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 255), 1)


def main():
    app = Application()
    while True:
        app.process_streams()


main()
"""


def manifest(folder: Path) -> Manifest:
    source = folder / "source"
    (source / "code").mkdir(parents=True)
    (source / "code/application.py").write_text(CODE)
    (source / "brightness.onnx").write_bytes(mean_model())
    return Manifest.model_validate(
        {
            "api": "vedette/v1",
            "name": "migrated",
            "cameras": {"gate": {}},
            "models": {
                "brightness": {
                    "family": "tensors",
                    "file": str(source / "brightness.onnx"),
                    "tensors": [{"name": "data", "shape": [1, 3, 8, 8]}],
                }
            },
            "parameters": {"threshold": {"default": 0.5}},
            "panorama": {
                "entry": ["python3", "/panorama/application.py"],
                "inputs": {"video_in": ["gate"]},
                "parameters": {"threshold": {"type": "float32", "parameter": "threshold"}},
                "outputs": ["video_out"],
                "models": {"brightness": "brightness"},
                "fps": 10,
            },
            "rules": {"visit": {"type": "zone_entered", "zone": ZONE, "labels": ["thing"], "cooldown_s": 1}},
        }
    )


@pytest.mark.timeout(180)
def test_a_rule_on_an_output_raises_an_alert(short_tmp: Path) -> None:
    recording = clip(short_tmp / "gate.mp4", [(2.0, 4.0)], 6.0)
    application = manifest(short_tmp)
    short_tmp.chmod(0o755)
    bound = parse_device_arguments([application], [f"gate={recording}"], loop=True)
    settings = EdgeSettings(
        applications=(RunApplication(application, bound.bindings["migrated"], directory=short_tmp / "source"),),
        cameras=bound.cameras,
        secrets=bound.secrets,
        root=short_tmp / "run",
        alerts_file=short_tmp / "watched.jsonl",
        thing_name="test-device",
    )
    told: dict[str, Any] = {}
    with Edge(settings) as edge:
        watched = Watched(edge, settings.alerts_file)
        edge.core.subscribe_local("vedette/hooks/#", lambda message: told.update(message.json().get("panorama", {})))
        wait_until(lambda: bool(watched.alerts()), 90, f"an alert; {told}, {sys.version_info}")
        alert = watched.alerts()[0]
        assert (alert.application, alert.rule, alert.camera) == ("migrated", "visit", "gate")
        assert alert.message == "Thing 1 entered the zone on gate."
        wait_until(lambda: told["state"] == "RUNNING", 30, "what is told once a second")
        log = edge.core.log_path("vedette.AppHost").read_text()
        assert "Traceback" not in log
