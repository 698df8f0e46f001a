"""Models that SageMaker Neo compiled, behind the port ``Detector``: the DLR runtime in a process of its own."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.adapters.engines.dlr_link import OPEN_LIMIT_S, RUN_LIMIT_S, DlrProcess, Tensor, WorkerLostError
from vedette.adapters.engines.families import Signature, TensorInfo
from vedette.adapters.engines.neo_archive import NeoArchive, unpack_neo
from vedette.adapters.engines.onnx import SessionDetector
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model, Provider
from vedette.core.fleet.targets import TARGETS

#: Waits before a worker that was lost is started again; the last one repeats.
RESTART_WAITS_S: Final = (0.0, 1.0, 2.0, 5.0, 15.0, 30.0)
#: What ONNX Runtime calls the types that families look at.
_ONNX_NAMES: Final = {"float32": "tensor(float)", "float64": "tensor(double)", "int64": "tensor(int64)"}


class DlrSession:
    """Runs a model in a worker, and starts another one where it is lost. Safe to call from several threads.

    Args:
        archive: what Neo made.
        model: what the manifest says of it.
        interpreter: Python that has the DLR runtime.
        run_limit_s: longest time of one run.
        open_limit_s: longest time to load.
        monotonic: clock of the waits.

    Raises:
        ModelError: V302, it cannot be loaded; V303, its inputs are not known.
    """

    def __init__(
        self,
        archive: NeoArchive,
        model: Model,
        interpreter: str,
        *,
        run_limit_s: float = RUN_LIMIT_S,
        open_limit_s: float = OPEN_LIMIT_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inputs = _inputs(archive, model)
        device = _device(archive, model)
        self._start = partial(
            DlrProcess,
            *(interpreter, archive.directory, device, self._inputs, model.file),
            run_limit_s=run_limit_s,
            open_limit_s=open_limit_s,
        )
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._lost, self._not_before_s = 0, 0.0
        self._process: DlrProcess | None = self._start()
        self._name = model.file
        self._outputs = self._process.outputs

    @property
    def signature(self) -> Signature:
        """Inputs and outputs, in the words that families know."""
        return Signature(*(tuple(_info(tensor) for tensor in group) for group in (self._inputs, self._outputs)))

    @property
    def worker_pid(self) -> int | None:
        """Of the worker's process; None while there is none."""
        return self._process.pid if self._process is not None else None

    def run(self, _: None, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """All outputs of one run, as an ONNX session gives them.

        Raises:
            ModelError: V302, the run failed; a lost worker is started again at one of the next runs.
        """
        with self._lock:
            process = self._running()
            try:
                found = process.run(feeds)
            except WorkerLostError:
                self._lose()
                raise
            self._lost = 0
            return found

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            if self._process is not None:
                self._process.close()
                self._process = None
            self._not_before_s = float("inf")

    def _running(self) -> DlrProcess:
        if self._process is not None:
            return self._process
        if (left_s := self._not_before_s - self._monotonic()) > 0:
            raise ModelError(
                f"{self._name}: its DLR worker was lost {self._lost} times; the next one starts in {left_s:.0f} s.",
                code="V302",
            )
        try:
            process = self._start()
        except ModelError:
            self._lose()
            raise
        if process.outputs != self._outputs:
            process.close()
            self._lose()
            raise ModelError(f"{self._name}: its outputs are others than before.", code="V303")
        self._process = process
        return process

    def _lose(self) -> None:
        self._process = None
        wait_s = RESTART_WAITS_S[min(self._lost, len(RESTART_WAITS_S) - 1)]
        self._lost += 1
        self._not_before_s = self._monotonic() + wait_s


class DlrDetector(SessionDetector):
    """A compiled model; implements ``vedette.ports.detector.Detector``.

    Args:
        data: the whole archive.
        model: what the manifest says of it.
        interpreter: Python that has the DLR runtime.
        run_limit_s: longest time of one run.

    Raises:
        ModelError: V302, cannot be unpacked or loaded; V303, not what the manifest says.
    """

    def __init__(self, data: bytes, model: Model, interpreter: str, *, run_limit_s: float = RUN_LIMIT_S) -> None:
        # The worker loads what lies here; it goes with this object.
        self._directory = tempfile.TemporaryDirectory(prefix="vedette-dlr-")
        try:
            archive = unpack_neo(data, model.file, Path(self._directory.name))
            self.dlr = DlrSession(archive, model, interpreter, run_limit_s=run_limit_s)
        except ModelError:
            self._directory.cleanup()
            raise
        try:
            super().__init__(self.dlr, self.dlr.signature, model, "")
        except ModelError:
            self.close()
            raise

    def trial(self) -> float:
        """Seconds of one run on a black picture, the second one.

        Raises:
            ModelError: V302, it fails; its worker is ended: no two fit beside each other on such devices.
        """
        feeds = {
            t.name: np.zeros([side or 1 for side in t.shape], _numpy_type(t.dtype)) for t in self.dlr.signature.inputs
        }
        seconds = 0.0
        try:
            for _ in range(2):
                started_s = time.perf_counter()
                self.dlr.run(None, feeds)
                seconds = time.perf_counter() - started_s
        except ModelError:
            self.close()
            raise
        return seconds

    def close(self) -> None:
        """End the worker and take its files away."""
        self.dlr.close()
        self._directory.cleanup()


def _inputs(archive: NeoArchive, model: Model) -> tuple[Tensor, ...]:
    """By the description that the account packed, else by the manifest's ``input_size``."""
    if archive.card is not None:
        return tuple(Tensor(name, t.shape, t.dtype.value) for name, t in archive.card.inputs.items())
    if model.input_size is None:
        raise ModelError(
            f"{model.file} does not say what its input is.",
            hint="Give `input_size` in the manifest, or let vedette model compile make it.",
            code="V303",
        )
    width, height = model.input_size
    return (Tensor("data", (1, 3, height, width), "float32"),)


def _device(archive: NeoArchive, model: Model) -> str:
    """The graphics processor where it was compiled for one, or the manifest asks for one."""
    compiled_for_gpu = archive.card is not None and any(TARGETS[target].sm for target in archive.card.targets)
    return "gpu" if compiled_for_gpu or model.require is not Provider.CPU else "cpu"


def _info(tensor: Tensor) -> TensorInfo:
    return TensorInfo(tensor.name, _ONNX_NAMES.get(tensor.dtype, f"tensor({tensor.dtype})"), tensor.shape)


def _numpy_type(onnx_name: str) -> str:
    return next((name for name, known in _ONNX_NAMES.items() if known == onnx_name), onnx_name[7:-1])
