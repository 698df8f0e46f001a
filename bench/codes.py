"""How many photographs of codes are read, and how long a look takes, as they are and spoiled in known ways.

python bench/codes.py DIRECTORY      # with */*.webp and the text of each in the .txt beside it
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vedette.adapters.engines.codes import CodeReader
from vedette.core.pixels import Pixels

Grey = NDArray[np.uint8]


def smaller(image: Grey, share: float) -> Grey:
    """Reduced to a share of its size."""
    return np.asarray(cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA), np.uint8)


def blurred(image: Grey, sigma: float) -> Grey:
    """Out of focus."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def smeared(image: Grey, pixels: int) -> Grey:
    """Moved to the right during the exposure."""
    return np.asarray(cv2.blur(image, (pixels, 1)), np.uint8)


def noisy(image: Grey, sigma: float) -> Grey:
    """With noise."""
    noise = np.random.default_rng(1).normal(0, sigma, image.shape)
    return np.asarray(np.clip(image + noise, 0, 255), np.uint8)


SPOILED: tuple[tuple[str, Callable[[Grey], Grey]], ...] = (
    ("as they are", lambda image: image),
    ("half the size", lambda image: smaller(image, 0.5)),
    ("a third of the size", lambda image: smaller(image, 1 / 3)),
    ("blur of 1.5 px", lambda image: blurred(image, 1.5)),
    ("smeared over 3 px", lambda image: smeared(image, 3)),
    ("smeared over 5 px", lambda image: smeared(image, 5)),
    ("noise of 8", lambda image: noisy(image, 8.0)),
    ("a fifth of the light", lambda image: np.asarray(image * 0.2, np.uint8)),
)


def main() -> None:
    """Measure and print a table."""
    photos = []
    for file in sorted(Path(sys.argv[1]).glob("*/*.webp")):
        image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        assert image is not None, file
        text = file.with_suffix(".txt").read_bytes().decode().replace("\r\n", "\n").strip()
        photos.append((np.asarray(image, np.uint8), text))
    print(f"| {len(photos)} photographs | read | ms | `thorough` | ms |\n|---|---|---|---|---|")
    for name, spoil in SPOILED:
        cells = []
        for reader in (CodeReader(), CodeReader(thorough=True)):
            read, took = 0, []
            for image, text in photos:
                grey = spoil(image)
                half = np.zeros(((grey.shape[0] + 1) // 2, (grey.shape[1] + 1) // 2), np.uint8)
                started_s = time.perf_counter()
                found = reader.detect(Pixels(grey, half, half, full_range=True))
                took.append(time.perf_counter() - started_s)
                read += text in [each.replace("\r\n", "\n").strip() for each in found.texts or ()]
            cells.append(f"{read} | {1000 * statistics.fmean(took):.1f}")
        print(f"| {name} | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    main()
