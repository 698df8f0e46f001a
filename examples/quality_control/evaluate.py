"""Measures the detector of this example on rendered footage that it was not trained on. Needs no PyTorch.

    python examples/quality_control/evaluate.py               # 10 loops as in the demo
    python examples/quality_control/evaluate.py --conditions  # and under light, noise and blur beyond training

Every loop is rendered, encoded as H.264 and put through the application by a backtest: decoder, detector, tracker and
rule are those of a device. What is counted: per part whether the alert was right, and per analysed picture whether the
label of each whole part was right.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vedette.adapters.capture.pyav import PyAvSource
from vedette.adapters.engines.onnx import load_detector
from vedette.adapters.manifest import load_manifest
from vedette.compose.backtest import Backtest
from vedette.contracts.camera import CameraConfig
from vedette.contracts.manifest import Manifest
from vedette.core.url_policy import camera_policy, check_url
from vedette.testing.belt import BeltSettings, Camera, Label, Light, make_truth
from vedette.testing.belt.footage import render
from vedette.testing.belt.score import Repetition, Report, passages, score
from vedette.testing.belt.truth import Part

HERE = Path(__file__).resolve().parent
#: Training uses seeds from 1000 on.
FIRST_SEED, LOOPS = 100, 10
OTHER_SEED = 200
FPS = 10.0
LABELS = tuple(label.value for label in Label)

#: Beyond what training draws from: see ``vedette.testing.belt.samples.varied``.
CONDITIONS = (
    ("as in the demo", Light(), Camera()),
    ("gain 0.55", Light(gain=0.55), Camera()),
    ("gain 0.4", Light(gain=0.4), Camera()),
    ("gain 1.45", Light(gain=1.45), Camera()),
    ("gain 1.7", Light(gain=1.7), Camera()),
    ("shadows of 0.65", Light(shadow=0.65), Camera()),
    ("noise 7", Light(), Camera(noise=7.0)),
    ("noise 10", Light(), Camera(noise=10.0)),
    ("blur of 1.1 px", Light(), Camera(blur_px=1.1)),
    ("blur of 1.5 px", Light(), Camera(blur_px=1.5)),
    ("exposure of 20 ms", Light(), Camera(exposure_s=0.020)),
    ("exposure of 40 ms", Light(), Camera(exposure_s=0.040)),
)


@dataclass
class Figures:
    """Counts over some loops.

    Attributes:
        pictures: (true label, found label or "nothing") → whole parts in analysed pictures.
        parts: (true label, label of the alert or "no alert") → parts.
        caught: defective parts with an alert.
        missed: defective parts without.
        false: alerts about good parts, second alerts, alerts about nothing.
    """

    pictures: Counter[tuple[str, str]] = field(default_factory=Counter)
    parts: Counter[tuple[str, str]] = field(default_factory=Counter)
    caught: int = 0
    missed: int = 0
    false: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        """Add the counts of other loops."""
        self.pictures += other.pictures
        self.parts += other.parts
        self.caught, self.missed = self.caught + other.caught, self.missed + other.missed
        self.false += other.false
        self.notes += other.notes


def application(model: Path) -> Manifest:
    """The example's manifest with this model."""
    manifest = load_manifest(HERE / "vedette.yaml")
    named = {name: entry.model_copy(update={"file": str(model)}) for name, entry in manifest.models.items()}
    return manifest.model_copy(update={"models": named})


def measure(settings: BeltSettings, manifest: Manifest, folder: Path) -> Figures:
    """Render a loop and judge it."""
    video = folder / "loop.mp4"
    render(settings, video)
    truth = make_truth(settings)
    test = Backtest(manifest, HERE, [CameraConfig(name="belt", url=str(video))], {"belt": ("belt",)})
    alerts = [Report(alert.media_time_s, alert.label, alert.media_time_s) for alert in test.alerts()]
    passed = passages(truth, [Repetition(0, 0.0)], 0.0, float("inf"))
    outcome = score(passed, alerts)
    figures = Figures(caught=len(outcome.caught), missed=len(outcome.missed), false=len(outcome.false))
    named = {passage.part.number: report.label for passage, report in outcome.caught}
    named |= {passage.part.number: report.label for passage, report in outcome.false if passage is not None}
    for passage in outcome.passed:
        found = named.get(passage.part.number, "no alert")
        figures.parts[passage.part.label.value, found] += 1
        if (found != passage.part.label.value) and (passage.part.defective or found != "no alert"):
            figures.notes.append(
                f"seed {settings.seed} part {passage.part.number}: {passage.part.label.value} → {found}"
            )
    for true, found in each_picture(video, manifest, truth.parts):
        figures.pictures[true, found] += 1
    return figures


