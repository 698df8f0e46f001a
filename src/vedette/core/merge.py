"""Objects of several windows of one picture become the objects of the picture.

An object near the edge of a window is seen cut by one window and whole by its neighbour, or by the window that shows
everything. Overlap of the union is small then, so it is the share of the smaller box that decides (as in C. Akyon et
al., "Slicing Aided Hyper Inference and Fine-Tuning for Small Object Detection", ICIP 2022, which calls it IoS).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.core.detections import Detections
from vedette.core.nms import MAX_OBJECTS, iou, strongest
from vedette.core.views import Window

#: A cut box of which this share lies in another box of its class is a piece of that object.
PIECE_SHARE: Final = 0.7
#: A box that ends this close to the edge of a window, where the picture goes on, is cut, pixels.
EDGE_PX: Final = 3.0
#: Boxes compared with each other, strongest first.
MAX_CANDIDATES: Final = 600


def merge(
    found: Sequence[tuple[Window, Detections]], width: int, height: int, threshold: float, *, class_agnostic: bool
) -> Detections:
    """One set of objects from those of all windows.

    Args:
        found: each window and its objects, in pixels of the window.
        width: of the picture, pixels.
        height: of the picture, pixels.
        threshold: overlap (intersection over union) above which two boxes of one class are one object.
        class_agnostic: boxes of different classes may be one object, too.

    Returns:
        Objects in pixels of the picture, strongest first.
    """
    shifted = [_moved(detections, window) for window, detections in found]
    if len(shifted) == 1:
        return shifted[0]
    boxes = np.concatenate([each.boxes for each in shifted])
    scores = np.concatenate([each.scores for each in shifted])
    classes = np.concatenate([each.classes for each in shifted])
    texts = [text for each in shifted for text in (each.texts or ("",) * len(each))]
    windows = [window for window, _ in found]
    cut = np.concatenate([_cut(each.boxes, w, width, height) for w, each in zip(windows, shifted, strict=True)])
    truncated = any(each.truncated for each in shifted) or len(scores) > MAX_CANDIDATES
    order = strongest(scores, MAX_CANDIDATES)
    # Boxes that were seen whole come first: a piece yields to them however sure the model was of it.
    order = order[np.argsort(cut[order], kind="stable")]
    keep = order[_kept(boxes[order], None if class_agnostic else classes[order], cut[order], threshold)]
    truncated |= len(keep) > MAX_OBJECTS
    keep = keep[np.argsort(-scores[keep], kind="stable")][:MAX_OBJECTS]
    read = tuple(texts[row] for row in keep.tolist()) if any(texts) else None
    return Detections(boxes[keep], scores[keep], classes[keep], truncated, read)


def _moved(detections: Detections, window: Window) -> Detections:
    if not (window.x or window.y):
        return detections
    offset = np.array((window.x, window.y, window.x, window.y), np.float32)
    return Detections(
        detections.boxes + offset, detections.scores, detections.classes, detections.truncated, detections.texts
    )


def _cut(boxes: NDArray[np.float32], window: Window, width: int, height: int) -> NDArray[np.bool_]:
    """Which boxes end at an edge of the window beyond which the picture goes on, bool (n,)."""
    result = np.zeros(len(boxes), np.bool_)
    if window.x > EDGE_PX:
        result |= boxes[:, 0] <= window.x + EDGE_PX
    if window.y > EDGE_PX:
        result |= boxes[:, 1] <= window.y + EDGE_PX
    if window.x + window.width < width - EDGE_PX:
        result |= boxes[:, 2] >= window.x + window.width - EDGE_PX
    if window.y + window.height < height - EDGE_PX:
        result |= boxes[:, 3] >= window.y + window.height - EDGE_PX
    return result


def _kept(
    boxes: NDArray[np.float32], classes: NDArray[np.int32] | None, cut: NDArray[np.bool_], threshold: float
) -> NDArray[np.bool_]:
    """Which boxes stay, bool (n,); the boxes are in the order of their precedence."""
    same = iou(boxes, boxes) > threshold
    # Box j is a piece of box i where j is cut and lies mostly within i.
    same |= (_within(boxes) > PIECE_SHARE) & cut[None, :]
    if classes is not None:
        same &= classes[:, None] == classes[None, :]
    alive = np.ones(len(boxes), np.bool_)
    np.fill_diagonal(same, False)
    for i in np.flatnonzero(same.any(axis=1)):
        if alive[i]:
            alive[i + 1 :] &= ~same[i, i + 1 :]
    return alive


def _within(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of box j that lies in box i, float32 (n, n) as [i, j]."""
    width = np.minimum(boxes[:, None, 2], boxes[None, :, 2]) - np.maximum(boxes[:, None, 0], boxes[None, :, 0])
    height = np.minimum(boxes[:, None, 3], boxes[None, :, 3]) - np.maximum(boxes[:, None, 1], boxes[None, :, 1])
    overlap = np.maximum(width, 0) * np.maximum(height, 0)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    share: NDArray[np.float32] = overlap / np.maximum(area, np.finfo(np.float32).tiny)[None, :]
    return share
