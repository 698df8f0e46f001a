"""A made-up site: clips in which a bright rectangle comes and goes at known times, and a model that finds it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.processes import descendants
from tests.edge.running import Watched
from vedette.contracts.manifest import Manifest
from vedette.testing.models import bright_rectangle
from vedette.testing.synthetic import Image, make_clip

#: Everything but a margin: the rectangle stands in it.
ZONE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]
WIDTH, HEIGHT = 160, 120


def clip(path: Path, stays: Sequence[tuple[float, float]], seconds: float, fps: int = 10) -> Path:
    """A recording in which the rectangle stands in the middle during each of ``stays`` (from, to; seconds)."""

    def draw(number: int, width: int, height: int) -> Image:
        image = np.full((height, width, 3), (30, 34, 38), dtype=np.uint8)
        if any(begin <= number / fps < end for begin, end in stays):
            image[height // 4 : height * 3 // 4, width // 3 : width * 2 // 3] = (235, 230, 220)
        return image

    data = make_clip(frames=round(seconds * fps), fps=fps, width=WIDTH, height=HEIGHT, gop=fps, crf=18, draw=draw)
    path.write_bytes(data)
    return path


def model(root: Path) -> Path:
    """The model's file."""
    path = root / "rectangle.onnx"
    if not path.exists():
        path.write_bytes(bright_rectangle())
    return path


def application(
    name: str, file: Path, cameras: Sequence[str], rules: dict[str, Any], fps: float = 10, **more: Any
) -> Manifest:
    """An application with one pipeline over the cameras."""
    return Manifest.model_validate(
        {
            "api": "vedette/v1",
            "name": name,
            "cameras": {camera: {} for camera in cameras},
            "models": {"objects": {"family": "yolox", "file": str(file), "labels": ["thing", "other"]}},
            "pipelines": {
                "main": {"model": "objects", "cameras": list(cameras), "fps": fps, "tracker": {"lost_s": 0.5}}
            },
            "rules": rules,
            **more,
        }
    )


def processes(watched: Watched, *, without: str = "") -> dict[str, frozenset[int]]:
    """Component → the process numbers of it and of its children; ``without`` names a component to leave out."""
    states = watched.edge.core.states()
    return {
        name: frozenset(descendants([status.pid])) for name, status in states.items() if status.pid and name != without
    }
