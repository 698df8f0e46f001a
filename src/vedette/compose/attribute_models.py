"""The models that look at parts of objects: loaded beside the detector, in the background, once each."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vedette.adapters.engines.gate import read_model
from vedette.adapters.models.store import ModelStore, resolve_model
from vedette.compose.gate_memory import trial_mark
from vedette.contracts.errors import ModelError, VedetteError
from vedette.contracts.manifest import ClassifierAttribute, CodesAttribute, ColourAttribute, DetectorAttribute, Model
from vedette.contracts.plan import AttributePlan, PipelinePlan

if TYPE_CHECKING:  # NumPy comes with these: the process loads it while the gate's canary runs
    from vedette.pipeline.attributes import AttributeLook
    from vedette.ports.detector import Observer

logger = logging.getLogger(__name__)

#: A model that was refused is tried again after this time.
RETRY_S: Final = 30.0


class AttributeModels:
    """Loads what the attributes of a model's pipelines need. Used by one thread; loading has a thread of its own.

    Args:
        store: names a file that is no path.
        monotonic: clock of all intervals.
        passed: marks of what the process before ran well; the rest is tried first.
    """

    def __init__(
        self, store: ModelStore, monotonic: Callable[[], float] = time.monotonic, passed: Collection[str] = ()
    ) -> None:
        self._store = store
        self._monotonic = monotonic
        self._passed = passed
        self._mark = ""  # of the model that is being loaded
        self._lock = threading.Lock()
        self._loaded: dict[str, Observer] = {}
        self._marks: dict[str, str] = {}
        self._failed: dict[str, tuple[float, ModelError]] = {}
        self._loading: threading.Thread | None = None

    def prepare(self, pipelines: Sequence[PipelinePlan]) -> bool:
        """Whether everything that can be loaded is; what is missing is being loaded from now on."""
        wanted = {_key(plan): plan for pipeline in pipelines for plan in pipeline.attributes}
        if self._loading is not None and self._loading.is_alive():
            return False
        with self._lock:
            for key in [key for key in self._loaded if key not in wanted]:
                del self._loaded[key], self._marks[key]
            now_s = self._monotonic()
            self._failed = {k: f for k, f in self._failed.items() if k in wanted and now_s - f[0] < RETRY_S}
            missing = [p for key, p in wanted.items() if key not in self._loaded and key not in self._failed]
        if not missing:
            return True
        self._loading = threading.Thread(target=self._load, args=(missing,), name="attribute-models", daemon=True)
        self._loading.start()
        return False

    def wait(self) -> None:
        """Until what is being loaded is loaded."""
        if self._loading is not None:
            self._loading.join()

    def look(self, pipeline: PipelinePlan) -> AttributeLook | None:
        """What looks at a pipeline's objects; attributes whose model could not be loaded are left out."""
        from vedette.pipeline.attributes import AttributeLook, AttributeStep

        with self._lock:
            steps = [
                AttributeStep(plan.name, plan.settings, self._loaded[_key(plan)])
                for plan in pipeline.attributes
                if _key(plan) in self._loaded
            ]
        return AttributeLook(steps) if steps else None

    @property
    def marks(self) -> tuple[str, ...]:
        """Marks of the models that are loaded."""
        with self._lock:
            return tuple(filter(None, self._marks.values()))

    @property
    def problem(self) -> ModelError | None:
        """Why an attribute is not told; None where all are."""
        with self._lock:
            return next((error for _, error in self._failed.values()), None)

    def _load(self, plans: Sequence[AttributePlan]) -> None:
        for plan in plans:
            self._mark = ""
            try:
                observer = make_observer(plan, self._store, self._to_try)
            except VedetteError as error:
                logger.error("attribute %s: %s", plan.name, error)
                text = f"attribute {plan.name}: {error.message}"
                with self._lock:
                    failure = ModelError(text, hint=error.hint, code=error.code)
                    self._failed[_key(plan)] = (self._monotonic(), failure)
            else:
                with self._lock:
                    self._loaded[_key(plan)], self._marks[_key(plan)] = observer, self._mark

    def _to_try(self, data: bytes, model: Model) -> bool:
        self._mark = trial_mark(data, model)
        return self._mark not in self._passed


def make_observer(
    plan: AttributePlan, store: ModelStore, to_try: Callable[[bytes, Model], bool] = lambda *_: True
) -> Observer:
    """What looks at the parts of objects for one attribute.

    Args:
        plan: of the attribute.
        store: names a file that is no path.
        to_try: whether a model is to be tried in a process of its own before it is loaded.

    Raises:
        ModelError: its model is missing, refused or does not fit.
    """
    match plan.settings:
        case ClassifierAttribute():
            from vedette.adapters.engines.observers import ClassifierObserver
            from vedette.adapters.engines.onnx import load_detector

            assert plan.model is not None
            data = read_model(_path(plan, store), plan.model)
            detector = load_detector(plan.model, data, gate=to_try(data, plan.model))
            return ClassifierObserver(detector, plan.settings.min_confidence)
        case DetectorAttribute():
            from vedette.adapters.engines.observers import DetectorObserver
            from vedette.adapters.engines.onnx import load_detector

            assert plan.model is not None
            least = plan.settings.min_confidence
            model = plan.model.model_copy(update={"min_confidence": least})
            data = read_model(_path(plan, store), model)
            detector = load_detector(model, data, gate=to_try(data, model))
            return DetectorObserver(detector, plan.settings.classes, least)
        case ColourAttribute():
            from vedette.core.colour import ColourJudge
            from vedette.core.safety_colours import range_of

            wanted = plan.settings
            ranges = [range_of(colour) for colour in wanted.colours]
            return ColourJudge(ranges, wanted.min_share, wanted.present, wanted.absent)
        case CodesAttribute():
            from vedette.adapters.engines.codes import CodeReader

            return CodeReader(plan.settings.formats or (), thorough=plan.settings.thorough)


def _path(plan: AttributePlan, store: ModelStore) -> Path:
    return resolve_model(plan.file, None, store)


def _key(plan: AttributePlan) -> str:
    """Attributes that need the same model with the same settings share it."""
    return plan.model_dump_json(exclude={"name"})
