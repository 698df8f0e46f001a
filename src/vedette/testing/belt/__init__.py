"""Rendered footage of a conveyor belt with metal parts, some of them defective, and the truth about every one.

    made = footage(BeltSettings(seed=7))
    made.video                 # an H.264 file that loops without a seam
    made.truth.parts[0].line_s # when the first part is at the inspection line

The same settings give the same pictures. NumPy and OpenCV draw, PyAV encodes (extra ``edge``).
"""

from __future__ import annotations

from vedette.testing.belt.footage import Footage, cache_directory, footage
from vedette.testing.belt.scene import Belt
from vedette.testing.belt.settings import DEFECTS, BeltSettings, Camera, Kind, Label, Light
from vedette.testing.belt.truth import BeltTruth, Part, make_truth, read_truth

__all__ = [
    "DEFECTS",
    "Belt",
    "BeltSettings",
    "BeltTruth",
    "Camera",
    "Footage",
    "Kind",
    "Label",
    "Light",
    "Part",
    "cache_directory",
    "footage",
    "make_truth",
    "read_truth",
]
