"""Photographs of code labels as parcels on the rendered belt: made in a test's own folder, kept nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from vedette.testing.belt.settings import HEIGHT_PX
from vedette.testing.parcels import Parcel, ParcelSettings, Print
from vedette.testing.parcels.footage import render_parcels

#: Cardboard around a photograph, and belt between two parcels, pixels.
MARGIN_PX, GAP_PX = 10, 200
SPEED_PX = 4


def compose(photos: Sequence[tuple[Path, bool]], video: Path, *, noise: float = 2.0) -> tuple[Parcel, ...]:
    """Write a video in which each photograph passes once.

    Args:
        photos: files, and whether their code can be read; the text is in the ``.txt`` beside each.
        video: where to.
        noise: standard deviation of the sensor's noise, of 255.
    """
    parcels, labels, front = [], {}, -400
    for number, (file, readable) in enumerate(photos, 1):
        label = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        assert label is not None, file
        height, width = (side + 2 * MARGIN_PX for side in label.shape)
        left = front - width
        parcels.append(
            Parcel(
                number,
                text_of(file),
                "",
                Print.GOOD if readable else Print.SMEARED,
                left,
                (HEIGHT_PX - height) // 2,
                width,
                height,
                25.0 * SPEED_PX,
            )
        )
        labels[number] = np.asarray(label, np.uint8)
        front = left - GAP_PX
    seconds = int(parcels[-1].gone_s) + 4
    settings = ParcelSettings(seed=5, duration_s=seconds, speed_px=SPEED_PX, noise=noise)
    render_parcels(settings, video, tuple(parcels), labels)
    return tuple(parcels)


def text_of(file: Path) -> str:
    """What the code of a photograph says."""
    return file.with_suffix(".txt").read_bytes().decode().replace("\r\n", "\n").strip()
