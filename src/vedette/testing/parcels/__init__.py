"""Rendered footage of parcels with code labels on a conveyor belt, and the truth about every one.

Some labels cannot be read: smeared, torn, or missing. The same settings give the same pictures. NumPy and OpenCV draw,
ZXing-C++ writes the codes, PyAV encodes (extra ``edge``).
"""

from __future__ import annotations

from vedette.testing.parcels.footage import parcel_footage
from vedette.testing.parcels.plan import Parcel, ParcelSettings, Print, plan_parcels
from vedette.testing.parcels.scene import ParcelBelt

__all__ = ["Parcel", "ParcelBelt", "ParcelSettings", "Print", "parcel_footage", "plan_parcels"]