def each_picture(video: Path, manifest: Manifest, parts: tuple[Part, ...]) -> Iterator[tuple[str, str]]:
    """(true label, found label) of every whole part in every analysed picture, without tracking."""
    model = manifest.models["parts"]
    detector = load_detector(model, Path(model.file))
    source = PyAvSource(check_url(str(video), camera_policy(), lambda _: ()), camera="belt", fps=FPS, realtime=False)
    for info, pixels in source:
        found = detector.detect(pixels)
        boxes = found.boxes.tolist()
        free = list(range(len(boxes)))
        for part in parts:
            if not part.whole_s <= info.media_time_s <= part.leaves_s:
                continue
            box = part.box_at(info.media_time_s)
            best = max(free, key=lambda index: _overlap(box, boxes[index]), default=None)
            if best is None or _overlap(box, boxes[best]) < 0.5:
                yield part.label.value, "nothing"
                continue
            free.remove(best)
            yield part.label.value, detector.labels[int(found.classes[best])]
        for _ in (i for i in free if boxes[i][0] > 20 and boxes[i][2] < 620):
            yield "nothing", "a part"
    source.close()


def _overlap(first: Sequence[float] | None, second: Sequence[float]) -> float:
    """Intersection over union of two boxes; 0 where there is no first one."""
    if first is None:
        return 0.0
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return float(shared / (area - shared))


def table(counts: Counter[tuple[str, str]]) -> str:
    """Confusion with precision and recall of each label, as Markdown."""
    columns = [*LABELS, *sorted({found for _, found in counts} - set(LABELS))]
    lines = ["| true \\ found | " + " | ".join(columns) + " | recall |", "|---" * (len(columns) + 2) + "|"]
    for true in [*LABELS, *sorted({true for true, _ in counts} - set(LABELS))]:
        row = [counts[true, found] for found in columns]
        right = counts[true, true if (true, true) in counts or true != "good" else "no alert"]
        share = f"{right / sum(row):.4f}" if sum(row) else "–"
        lines.append(f"| {true} | " + " | ".join(map(str, row)) + f" | {share} |")
    precision = []
    for found in columns:
        total = sum(counts[true, found] for true in [*LABELS, "nothing"])
        precision.append(f"{counts[found, found] / total:.4f}" if total and found in LABELS else "–")
    lines.append("| precision | " + " | ".join(precision) + " | |")
    return "\n".join(lines)


def _shares(figures: Figures) -> str:
    defective, alerts = figures.caught + figures.missed, figures.caught + figures.false
    pictures = sum(n for (true, _), n in figures.pictures.items() if true in LABELS)
    right = sum(n for (true, found), n in figures.pictures.items() if true == found)
    return (
        f"recall {figures.caught}/{defective} = {figures.caught / max(1, defective):.4f}, "
        f"precision {figures.caught}/{alerts} = {figures.caught / max(1, alerts):.4f}, "
        f"pictures right {right}/{pictures} = {right / max(1, pictures):.4f}"
    )


def over(seeds: range, manifest: Manifest, folder: Path, light: Light, camera: Camera) -> Figures:
    """All loops of these seeds."""
    total = Figures()
    for seed in seeds:
        total.add(measure(BeltSettings(seed=seed, light=light, camera=camera), manifest, folder))
    return total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=HERE / "parts.onnx")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--loops", type=int, default=LOOPS, help="loops of a minute, about 37 parts each")
    parser.add_argument("--conditions", action="store_true", help="a loop under each condition beyond training")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    arguments = parser.parse_args()
    manifest = application(arguments.model.resolve())
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.loops)
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vedette-evaluate-") as name:
        folder = Path(name)
        figures = over(seeds, manifest, folder, Light(), Camera())
        print(f"seeds {seeds.start} to {seeds.stop - 1}: {_shares(figures)}; {time.monotonic() - started_s:.0f} s")
        print(f"\nParts, by their alert:\n\n{table(figures.parts)}")
        print(f"\nWhole parts in single pictures, before tracking and vote:\n\n{table(figures.pictures)}\n")
        print("\n".join(figures.notes) or "No part was judged wrongly.")
        if arguments.json:
            print(json.dumps({"parts": [[*k, n] for k, n in sorted(figures.parts.items())]}))
        if arguments.conditions:
            print()
            for words, light, camera in CONDITIONS:
                print(
                    f"{words}: {_shares(over(range(OTHER_SEED, OTHER_SEED + 1), manifest, folder, light, camera))}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
