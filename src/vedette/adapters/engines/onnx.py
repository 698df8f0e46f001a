"""Sessions behind the port ``Detector``, ONNX Runtime's first of all: one, shared by all cameras and threads."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from vedette.adapters.engines.accelerators import Accelerator
from vedette.adapters.engines.families import Signature, make_family
from vedette.adapters.engines.gate import Gate, GateLimits, check_digest, read_model
from vedette.adapters.engines.neo_archive import is_neo_archive
from vedette.adapters.engines.preprocess import Preprocessor
from vedette.adapters.engines.session import first_line, open_session, signature_of
from vedette.contracts.base import Polygon
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model, Provider
from vedette.core.detections import Detections
from vedette.core.pixels import Pixels


@dataclass(frozen=True, slots=True)
class DetectorStats:
    """What a detector has done since it was loaded.

    Attributes:
        pictures: runs whose result was used.
        invalid: runs whose result could not be used.
        boxes_dropped: boxes that were no boxes (no area, inverted, outside the picture).
        truncated: pictures with more objects than allowed.
        prepare_s: seconds spent on letterboxing, all pictures.
        run_s: seconds spent in the session.
        decode_s: seconds spent on turning tensors into objects.
    """

    pictures: int = 0
    invalid: int = 0
    boxes_dropped: int = 0
    truncated: int = 0
    prepare_s: float = 0.0
    run_s: float = 0.0
    decode_s: float = 0.0


class SessionDetector:
    """A loaded model; implements ``vedette.ports.detector.Detector``.

    Args:
        session: has ``run(None, {name: array})``, which gives the outputs; safe to call from several threads.
        signature: its inputs and outputs.
        model: what the manifest says of it.
        degraded: why it does not run where the manifest requires; empty where it does.

    Attributes:
        degraded: see above.

    Raises:
        ModelError: V303, not what the manifest says.
    """

    def __init__(self, session: Any, signature: Signature, model: Model, degraded: str) -> None:
        # The pictures are small and the cores are busy with runs side by side: OpenCV's own pool only adds switches.
        cv2.setNumThreads(1)
        self._session = session
        self.degraded = degraded
        self._family = make_family(model, signature)
        self._preprocessor = Preprocessor(self._family.size, self._family.form)
        self._lock = threading.Lock()
        self._stats = DetectorStats()

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the model's order."""
        return self._family.labels

    @property
    def input_size(self) -> tuple[int, int]:
        """(width, height) of the model's input, pixels."""
        return self._family.size

    def stats(self) -> DetectorStats:
        """Counters since the model was loaded."""
        with self._lock:
            return self._stats

    def feeds(self, pixels: Pixels) -> dict[str, NDArray[Any]]:
        """The session's inputs for one picture, as ``detect`` makes them; the caller's own copies."""
        tensor, letterbox = self._preprocessor.prepare(pixels)
        return dict(self._family.feeds(tensor.copy(), letterbox))

    def detect(self, pixels: Pixels, hidden: tuple[Polygon, ...] = ()) -> Detections:
        """Objects of one picture, in the picture's own pixels, strongest first. See ``ports.detector.Detector``.

        Raises:
            ModelError: V302, the run failed; V303 or V304, the output is not what was promised.
        """
        started_s = time.perf_counter()
        tensor, letterbox = self._preprocessor.prepare(pixels, hidden)
        prepared_s = time.perf_counter()
        try:
            try:
                outputs = self._session.run(None, self._family.feeds(tensor, letterbox))
            except ModelError:
                raise
            except Exception as error:  # the library raises a class per failure, none of them documented
                raise ModelError(
                    f"a run failed: {first_line(error)}.", hint="The picture is not used.", code="V302"
                ) from error
            run_s = time.perf_counter()
            decoded = self._family.decode(outputs, letterbox)
        except ModelError:
            with self._lock:
                self._stats = replace(self._stats, invalid=self._stats.invalid + 1)
            raise
        ended_s = time.perf_counter()
        with self._lock:
            before = self._stats
            self._stats = DetectorStats(
                before.pictures + 1,
                before.invalid,
                before.boxes_dropped + decoded.dropped,
                before.truncated + decoded.detections.truncated,
                before.prepare_s + prepared_s - started_s,
                before.run_s + run_s - prepared_s,
                before.decode_s + ended_s - run_s,
            )
        return decoded.detections


class OnnxDetector(SessionDetector):
    """A model that ONNX Runtime runs.

    Args:
        data: the whole model file; has passed the gate.
        model: what the manifest says of it.
        accelerator: what it may take of a graphics processor.
        require: where to run it for the time being, where that is not what the manifest says.

    Attributes:
        provider: what runs it, such as ``CPU`` or ``CUDA``.

    Raises:
        ModelError: V302, cannot be loaded; V303, not what the manifest says.
    """

    def __init__(
        self, data: bytes, model: Model, accelerator: Accelerator | None = None, require: Provider | None = None
    ) -> None:
        accelerator = accelerator or Accelerator(precision=model.precision)
        session, degraded = open_session(data, model.file, require or model.require, accelerator)
        self.provider: str = session.get_providers()[0].removesuffix("ExecutionProvider")
        super().__init__(session, signature_of(session), model, degraded)


def load_detector(
    model: Model, file: Path | bytes, *, gate: bool = True, limits: GateLimits | None = None
) -> OnnxDetector:
    """Read, check and load a model.

    Args:
        model: what the manifest says of it.
        file: the file, or its bytes.
        gate: try it in a process of its own first. Leave out only what passed the gate a moment ago.
        limits: of the gate.

    Raises:
        ModelError: V301 missing, V302 refused, V303 not what the manifest says, V304 unusable values, V305 another
            digest.
    """
    if isinstance(file, bytes):
        data = file
        check_digest(data, model, model.file)
    else:
        data = read_model(file, model, limits)
    if is_neo_archive(data):
        raise ModelError(
            f"{model.file} was compiled by SageMaker Neo.",
            hint="Such a model runs as the model of a pipeline, on its own kind of device; here use the ONNX original.",
            code="V302",
        )
    if gate:
        with Gate(data, model, limits).start() as trial:
            trial.result()
    return OnnxDetector(data, model)
