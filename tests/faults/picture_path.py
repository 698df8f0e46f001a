"""From a picture to what leaves the device, in one process and one step: model, tracker, journal, rules, message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vedette.adapters.actions.iot_core import envelope
from vedette.adapters.engines.onnx import OnnxDetector
from vedette.contracts.alert import Alert
from vedette.contracts.frames import FrameInfo
from vedette.contracts.manifest import Model, Tracker
from vedette.contracts.plan import PipelinePlan, RulePlan
from vedette.contracts.tracks import TrackBatch
from vedette.core.judge import Judge
from vedette.core.pixels import Pixels
from vedette.pipeline.camera import CameraAnalysis
from vedette.pipeline.look import Looker
from vedette.pipeline.track import PipelineTracker
from vedette.ports.outbox import CLOUD_CHANNEL, OutboxRow

CAMERA = "gate"
PLAN = PipelinePlan(
    application="app", pipeline="people", camera=CAMERA, app_camera=CAMERA, fps=50, tracker=Tracker(min_hits=1)
)


@dataclass(frozen=True)
class Left:
    """What one picture came to.

    Attributes:
        batch: as the rules read it out of the journal.
        row: of the journal.
        alerts: that the rules raised.
        messages: to the cloud.
    """

    batch: TrackBatch
    row: bytes
    alerts: tuple[Alert, ...]
    messages: tuple[bytes, ...]


class PicturePath:
    """The product's own stages, with nothing between them but calls.

    Args:
        data: the model.
        model: what the manifest says of it.
        rules: that judge what it sees.

    Raises:
        ModelError: it cannot be loaded.
    """

    def __init__(self, data: bytes, model: Model, rules: Sequence[RulePlan] = ()) -> None:
        detector = OnnxDetector(data, model)
        self._looker = Looker(detector, nms_iou=model.nms_iou, class_agnostic=model.class_agnostic_nms)
        self._analysis = CameraAnalysis((PLAN,), lambda plan: PipelineTracker(plan, detector.labels))
        self._judge = Judge("device", rules)
        self._number = -1

    def see(self, pixels: Pixels) -> bytes:
        """What a model's process does with one picture, a fifth of a second after the one before: a journal's row.

        Raises:
            ModelError: the model gave nothing that can be used.
        """
        self._number += 1
        at_s = self._number * 0.2
        info = FrameInfo(CAMERA, "e1", self._number, at_s, at_s, 1.7e9 + at_s, pixels.width, pixels.height)
        assert self._analysis.accepts(info)
        question = self._analysis.ask(info, pixels)
        found = {view: self._looker.look(pixels, view, info.t_s) for view in question.views}
        (batch,) = self._analysis.answer(question, found, None)
        return batch.to_json()

    def judge(self, row: bytes) -> Left:
        """What becomes of the row in alerting: alerts, and their messages to the cloud."""
        batch = TrackBatch.from_json(row)
        alerts = tuple(verdict.alert for verdict in self._judge.judge(batch))
        messages = tuple(
            envelope(OutboxRow(1, CLOUD_CHANNEL, alert.alert_id, "app/gate", alert.model_dump_json().encode(), "e", 1))
            for alert in alerts
        )
        return Left(batch, row, alerts, messages)
