"""Rendered parcels as a file in the user's cache, beside the belts of metal parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vedette.testing.belt.encode import encode
from vedette.testing.belt.footage import kept
from vedette.testing.parcels.plan import RENDERER_VERSION, Parcel, ParcelSettings, plan_parcels
from vedette.testing.parcels.scene import ParcelBelt


def parcel_footage(settings: ParcelSettings, directory: Path | None = None) -> tuple[Path, tuple[Parcel, ...]]:
    """The video and what passes in it; rendered where it is not in the cache yet.

    Args:
        settings: what to render.
        directory: where to keep it; the user's cache where None.

    Raises:
        StorageError: V707, it cannot be written.
    """
    parcels = plan_parcels(settings)
    video, _ = kept(
        f"parcels-{settings.key}",
        lambda path: render_parcels(settings, path),
        {"renderer": RENDERER_VERSION, "seed": settings.seed},
        [json.dumps(asdict(parcel)) for parcel in parcels],
        directory,
    )
    return video, parcels


def render_parcels(
    settings: ParcelSettings,
    path: Path,
    parcels: tuple[Parcel, ...] | None = None,
    labels: Mapping[int, NDArray[np.uint8]] | None = None,
) -> None:
    """Render into an MP4 file; see ``ParcelBelt``."""
    belt = ParcelBelt(settings, parcels, labels)
    encode((belt.frame(number) for number in range(settings.frames)), path)
