"""What runs models. Importing this package loads neither NumPy nor ONNX Runtime; calling it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vedette.adapters.engines.gate import GateLimits
from vedette.contracts.manifest import Model

if TYPE_CHECKING:
    from vedette.adapters.engines.onnx import OnnxDetector

__all__ = ["GateLimits", "load_detector"]


def load_detector(
    model: Model, file: Path | bytes, *, gate: bool = True, limits: GateLimits | None = None
) -> OnnxDetector:
    """Read, check and load a model; see ``vedette.adapters.engines.onnx.load_detector``.

    Raises:
        ModelError: V301 to V305, what is wrong and what to do next.
    """
    from vedette.adapters.engines import onnx

    return onnx.load_detector(model, file, gate=gate, limits=limits)
