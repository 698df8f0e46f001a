"""``vedette model optimize``: a smaller model, and how far it agrees with the original."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.engines.gate import check_model
from vedette.adapters.engines.onnx import OnnxDetector
from vedette.adapters.models.catalogue import recognise
from vedette.adapters.models.described import described_model, find_card, model_file
from vedette.adapters.models.optimise import FLOAT_HEADS, Feeds, to_fp16, to_int8
from vedette.adapters.models.store import ModelStore, resolve_model
from vedette.adapters.pictures.code_files import recording_pixels
from vedette.cli.tables import key_value_table
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import Model
from vedette.contracts.model_card import Framework
from vedette.core.agreement import Agreement, compare
from vedette.core.detections import Detections
from vedette.core.pixels import Pixels

#: The recordings are cut into pieces of so many seconds: one to calibrate, the next one to compare, in turns.
PIECE_S: Final = 3.0
_MOST_CALIBRATION: Final = 100
_MOST_COMPARED: Final = 200
_SPEED_RUNS: Final = 30


class Precision(StrEnum):
    """What the numbers become."""

    INT8 = "int8"
    FP16 = "fp16"


@dataclass(frozen=True, slots=True)
class _Result:
    data: bytes
    float_heads: int
    agreement: Agreement


def optimize(
    what: Annotated[str, typer.Argument(metavar="FILE|NAME", help="An ONNX model, or the name of a stored one.")],
    calibrate: Annotated[
        list[Path], typer.Option("--calibrate", "-c", help="Recording of your own cameras; may be repeated.")
    ],
    precision: Annotated[Precision, typer.Option(help="int8 for processors, fp16 for GPUs.")] = Precision.FP16,
    least_agreement: Annotated[
        float, typer.Option(min=0, max=1, help="Least precision and recall beside the original.")
    ] = 0.95,
    store_anyway: Annotated[bool, typer.Option("--store-anyway", help="Also where it agrees less.")] = False,
    fps: Annotated[float, typer.Option(min=0.1, max=30, help="Pictures a second of the recordings.")] = 2.0,
    name: Annotated[str, typer.Option(help="Name in the store; default the model's with its precision.")] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the model to a file, too.")] = None,
    store: Annotated[Path | None, typer.Option("--store", help="Directory of the model store.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Make an INT8 or FP16 copy of a model, compare it with the original, and store it where the two agree.

    Pieces of three seconds of the recordings are used in turns: to calibrate, and to compare. An object is the same
    where label and place are (IoU 0.5). Nothing is stored, and the exit code is 1, where too few are.

    Examples:
        vedette model optimize yolox_nano --calibrate gate.mp4 --calibrate yard.mp4

        vedette model optimize ./parts.onnx -c belt.mp4 --precision int8 --least-agreement 0.98 -o parts_int8.onnx

        vedette model optimize yolox_nano -c gate.mp4 --precision fp16 --json
    """
    if importlib.util.find_spec("onnx") is None:
        raise UsageError("the package onnx is missing.", hint="Type: pip install 'vedette[optimize]'")
    models = ModelStore(store) if store is not None else ModelStore.default()
    path = Path(what) if Path(what).is_file() else resolve_model(what, None, models)
    console = Console(stderr=True, highlight=False)
    model, data = _model(path), path.read_bytes()
    check_model(data, model)
    original = OnnxDetector(data, model)
    with console.status("the original looks at the pictures …") as status:
        result = _search(data, model, original, calibrate, fps, precision, least_agreement, status.update)
        status.update("the result goes through the gate, and both are timed …")
        check_model(result.data, model)
        speeds = _speeds(original, OnnxDetector(result.data, model), next(_pictures(calibrate, fps, held_out=True)))
    agrees = result.agreement.agreement >= least_agreement
    entry = None
    if agrees or store_anyway:
        entry = _store(result.data, data, what, name, precision, calibrate, models, output)
    document: dict[str, Any] = {
        "precision": precision.value,
        "agreement": {**asdict(result.agreement), "precision": result.agreement.precision}
        | {"recall": result.agreement.recall},
        "least_agreement": least_agreement,
        "float_heads": result.float_heads,
        "run_ms": {"original": speeds[0], "optimized": speeds[1]},
        "bytes": {"original": len(data), "optimized": len(result.data)},
        "stored": entry,
    }
    if json_:
        print(json.dumps(document))
    else:
        _show(document, Console(highlight=False, soft_wrap=True))
    if entry is None:
        console.print(
            f"not stored: {result.agreement.agreement:.3f} is below --least-agreement {least_agreement:g}. More "
            "recordings of your own cameras may help; --store-anyway keeps it as it is."
        )
        raise typer.Exit(1)


def _model(path: Path) -> Model:
    """What the description beside the file says of it, else what its tensors tell."""
    if find_card(path) is not None:
        card, _ = described_model(path)
        return Model(family=card.family, file=path.name, labels=card.labels, input=card.input, min_confidence=0.3)
    found = model_file(path)
    if found.framework is not Framework.ONNX:
        written_by = f"written by {found.framework.value}" if found.framework else "of an unknown kind, by its suffix"
        raise UsageError(f"{path.name}: {written_by}; only .onnx files can be made smaller.")
    if found.guess.family is None:
        raise UsageError(
            f"{path.name}: its family cannot be told by its tensors.",
            hint=f"Describe it first: vedette model inspect {path} --write",
        )
    return Model.model_validate({"family": found.guess.family, "file": path.name, "labels": found.guess.labels})


