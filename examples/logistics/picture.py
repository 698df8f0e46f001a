"""Makes picture.jpg: two rendered pictures of the belt with what the application finds in them.

python examples/logistics/picture.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vedette.adapters.engines.codes import CodeReader
from vedette.adapters.engines.moving import MovingDetector
from vedette.adapters.manifest import load_manifest
from vedette.contracts.manifest import Moving
from vedette.core.part import Part
from vedette.core.pixels import Pixels
from vedette.core.views import View
from vedette.pipeline.attributes import part_of
from vedette.pipeline.look import Looker
from vedette.testing.belt.settings import HEIGHT_PX, WIDTH_PX
from vedette.testing.parcels import ParcelBelt, ParcelSettings

HERE = Path(__file__).resolve().parent
SEED, SHOWN_S, FPS = 1, (9.4, 13.4), 10
GREEN, RED, WHITE, DARK = (96, 220, 96), (110, 110, 250), (235, 235, 235), (24, 24, 24)


def main() -> None:
    """Render, find, read, draw."""
    manifest = load_manifest(HERE / "vedette.yaml")
    pipeline, model = manifest.pipelines["parcels"], manifest.models["goods"]
    belt = ParcelBelt(ParcelSettings(seed=SEED))
    looker = Looker(MovingDetector(model.moving or Moving(), "parcel")).for_camera()
    view, reader = View(region=pipeline.region), CodeReader()
    shown = []
    for number in range(round(max(SHOWN_S) * FPS) + 1):
        t_s = number / FPS
        picture = belt.frame(round(t_s * 25))
        half = HEIGHT_PX // 2, WIDTH_PX // 2
        blue, red = (plane.reshape(half) for plane in np.split(picture[HEIGHT_PX:], 2))
        pixels = Pixels(picture[:HEIGHT_PX], blue, red)
        found = looker.look(pixels, view, t_s)
        if t_s not in SHOWN_S:
            continue
        image = cv2.cvtColor(picture, cv2.COLOR_YUV2BGR_I420)
        cv2.line(image, (WIDTH_PX // 2, 0), (WIDTH_PX // 2, HEIGHT_PX), WHITE, 1)
        for box in found.boxes:
            left, top, right, bottom = (round(float(value)) for value in box)
            part = part_of(pixels, (left, top, right, bottom), pipeline.attributes["code"])
            said = reader.observe(part) if isinstance(part, Part) else None
            if left <= 0 or right >= WIDTH_PX:  # on its way in or out: nothing is known of it yet, or any more
                cv2.rectangle(image, (left, top), (right, bottom), WHITE, 1)
                continue
            colour, words = (RED, "no code") if said is None else (GREEN, said[0])
            cv2.rectangle(image, (left, top), (right, bottom), colour, 2)
            cv2.rectangle(image, (left, top - 24), (left + 12 * len(words) + 8, top), DARK, -1)
            cv2.putText(image, words, (left + 6, top - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 1, cv2.LINE_AA)
        shown.append(image)
    cv2.imwrite(str(HERE / "picture.jpg"), np.hstack(shown), [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
