"""Descriptions and files of models for the tests of this folder."""

from __future__ import annotations

from typing import Any

from vedette.contracts.model_card import ModelCard
from vedette.testing.models import bright_rectangle

#: A tiny detector that really finds something.
ONNX = bright_rectangle()

CARD_YAML = b"""api: vedette-model/v1
name: parts
version: 1.0.0
framework: onnx
opset: 17
family: yolox
file: parts.onnx
inputs:
  images: {shape: [1, 3, 64, 64], layout: NCHW, dtype: float32}
labels: [good, bad]
targets: [x86-64, jetson-orin]
"""

DETECTOR: dict[str, Any] = {
    "api": "vedette-model/v1",
    "name": "parts",
    "version": "1.0.0",
    "framework": "pytorch",
    "framework_version": "1.8",
    "family": "yolox",
    "file": "parts.pth",
    "inputs": {"images": {"shape": [1, 3, 64, 64]}},
    "labels": ["good", "bad"],
    "targets": ["jetson-xavier"],
}


def card(**changes: Any) -> ModelCard:
    """A detector in PyTorch 1.8 for Xavier, but for what is given; None leaves a field out."""
    fields = {key: value for key, value in (DETECTOR | changes).items() if value is not None}
    return ModelCard.model_validate(fields)
