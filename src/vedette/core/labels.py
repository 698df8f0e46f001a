"""Class names of the data sets that a manifest may name instead of listing them."""

from __future__ import annotations

from typing import Final

from vedette.contracts.manifest import Model, ModelFamily
from vedette.core.symbologies import SYMBOLOGIES

_COCO: Final = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella,
handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv,
laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase,
scissors, teddy bear, hair drier, toothbrush
"""

#: The 80 classes of COCO 2017 detection, in the order models number them (https://cocodataset.org).
COCO: Final[tuple[str, ...]] = tuple(name.strip() for name in _COCO.split(","))


#: What the family ``moving`` calls its objects where the manifest has no name for them.
OBJECT: Final = "object"


def symbologies_of(model: Model) -> tuple[str, ...]:
    """Kinds of codes a reading detector is to read; all where the manifest does not say."""
    return SYMBOLOGIES if model.labels == "coco" else model.labels


def labels_of(model: Model) -> tuple[str, ...]:
    """Class names of a model, in the order it numbers them."""
    if model.family is ModelFamily.CODES:
        return symbologies_of(model)
    if model.family is ModelFamily.MOVING and model.labels == "coco":
        return (OBJECT,)
    return COCO if model.labels == "coco" else model.labels
