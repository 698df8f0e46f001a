"""Measures the colours of this example on recordings that show who wears what, with other light, tint, focus and size.

    python examples/ppe_safety/evaluate.py --videos FOLDER

The people are found in the picture as it is; what is said of them is asked in the changed one, so that the figures
are of the colours alone. In these recordings one person has hat and vest, nine have neither.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
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
from vedette.contracts.tracks import Attribute
from vedette.core.colour import ColourJudge
from vedette.core.pixels import Pixels
from vedette.core.rules.attributes import AttributeBook
from vedette.core.safety_colours import range_of
from vedette.core.tracking import ByteTracker
from vedette.core.url_policy import camera_policy, check_url
from vedette.pipeline.attributes import part_of

HERE = Path(__file__).resolve().parent
#: Recording → whether its people wear the hat and the vest, pictures looked at a second.
RECORDINGS: Final = {
    "worker-zone-detection.gif": (True, 10.0),
    "store-aisle-detection.gif": (False, 10.0),
    "one-by-one-person-detection.mp4": (False, 2.0),
}

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


def tint(red: float, blue: float, green: float = 1.0) -> Callable[[Planes], Planes]:
    """As with another white balance."""
    return lambda rgb: rgb * np.array([red, green, blue], np.float32)


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
    "a little cold: red × 0.95, blue × 1.05": (tint(0.95, 1.05), 1.0),
    "a little green: green × 1.08": (tint(1.0, 1.0, 1.08), 1.0),
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


class Meter:
    """Asks the example's own colours about people.

    Attributes:
        looks: (attribute, condition) → what single looks said.
        tracks: the same of people as a whole, as rules see them: all looks of one together.
    """

    def __init__(self) -> None:
        manifest = with_resolved_models(load_manifest(HERE / "vedette.yaml"), HERE, ModelStore.default())
        model = manifest.models["objects"]
        self._detector = load_detector(model, Path(model.file))
        self._settings = {
            name: settings
            for name, settings in (manifest.pipelines["people"].attributes or {}).items()
            if isinstance(settings, ColourAttribute)
        }
        self._judges = {
            name: ColourJudge([range_of(colour) for colour in each.colours], each.min_share)
            for name, each in self._settings.items()
        }
        self._tracker = manifest.pipelines["people"].tracker
        self.looks: dict[tuple[str, str], Tally] = defaultdict(Tally)
        self.tracks: dict[tuple[str, str], Tally] = defaultdict(Tally)

    def measure(self, video: Path, worn: bool, fps: float) -> None:
        """Take in one recording, whose people all wear both or neither."""
        tracker = ByteTracker(self._tracker)
        books = {condition: AttributeBook() for condition in CONDITIONS}
        seen: set[int] = set()
        address = check_url(str(video), camera_policy(), lambda _: ())
        source = PyAvSource(address, camera="people", fps=fps, realtime=False)
        for info, pixels in source:
            found = self._detector.detect(pixels)
            people = found.where(found.classes == self._detector.labels.index("person"))
            tracks = tracker.update(people, info.media_time_s)
            seen.update(tracks.ids.tolist())
            rgb = to_rgb(pixels)
            for condition, (change, scale) in CONDITIONS.items() if len(tracks) else ():
                changed = to_pixels(change(rgb))
                for track_id, box in zip(tracks.ids.tolist(), (tracks.boxes * scale).tolist(), strict=True):
                    said = list(self._ask(changed, box))
                    books[condition].see(track_id, said, info.media_time_s)
                    values = {each.name: each.value for each in said}
                    for name in self._settings:
                        self.looks[name, condition].said[worn, values.get(name, "")] += 1
        source.close()
        for condition, book in books.items():
            for name in self._settings:
                known = Counter((worn, book.known(track_id).get(name, "")) for track_id in seen)
                self.tracks[name, condition].said += known

    def _ask(self, picture: Pixels, box: list[float]) -> Iterator[Attribute]:
        """What one picture says of one person; a part that is too small or cut off says nothing, as it is live."""
        x1, y1, x2, y2 = box
        for name, settings in self._settings.items():
            part = part_of(picture, (x1, y1, x2, y2), settings)
            said = self._judges[name].observe(part) if part is not None else None
            if said is not None:
                yield Attribute(name, said[0], said[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, required=True, help="folder of the recordings")
    videos: Path = parser.parse_args().videos
    meter = Meter()
    for file, (worn, fps) in RECORDINGS.items():
        meter.measure(videos / file, worn, fps)
    sides = "worn: yes / no / nothing | bare: no / yes / nothing | precision | recall"
    for name in sorted({name for name, _ in meter.looks}):
        print(f"\n| {name} | looks, {sides} | people, {sides} |")
        print("|---" * 9 + "|")
        for condition in CONDITIONS:
            print(f"| {condition} | {meter.looks[name, condition].line()} | {meter.tracks[name, condition].line()} |")


if __name__ == "__main__":
    main()
