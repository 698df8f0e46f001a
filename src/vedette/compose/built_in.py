"""Detectors that come with the program."""

from __future__ import annotations

from vedette.adapters.engines.codes import CodeReader
from vedette.adapters.engines.moving import MovingDetector
from vedette.contracts.manifest import Model, ModelFamily, Moving
from vedette.core.labels import labels_of, symbologies_of
from vedette.ports.detector import Detector, SequenceDetector


def built_in_detector(model: Model) -> Detector | SequenceDetector:
    """What finds the objects of a model without a file."""
    if model.family is ModelFamily.MOVING:
        return MovingDetector(model.moving or Moving(), labels_of(model)[0])
    return CodeReader(symbologies_of(model))
