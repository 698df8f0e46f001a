"""Makes picture.jpg: a rendered picture of the belt with what the model finds in it, and the inspection line.

python examples/quality_control/picture.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vedette.adapters.engines.onnx import load_detector
from vedette.adapters.manifest import load_manifest
from vedette.core.pixels import Pixels
from vedette.testing.belt import Belt, BeltSettings
from vedette.testing.belt.settings import HEIGHT_PX, WIDTH_PX

HERE = Path(__file__).resolve().parent
SEED, SECOND, SCALE = 1, 9.0, 1.5
GREEN, RED, WHITE = (96, 200, 96), (64, 64, 232), (235, 235, 235)


def main() -> None:
    """Render, detect, draw."""
    settings = BeltSettings(seed=SEED)
    picture = Belt(settings).frame(round(SECOND * 25))
    model = load_manifest(HERE / "vedette.yaml").models["parts"]
    detector = load_detector(model, HERE / model.file)
    half = HEIGHT_PX // 2, WIDTH_PX // 2
    blue, red = (plane.reshape(half) for plane in np.split(picture[HEIGHT_PX:], 2))
    found = detector.detect(Pixels(picture[:HEIGHT_PX], blue, red))
    image = cv2.cvtColor(picture, cv2.COLOR_YUV2BGR_I420)
    image = cv2.resize(image, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    line = round(settings.line_px * SCALE)
    cv2.line(image, (line, 0), (line, image.shape[0]), WHITE, 1, cv2.LINE_AA)
    for box, score, number in zip(found.boxes * SCALE, found.scores, found.classes, strict=True):
        left, top, right, bottom = (round(float(value)) for value in box)
        label = detector.labels[int(number)]
        colour = GREEN if label == "good" else RED
        cv2.rectangle(image, (left, top), (right, bottom), colour, 2, cv2.LINE_AA)
        words = f"{label} {score:.2f}"
        cv2.putText(image, words, (left, top - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.55, colour, 1, cv2.LINE_AA)
    cv2.imwrite(str(HERE / "picture.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
