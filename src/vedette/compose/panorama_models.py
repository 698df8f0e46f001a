"""The models that Panorama code calls: each through the gate and loaded once, whatever it is called."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.adapters.engines.gate import Gate, GateLimits, read_model
from vedette.adapters.engines.neo_archive import is_neo_archive
from vedette.adapters.engines.tensors import TensorModel, load_tensors
from vedette.adapters.models.store import ModelStore, resolve_model
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model, TensorInput

#: A batch of pictures takes longer than one picture.
LIMITS: Final = GateLimits(seconds=60.0)
#: A run that takes longer hangs; it cannot be ended but with its process.
RUN_LIMIT_S: Final = 120.0


class PanoramaModels:
    """Implements ``vedette.ports.panorama.TensorRunner``.

    Args:
        models: model node → file and settings.
        store: where models without a path are.
        monotonic: clock of runs.
    """

    def __init__(
        self,
        models: Mapping[str, tuple[str, Model]],
        store: ModelStore,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._wanted = dict(models)
        self._store = store
        self._loaded: dict[str, TensorModel] = {}
        self._digests: dict[str, str | None] = {}
        self._lock = threading.Lock()
        self._running: dict[object, tuple[str, float]] = {}

    @property
    def nodes(self) -> Mapping[str, tuple[TensorInput, ...]]:
        """Model node → its inputs."""
        return {node: model.tensors for node, (_, model) in self._wanted.items()}

    @property
    def degraded(self) -> str:
        """Why a model does not run where the manifest requires; empty where all do."""
        return next((model.degraded for model in self._loaded.values() if model.degraded), "")

    @property
    def running(self) -> int:
        """Runs that have not ended."""
        return len(self._running)

    def hung(self, limit_s: float = RUN_LIMIT_S) -> str:
        """The model node whose run has not ended for too long; empty where there is none."""
        with self._lock:
            running = list(self._running.values())
        return next((node for node, begun_s in running if self._monotonic() - begun_s > limit_s), "")

    def load(self) -> None:
        """Read, check and load every model; what was loaded before stays.

        Raises:
            ModelError: V301 missing, V302 refused, V303 not what the manifest says, V305 another digest.
        """
        known: dict[tuple[str, str], TensorModel] = {}
        for node, (file, model) in sorted(self._wanted.items()):
            key = (file, model.model_dump_json())
            self._digests[node] = self._named(file, model)
            if node not in self._loaded:
                self._loaded[node] = known.get(key) or _load(resolve_model(file, None, self._store), model, node)
            known[key] = self._loaded[node]

    def replaced(self) -> bool:
        """Whether the store has another model under one of the names now."""
        return any(self._named(file, model) != self._digests.get(node) for node, (file, model) in self._wanted.items())

    def _named(self, file: str, model: Model) -> str | None:
        """What the store has under a name that the manifest does not pin; None where that is no question."""
        if model.sha256 is not None or Path(file).is_absolute():
            return None
        entry = self._store.find(file)
        return entry.sha256 if entry is not None else None

    def run(self, node: str, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[NDArray[np.generic], ...]:
        """Run a model; see the port.

        Raises:
            KeyError: no model node has this name.
            ValueError: an input is missing, unknown, or of another shape or type.
            ModelError: V302, the run failed.
        """
        model = self._loaded.get(node)
        if model is None:
            raise KeyError(f"no model node is called {node!r}; there is {', '.join(sorted(self._wanted)) or 'none'}")
        ticket = object()
        with self._lock:
            self._running[ticket] = (node, self._monotonic())
        try:
            return model.run(inputs)
        except MemoryError:
            raise ModelError(f"model node {node}: there is not enough memory for a run.", code="V302") from None
        finally:
            with self._lock:
                del self._running[ticket]


def _load(path: Path, model: Model, node: str) -> TensorModel:
    data = read_model(path, model, LIMITS)
    if is_neo_archive(data):
        raise ModelError(
            f"model node {node}: {path} was compiled by SageMaker Neo.",
            hint="Code calls models in ONNX; docs/panorama.md says how one is exported.",
            code="V302",
        )
    with Gate(data, model, LIMITS).start() as gate:
        gate.result()
    return load_tensors(data, model)
