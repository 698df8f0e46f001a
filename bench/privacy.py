"""What covering people takes of pictures and of a core: ``python -m bench.privacy`` (needs VEDETTE_DATA)."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Final

import numpy as np

from tests.conftest import shared_data_directory
from tests.privacy.footage import CAMERA, EPOCH, FACES, Footage, Scene, footage, plan_of
from vedette.adapters.engines.onnx import OnnxDetector
from vedette.adapters.evidence.cover import FILL
from vedette.adapters.evidence.masker import PeopleMasker
from vedette.contracts.manifest import Model, ModelFamily
from vedette.core.masking import TrackMasking
from vedette.core.people import watches

SCENES: Final = (
    Scene("one-by-one-person-detection.mp4", 5.0, 27.0, 1.3),
    Scene("store-aisle-detection.gif", 0.0, 10.0, 7.4),
    Scene("worker-zone-detection.gif", 0.0, 10.0, 3.3),
    Scene("Retail02_short.mp4", 0.0, 12.0, 2.3),
)
#: With a face model every so many pictures are enough to say what one costs.
_EVERY: Final = 5


def main() -> None:
    """Print one line per scene."""
    data = shared_data_directory()
    model = Model(family=ModelFamily.ULTRAFACE, file=FACES, labels=("face",), min_confidence=0.3, nms_iou=0.3)
    face = OnnxDetector((data / "models" / FACES).read_bytes(), model)
    print("scene | pictures | filled whole | filled share | ms: by tracks, with face model")
    for scene in SCENES:
        print(_line(footage(data, scene), scene, face))


def _line(clip: Footage, scene: Scene, face: OnnxDetector) -> str:
    tracks = TrackMasking(clip.batches, watches(plan_of(), CAMERA))
    plain, looking = PeopleMasker(tracks, watched=True), PeopleMasker(tracks, watched=True, face=face)
    share, plain_s, looking_s = [], [], []
    whole = 0
    for number, (t, picture) in enumerate(clip.pictures):
        started_s = time.process_time()
        covered = plain.covered(picture, t, EPOCH)
        plain_s.append(time.process_time() - started_s)
        whole += bool(covered.whole)
        share.append(float((covered.picture == np.array(FILL)).all(axis=2).mean()))
        if number % _EVERY == 0:
            started_s = time.process_time()
            looking.covered(picture, t, EPOCH)
            looking_s.append(time.process_time() - started_s)
    costs = f"{1e3 * statistics.median(plain_s):.1f}, {1e3 * statistics.median(looking_s):.0f}"
    name = Path(scene.video).stem
    return f"{name} | {len(share)} | {whole} | {statistics.median(share):.2f} | {costs}"


if __name__ == "__main__":
    main()
