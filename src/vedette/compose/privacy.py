"""Which masker an alert's pictures need: models are loaded through the gate, once; what cannot be made safe is said."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vedette.adapters.models.catalogue import recognise
from vedette.adapters.models.store import ModelStore
from vedette.contracts.errors import EvidenceError, ModelError, VedetteError
from vedette.contracts.manifest import Model, ModelFamily
from vedette.contracts.plan import Plan
from vedette.contracts.privacy import Privacy
from vedette.contracts.tracks import TrackBatch
from vedette.core.people import EVERYONE, watches

if TYPE_CHECKING:
    from vedette.adapters.engines.onnx import OnnxDetector
    from vedette.adapters.evidence.masker import PeopleMasker

logger = logging.getLogger(__name__)

#: Filling too much costs little, too little costs what this is for.
FACE_CONFIDENCE: Final = 0.3
PERSON_CONFIDENCE: Final = 0.25
#: Families a person model of unknown origin is tried as.
_FAMILIES: Final = (ModelFamily.YOLOX, ModelFamily.DETR, ModelFamily.YOLOV8)


class Maskers:
    """Makes the masker of each alert. Used by one thread.

    Args:
        store: models of the device.
        face_model: name of a face model in it; empty for none.
        person_model: name of a model in it that finds people; empty for none.
    """

    def __init__(self, store: ModelStore, face_model: str = "", person_model: str = "") -> None:
        self._store = store
        self._names = {"face": face_model, "person": person_model}
        self._loaded: dict[str, OnnxDetector | None] = {}
        self._problems: dict[str, str] = {}

    def make(self, privacy: Privacy, plan: Plan, camera: str, batches: Sequence[TrackBatch]) -> PeopleMasker | None:
        """The masker for pictures of a camera.

        Args:
            privacy: what holds for the alert, see ``vedette.core.privacy.effective``.
            plan: of the device.
            camera: the device's name of the camera.
            batches: what all pipelines of the camera saw (other cameras are left out) around the clip: from
                ``masking.CONTEXT_S`` before its first picture until as long after its last one, as far as there is.

        Returns:
            None where pictures are kept as they are.

        Raises:
            EvidenceError: V902, only metadata may be kept; V903 or V904, people cannot be covered.
        """
        if privacy is Privacy.NONE:
            return None
        if privacy is not Privacy.BLUR:
            raise EvidenceError("no picture is kept: privacy is metadata-only.", code="V902")
        from vedette.adapters.evidence.masker import PeopleMasker
        from vedette.core.masking import TrackMasking

        watching = watches(plan, camera)
        face, person = self._model("face"), self._model("person")
        if not watching and face is None and person is None and self._problems:
            raise EvidenceError(
                "people cannot be covered: no pipeline looks for people in the pictures of this camera, and "
                f"{'; '.join(self.problems)}.",
                hint="Bring the model with `vedette model add`, or let an application look for `person` here.",
                code="V904",
            )
        tracks = TrackMasking([batch for batch in batches if batch.frame.camera == camera], watching)
        masker = PeopleMasker(tracks, watched=bool(watching), face=face, person=person)
        masker.problems.extend(self.problems)
        return masker

    @property
    def problems(self) -> tuple[str, ...]:
        """Models that are named but cannot be used, and why."""
        return tuple(self._problems.values())

    def _model(self, role: str) -> OnnxDetector | None:
        """A model, tried once: what a broken one would cost is not paid for every alert."""
        name = self._names[role]
        if not name:
            return None
        if role not in self._loaded:
            try:
                self._loaded[role] = self._load(role, name)
            except Exception as error:  # noqa: BLE001 - whatever a model raises, what tracks say is covered all the same
                text = error.message if isinstance(error, VedetteError) else str(error)
                code = error.code if isinstance(error, VedetteError) else "V904"
                self._problems[role] = f"the {role} model cannot be used ({code} {text.rstrip('.')})"
                logger.error("V904 %s.", self._problems[role])
                self._loaded[role] = None
        return self._loaded[role]

    def _load(self, role: str, name: str) -> OnnxDetector:
        from vedette.adapters.engines import load_detector

        entry = self._store.find(name)
        data = self._store.read(name)
        known = recognise(entry.sha256) if entry is not None else None
        if role == "face":
            model = Model(
                family=ModelFamily.ULTRAFACE, file=name, labels=("face",), min_confidence=FACE_CONFIDENCE, nms_iou=0.3
            )
            return load_detector(model, data)
        families = (ModelFamily(known.family),) if known is not None else _FAMILIES
        return self._load_person(name, data, families)

    @staticmethod
    def _load_person(name: str, data: bytes, families: Sequence[ModelFamily]) -> OnnxDetector:
        """The first family that the file is of."""
        from vedette.adapters.engines import load_detector

        mismatch: ModelError | None = None
        for family in families:
            try:
                found = load_detector(Model(family=family, file=name, min_confidence=PERSON_CONFIDENCE), data)
            except ModelError as error:
                if error.code != "V303":
                    raise
                mismatch = mismatch or error
                continue
            if not EVERYONE & set(found.labels):
                raise ModelError(f"{name} finds no people.", code="V303")
            return found
        raise mismatch or ModelError(f"{name} is of no family that finds people.", code="V303")
