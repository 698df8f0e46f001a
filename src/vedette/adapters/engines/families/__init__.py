"""Model families: how a model's tensors become objects. One file each; a family registers under its manifest name."""

from __future__ import annotations

from vedette.adapters.engines.families.base import Decoded, Family, Signature, TensorInfo
from vedette.adapters.engines.families.classifier import Classifier
from vedette.adapters.engines.families.detr import Detr
from vedette.adapters.engines.families.ultraface import Ultraface
from vedette.adapters.engines.families.yolov8 import Yolov8
from vedette.adapters.engines.families.yolox import Yolox
from vedette.contracts.errors import ModelError
from vedette.contracts.manifest import Model, ModelFamily
from vedette.core.labels import labels_of

__all__ = ["FAMILIES", "Decoded", "Family", "Signature", "TensorInfo", "make_family"]

#: Manifest name → the class that reads such a model. A new family is a file, an import and a line here.
FAMILIES: dict[ModelFamily, type[Family]] = {
    ModelFamily.YOLOX: Yolox,
    ModelFamily.YOLOV8: Yolov8,
    ModelFamily.DETR: Detr,
    ModelFamily.CLASSIFIER: Classifier,
    ModelFamily.ULTRAFACE: Ultraface,
}


def make_family(model: Model, signature: Signature) -> Family:
    """The adapter for a model whose inputs and outputs are known.

    Raises:
        ModelError: V303, the tensors are not those of the family, or the sizes or labels differ from the manifest.
    """
    if model.family is ModelFamily.TENSORS:
        raise ModelError(
            f"{model.file} is of the family tensors; its outputs are no objects.",
            hint="Such a model is for the application's own code, named in `panorama.models`.",
            code="V303",
        )
    return FAMILIES[model.family](model, labels_of(model), signature)
