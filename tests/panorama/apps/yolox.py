"""Letterboxing and decoding for a YOLOX model, as an application brings it along."""

import cv2
import numpy as np

SIZE = 416
CLASSES = {0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 7: "truck"}


def prepare(image, size=SIZE):
    ratio = min(size / image.shape[0], size / image.shape[1])
    small = cv2.resize(
        image, (int(image.shape[1] * ratio), int(image.shape[0] * ratio)), interpolation=cv2.INTER_LINEAR
    )
    canvas = np.full((size, size, 3), 114, np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    return np.ascontiguousarray(canvas.transpose(2, 0, 1), np.float32), ratio


def decode(output, ratio, threshold, size=SIZE):
    grids, strides = [], []
    for stride in (8, 16, 32):
        side = size // stride
        ys, xs = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
        grids.append(np.stack((xs, ys), 2).reshape(-1, 2))
        strides.append(np.full((side * side, 1), stride))
    grid, stride = np.concatenate(grids), np.concatenate(strides)
    rows = output.reshape(-1, 85)
    centers = (rows[:, :2] + grid) * stride
    sizes = np.exp(rows[:, 2:4]) * stride
    scores = rows[:, 4:5] * rows[:, 5:]
    classes = scores.argmax(1)
    best = scores[np.arange(len(scores)), classes]
    keep = best >= threshold
    boxes = np.concatenate((centers - sizes / 2, centers + sizes / 2), 1)[keep] / ratio
    classes, best = classes[keep], best[keep]
    chosen = cv2.dnn.NMSBoxes(
        np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), 1).tolist(), best.tolist(), threshold, 0.45
    )
    found = [(int(classes[i]), float(best[i]), boxes[i]) for i in np.array(chosen, int).reshape(-1)]
    return [one for one in found if one[0] in CLASSES]
