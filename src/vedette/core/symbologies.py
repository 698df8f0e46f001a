"""Kinds of machine-readable codes, as manifests name them (ISO/IEC and AIM names in lower case)."""

from __future__ import annotations

from typing import Final

#: Every kind that is read, in the order class numbers are given.
SYMBOLOGIES: Final[tuple[str, ...]] = (
    "ean13",
    "ean8",
    "upca",
    "upce",
    "code128",
    "code39",
    "code93",
    "codabar",
    "itf",
    "databar",
    "pdf417",
    "qr_code",
    "micro_qr_code",
    "data_matrix",
    "aztec",
    "maxicode",
)
