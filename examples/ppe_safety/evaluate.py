"""Measures the colours of this example on recordings that show who wears what, with other light, tint, focus and size.

    python examples/ppe_safety/evaluate.py --videos FOLDER

The people are found in the picture as it is; what is said of them is asked in the changed one, so that the figures
are of the colours alone. In these recordings one person has hat and vest, nine have neither.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.adapters.capture.pyav import PyAvSource
from vedette.adapters.engines.onnx import load_detector
from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore
from vedette.cli.run import with_resolved_models
from vedette.contracts.manifest import ColourAttribute
from vedette.core.colour import ColourJudge
from vedette.core.pixels import Pixels
from vedette.core.safety_colours import range_of
from vedette.core.url_policy import camera_policy, check_url
from vedette.pipeline.attributes import part_of

HERE = Path(__file__).resolve().parent
#: Recording → whether its people wear the hat and the vest, pictures looked at a second.
RECORDINGS: Final = {
    "worker-zone-detection.gif": (True, 10.0),
    "store-aisle-detection.gif": (False, 10.0),
    "one-by-one-person-detection.mp4": (False, 1.0),
}
LEAST_CONFIDENCE: Final = 0.5

Planes = NDArray[np.float32]


@dataclass
class Tally:
    """What was said: of people who wear it and of people who do not."""

    said: Counter[tuple[bool, str]] = field(default_factory=Counter)

    def line(self) -> str:
        """A row: right, wrong and nothing for both kinds; precision and recall of "it is missing"."""
        worn = [self.said[True, word] for word in ("yes", "no", "")]
        bare = [self.said[False, word] for word in ("no", "yes", "")]
        accused, guilty = worn[1] + bare[0], sum(bare)
        precision = f"{bare[0] / accused:.3f}" if accused else "–"
        recall = f"{bare[0] / guilty:.3f}" if guilty else "–"
        cells = [" / ".join(map(str, worn)), " / ".join(map(str, bare)), precision, recall]
        return " | ".join(cells)


def gain(factor: float) -> Callable[[Planes], Planes]:
    """As with another exposure."""
    return lambda rgb: rgb * factor


def tint(red: float, blue: float) -> Callable[[Planes], Planes]:
    """As with another white balance."""
    return lambda rgb: rgb * np.array([red, 1.0, blue], np.float32)


def blur(sigma: float) -> Callable[[Planes], Planes]:
    """As out of focus; sigma in pixels."""
    return lambda rgb: np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.float32)


def smaller(factor: float) -> Callable[[Planes], Planes]:
    """As from farther away."""
    return lambda rgb: np.asarray(cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.float32)


def grey(rgb: Planes) -> Planes:
    """As an infrared camera at night."""
    return np.repeat(rgb.mean(axis=2, keepdims=True), 3, axis=2)


CONDITIONS: Final[dict[str, tuple[Callable[[Planes], Planes], float]]] = {
    "as recorded": (lambda rgb: rgb, 1.0),
    "brightness × 0.3": (gain(0.3), 1.0),
    "brightness × 0.6": (gain(0.6), 1.0),
    "brightness × 1.4": (gain(1.4), 1.0),
    "brightness × 2": (gain(2.0), 1.0),
    "warm: red × 1.15, blue × 0.85": (tint(1.15, 0.85), 1.0),
    "cold: red × 0.85, blue × 1.15": (tint(0.85, 1.15), 1.0),
    "very warm: red × 1.3, blue × 0.6": (tint(1.3, 0.6), 1.0),
    "blur of 2 px": (blur(2.0), 1.0),
    "blur of 5 px": (blur(5.0), 1.0),
    "half the size": (smaller(0.5), 0.5),
    "a quarter of the size": (smaller(0.25), 0.25),
    "grey": (grey, 1.0),
}


def to_rgb(pixels: Pixels) -> Planes:
    """float32 (height, width, 3), 0..255, of an I420 picture of even size."""
    planes = np.concatenate([plane.ravel() for plane in (pixels.y, pixels.u, pixels.v)])
    return np.asarray(cv2.cvtColor(planes.reshape(-1, pixels.width), cv2.COLOR_YUV2RGB_I420), np.float32)


def to_pixels(rgb: Planes) -> Pixels:
    """The picture as I420; an odd row or column is cut off."""
    height, width = (side // 2 * 2 for side in rgb.shape[:2])
    whole = np.ascontiguousarray(np.clip(np.rint(rgb[:height, :width]), 0, 255).astype(np.uint8))
    return Pixels.from_buffer(np.asarray(cv2.cvtColor(whole, cv2.COLOR_RGB2YUV_I420)).reshape(-1), width, height)


def measure(videos: Path) -> dict[tuple[str, str], Tally]:
    """(attribute, condition) → what was said."""
    manifest = with_resolved_models(load_manifest(HERE / "vedette.yaml"), HERE, ModelStore.default())
    model = manifest.models["objects"]
    detector = load_detector(model, Path(model.file))
    looks = {
        name: settings
        for name, settings in (manifest.pipelines["people"].attributes or {}).items()
        if isinstance(settings, ColourAttribute)
    }
    judges = {
        name: ColourJudge([range_of(colour) for colour in each.colours], each.min_share) for name, each in looks.items()
    }
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    for file, (worn, fps) in RECORDINGS.items():
        address = check_url(str(videos / file), camera_policy(), lambda _: ())
        source = PyAvSource(address, camera="people", fps=fps, realtime=False)
        for _, pixels in source:
            found = detector.detect(pixels)
            people = [
                box
                for box, kind, score in zip(found.boxes.tolist(), found.classes, found.scores, strict=True)
                if detector.labels[int(kind)] == "person" and score >= LEAST_CONFIDENCE
            ]
            rgb = to_rgb(pixels)
            for condition, (change, scale) in CONDITIONS.items():
                changed = to_pixels(change(rgb)) if people else pixels
                for x1, y1, x2, y2 in people:
                    for name, settings in looks.items():
                        part = part_of(changed, (x1 * scale, y1 * scale, x2 * scale, y2 * scale), settings)
                        # A part that is too small or cut off is passed over as it is: it says nothing.
                        said = judges[name].observe(part) if part is not None else None
                        tallies[name, condition].said[worn, said[0] if said else ""] += 1
        source.close()
    return tallies


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True, help="folder of the recordings")
    tallies = measure(parser.parse_args().videos)
    for name in sorted({name for name, _ in tallies}):
        print(f"\n| {name} | worn: yes / no / nothing | bare: no / yes / nothing | precision | recall |")
        print("|---|---|---|---|---|")
        for condition in CONDITIONS:
            print(f"| {condition} | {tallies[name, condition].line()} |")


if __name__ == "__main__":
    main()