def _search(
    data: bytes,
    model: Model,
    original: OnnxDetector,
    recordings: list[Path],
    fps: float,
    precision: Precision,
    least: float,
    tell: Any,
) -> _Result:
    """The first way that agrees well enough, else the one that agrees most."""
    before = [original.detect(pixels) for pixels in _pictures(recordings, fps, held_out=True)]
    if not any(len(found) for found in before):
        raise UsageError(
            "the original finds nothing in the pictures that are kept for the comparison.",
            hint="Give recordings in which there is something to find, longer than 6 seconds.",
        )
    best: _Result | None = None
    for heads in FLOAT_HEADS if precision is Precision.INT8 else (0,):
        tell(f"converting to {precision.value}, {heads} convolutions before each output as they are …")
        made = to_fp16(data) if precision is Precision.FP16 else to_int8(data, _feeds(original, recordings, fps), heads)
        detector = OnnxDetector(made, model)
        after = (detector.detect(pixels) for pixels in _pictures(recordings, fps, held_out=True))
        found = _Result(made, heads, compare(zip(before, after, strict=True)))
        if best is None or found.agreement.agreement > best.agreement.agreement:
            best = found
        if best.agreement.agreement >= least:
            break
    assert best is not None
    return best


def _pictures(recordings: list[Path], fps: float, *, held_out: bool) -> Iterator[Pixels]:
    """Pictures of one half of the pieces, an equal number at most of each recording."""
    most = max(1, (_MOST_COMPARED if held_out else _MOST_CALIBRATION) // len(recordings))
    for recording in recordings:
        count = 0
        for t_s, pixels in recording_pixels(recording, fps):
            if (int(t_s // PIECE_S) % 2 == 1) is held_out:
                yield pixels
                count += 1
                if count == most:
                    break


def _feeds(detector: OnnxDetector, recordings: list[Path], fps: float) -> Iterator[Feeds]:
    return (detector.feeds(pixels) for pixels in _pictures(recordings, fps, held_out=False))


def _speeds(first: OnnxDetector, second: OnnxDetector, pixels: Pixels) -> tuple[float, float]:
    """Processor milliseconds of a picture on one thread: medians of runs in turns, after one of each."""
    samples: tuple[list[float], list[float]] = ([], [])
    for number in range(_SPEED_RUNS + 1):
        for detector, found in zip((first, second), samples, strict=True):
            begun_s = time.thread_time()
            _: Detections = detector.detect(pixels)
            if number:
                found.append(1000 * (time.thread_time() - begun_s))
    return float(np.median(samples[0])), float(np.median(samples[1]))


def _store(
    made: bytes,
    original: bytes,
    what: str,
    name: str,
    precision: Precision,
    recordings: list[Path],
    models: ModelStore,
    output: Path | None,
) -> dict[str, Any]:
    stem = Path(what).name.removesuffix(".onnx")
    digests = ", ".join(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}" for path in recordings)
    digest = hashlib.sha256(original).hexdigest()
    source = f"{precision.value} of {stem} {digest}; recordings {digests}"
    # By content: another model may be stored under the name that this file has.
    known = next((one for one in models.entries() if one.sha256 == digest), None) or recognise(digest)
    if output is not None:
        try:
            output.write_bytes(made)
        except OSError as error:
            raise UsageError(f"--output {output} cannot be written: {error.strerror}.") from error
    chunks = iter((made, b""))
    entry = models.add_stream(
        lambda _: next(chunks, b""),
        file_name=f"{stem}_{precision.value}.onnx",
        name=name or f"{stem}_{precision.value}",
        licence=known.licence if known is not None else "",
        source=source,
    )
    return asdict(entry)


def _show(document: dict[str, Any], console: Console) -> None:
    agreement, speed, size = document["agreement"], document["run_ms"], document["bytes"]
    table = key_value_table()
    rows = (
        (
            "precision",
            f"{document['precision']}, {document['float_heads']} convolutions before each output as they were",
        ),
        ("compared", f"{agreement['pictures']} pictures; {agreement['original']} objects of the original"),
        ("found again", f"{agreement['recall']:.3f} of the original's objects"),
        ("found rightly", f"{agreement['precision']:.3f} of the new model's objects"),
        ("overlap", f"{agreement['mean_iou']:.3f} on average; confidence {agreement['drift']:+.3f}"),
        (
            "a picture",
            f"{speed['original']:.1f} ms before, {speed['optimized']:.1f} ms now (one thread of this machine)",
        ),
        ("size", f"{size['original'] / 1e6:.1f} MB before, {size['optimized'] / 1e6:.1f} MB now"),
        ("stored as", document["stored"]["name"] if document["stored"] else ""),
    )
    for key, value in rows:
        if value:
            table.add_row(key, escape(value))
    console.print(table)
