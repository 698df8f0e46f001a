"""Trains the detector of this example on rendered pictures, and writes it as ONNX.

Everything is drawn from fixed seeds, so the same machine and libraries give the same file. About ten minutes on two
cores. PyTorch is needed for this alone and is no dependency of Vedette; use an environment of its own:

    python -m venv /tmp/train && /tmp/train/bin/pip install -e ".[edge]" torch==2.13.0 onnx
    nice -n 10 /tmp/train/bin/python examples/quality_control/train.py

Or let ``vedette model train examples/quality_control`` run it, here (``--local``) or as a training job of your account:
it then writes the model, and the ``model.yaml`` that describes it, where ``SM_MODEL_DIR`` says.

``--quick`` (there: ``-p quick=1``) trains for a minute on few parts, to see that everything works; its model is of no
use.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ModuleNotFoundError:
    sys.exit(
        "train.py needs PyTorch, which Vedette itself does not. Type: pip install torch==2.13.0 onnx\n"
        "(the CPU build is enough). To measure the model that is there: python examples/quality_control/evaluate.py"
    )

from vedette.contracts.manifest import ModelFamily
from vedette.testing.belt.samples import SIDE_PX, Sample, cut_outs, varied
from vedette.testing.belt.settings import HEIGHT_PX, WIDTH_PX, Label
from vedette.testing.models import Graph

HERE = Path(__file__).resolve().parent
STRIDE = 16
LABELS = len(Label)
#: Loops of these seeds are trained on, and no others; evaluation and tests use seeds below 1000.
FIRST_SEED, LOOPS, VIEWS = 1000, 120, 5
EPOCHS, BATCH, RATE = 5, 64, 4e-3
#: Cells nearer to a part's middle than this are its own; those up to the second distance are nobody's. Pixels.
OWN_PX, NOBODYS_PX = 12.0, 36.0
#: A part must be visible to this share to be found; less than the second share is no part. In between, either may be.
WHOLE, PARTLY = 0.995, 0.80
BOX_UNIT_PX = 64.0
#: Of the cells that are no farther apart than this, the surest is a part: the middles of two parts are nine cells apart
#: at least, and the gap between two looks a little like a part itself.
APART_CELLS = 6
QUERIES = 16
#: Brightness of RGB, ITU-R BT.601.
GREY = (0.299, 0.587, 0.114)

#: Channels before and after each convolution, and its stride.
CHANNELS = (
    *((1, 12, 2), (12, 24, 2), (24, 24, 1)),
    *((24, 48, 2), (48, 48, 1), (48, 48, 1)),
    *((48, 72, 2), (72, 72, 1), (72, 72, 1), (72, 72, 1)),
)
#: After so many convolutions, at this stride, a second head is told in training where damage is. It is not exported.
HINTED, HINT_STRIDE = 6, 8


class Net(nn.Module):
    """Ten convolutions of 3x3 and a head of 1x1: per cell of 16 pixels one objectness, five classes, four distances.

    Takes brightness 0..1, (n, 1, height, width); gives (n, 10, height / 16, width / 16), and where it thinks damage is,
    (n, 1, height / 8, width / 8), both raw.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
            for before, after, stride in CHANNELS
        )
        self.head = nn.Conv2d(CHANNELS[-1][1], 1 + LABELS + 4, 1)
        self.hint = nn.Conv2d(CHANNELS[HINTED - 1][1], 1, 1)
        nn.init.constant_(self.head.bias, 0.0)
        nn.init.constant_(self.hint.bias, -3.0)
        with torch.no_grad():
            self.head.bias[0] = -4.0  # objects are rare
            self.head.bias[-4:] = 0.8

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hint = images
        for number, layer in enumerate(self.layers, 1):
            images = layer(images)
            if number == HINTED:
                hint = self.hint(images)
        return self.head(images), hint


def render(seed: int, views: int) -> list[Sample]:
    """All cut-outs of one training loop."""
    import cv2

    cv2.setNumThreads(1)
    return list(cut_outs(varied(seed), views))


def targets(sample: Sample) -> np.ndarray:
    """What each cell should answer, float32 (7, cells, cells): objectness (-1: does not matter), label, weight of
    label and box, then left, top, right, bottom distances in units."""
    cells = SIDE_PX // STRIDE
    at = np.arange(cells, dtype=np.float32) * STRIDE + 0.5
    wanted = np.zeros((7, cells, cells), np.float32)
    left, top = sample.origin
    # At a side that is not the picture's own, what is beyond is hidden from the net here and would not be later.
    for side, inner in ((0, left > 0), (1, top > 0), (2, left + SIDE_PX < WIDTH_PX), (3, top + SIDE_PX < HEIGHT_PX)):
        if inner:
            edge = (slice(None), slice(0, 2)) if side == 0 else (slice(0, 2),) if side == 1 else None
            edge = edge or ((slice(None), slice(-2, None)) if side == 2 else (slice(-2, None),))
            wanted[0][edge] = -1
    for box, label in zip(sample.boxes, sample.labels, strict=True):
        share = _visible(box[0] + left, box[2] + left, 0, WIDTH_PX)
        in_window = min(_visible(box[0], box[2], 0, SIDE_PX), _visible(box[1], box[3], 0, SIDE_PX))
        away = np.hypot(at[None, :] - (box[0] + box[2]) / 2, at[:, None] - (box[1] + box[3]) / 2)
        if in_window < WHOLE and share >= PARTLY:  # cut by the window only: nothing is said about it
            wanted[0][away < 90] = -1
        elif share >= WHOLE:
            wanted[0][away < NOBODYS_PX] = -1
            own = away < OWN_PX
            wanted[0][own], wanted[1][own], wanted[2][own] = 1, label, 1
            for row, (edge_px, axis, sign) in enumerate(
                ((box[0], 1, 1), (box[1], 0, 1), (box[2], 1, -1), (box[3], 0, -1))
            ):
                place = at[None, :] if axis == 1 else at[:, None]
                wanted[3 + row][own] = np.broadcast_to(sign * (place - edge_px), away.shape)[own] / BOX_UNIT_PX
        elif share >= PARTLY:
            wanted[0][away < 60] = -1
    return wanted


def _visible(low: float, high: float, begin: float, end: float) -> float:
    return max(0.0, min(high, end) - max(low, begin)) / (high - low)


def hints(sample: Sample) -> np.ndarray:
    """Which cells of the second head hold damage, float32 (cells, cells)."""
    half, cells = HINT_STRIDE // 2, SIDE_PX // HINT_STRIDE
    moved = np.zeros((SIDE_PX, SIDE_PX), bool)  # a cell's middle is at a multiple of the stride
    moved[half:, half:] = sample.damage[:-half, :-half]
    blocks = moved.reshape(cells, HINT_STRIDE, cells, HINT_STRIDE)
    return np.asarray(blocks.any(axis=(1, 3)), np.float32)


def loss_of(answer: torch.Tensor, hint: torch.Tensor, wanted: torch.Tensor, damaged: torch.Tensor) -> torch.Tensor:
    """Focal loss for objectness, cross entropy for labels, smooth L1 for distances; what the second head says of
    damage counts as much as a label."""
    objectness, label, weight, box = wanted[:, 0], wanted[:, 1].long(), wanted[:, 2], wanted[:, 3:]
    matters = (objectness >= 0).float()
    goal = objectness.clamp(min=0)
    logit = answer[:, 0]
    chance = torch.sigmoid(logit)
    off = (goal - chance).abs() ** 2
    cell = functional.binary_cross_entropy_with_logits(logit, goal, reduction="none")
    count = weight.sum().clamp(min=1)
    found = (off * cell * matters * (1 + 3 * goal)).sum() / count
    named = (functional.cross_entropy(answer[:, 1 : 1 + LABELS], label, reduction="none") * weight).sum() / count
    placed = functional.smooth_l1_loss(answer[:, 1 + LABELS :], box, reduction="none", beta=0.1).sum(dim=1)
    where = functional.binary_cross_entropy_with_logits(hint[:, 0], damaged, pos_weight=torch.tensor(4.0))
    return found + named + 2 * (placed * weight).sum() / count + 20 * where


def train(images: np.ndarray, wanted: np.ndarray, damaged: np.ndarray, epochs: int) -> Net:
    """Fit a new net; the seed is fixed."""
    torch.manual_seed(0)
    net = Net()
    net.to(memory_format=torch.channels_last)
    rest = [p for p in net.parameters() if p.ndim > 1], [p for p in net.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW([{"params": rest[0], "weight_decay": 0.02}, {"params": rest[1], "weight_decay": 0.0}])
    random = np.random.default_rng(0)
    steps = len(images) // BATCH
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, epochs=epochs, steps_per_epoch=steps, pct_start=0.15)
    for epoch in range(epochs):
        order = random.permutation(len(images))
        started_s, total = time.monotonic(), 0.0
        for step in range(steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            batch = images[chosen].astype(np.float32)[:, None] / np.float32(255)
            # A camera's own exposure and contrast: brightness by a factor, and a bend of the curve.
            factor, bend = random.uniform(0.8, 1.2, (2, BATCH, 1, 1, 1)).astype(np.float32)
            batch = np.clip(batch * factor, 0, 1) ** bend
            pictures = torch.from_numpy(batch).contiguous(memory_format=torch.channels_last)
            answer, hint = net(pictures)
            loss = loss_of(answer, hint, torch.from_numpy(wanted[chosen]), torch.from_numpy(damaged[chosen]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            plan.step()
            total += float(loss.detach())
        print(
            f"epoch {epoch + 1} of {epochs}: loss {total / steps:.4f}, {time.monotonic() - started_s:.0f} s", flush=True
        )
    net.eval()
    return net


def export(net: Net) -> bytes:
    """The net with its decoding as a DETR-like ONNX model: picture in, the ``QUERIES`` best objects out."""
    graph = Graph(ModelFamily.DETR, (WIDTH_PX, HEIGHT_PX))
    flow = "images"
    for number, layer in enumerate(net.layers):
        conv, norm = layer[0], layer[1]
        gain = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
        weight = (conv.weight.detach() * gain[:, None, None, None]).numpy()
        bias = (norm.bias.detach() - norm.running_mean * gain).numpy()
        if number == 0:  # brightness is a sum of the colours, so it goes into the first convolution
            weight = weight * np.array(GREY, np.float32)[None, :, None, None]
        stride = conv.stride[0]
        flow = graph.add(
            "Conv", flow, graph.constant(weight), graph.constant(bias), strides=[stride, stride], pads=[1, 1, 1, 1]
        )
        flow = graph.add("Relu", flow)
    head = net.head
    flow = graph.add(
        "Conv", flow, graph.constant(head.weight.detach().numpy()), graph.constant(head.bias.detach().numpy())
    )
    rows, columns = -(-HEIGHT_PX // STRIDE), WIDTH_PX // STRIDE
    count = rows * columns

    def part(begin: int, end: int) -> str:
        return graph.add("Slice", flow, graph.constant([begin]), graph.constant([end]), graph.constant([1]))

    chance = graph.add("Sigmoid", part(0, 1))
    highest = graph.add("MaxPool", chance, kernel_shape=[2 * APART_CELLS + 1] * 2, pads=[APART_CELLS] * 4)
    peak = graph.add("Mul", chance, graph.add("Cast", graph.add("Equal", chance, highest), to=1))
    named = part(1, 1 + LABELS)
    sure = graph.add("ReduceMax", graph.add("Softmax", named, axis=1), axes=[1], keepdims=1)
    label = graph.add("Reshape", graph.add("ArgMax", named, axis=1, keepdims=1), graph.constant([1, count]))
    score = graph.add("Reshape", graph.add("Mul", peak, sure), graph.constant([1, count]))
    y, x = np.mgrid[:rows, :columns].astype(np.float32) * STRIDE + np.float32(0.5)
    grid = np.stack((x, y, x, y))[None]
    reach = graph.add(
        "Mul",
        part(1 + LABELS, 5 + LABELS),
        graph.constant(np.array([-1, -1, 1, 1], np.float32).reshape(1, 4, 1, 1) * BOX_UNIT_PX),
    )
    corners = graph.add("Reshape", graph.add("Add", reach, graph.constant(grid)), graph.constant([1, 4, count]))
    return _finish(graph, label, graph.add("Transpose", corners, perm=[0, 2, 1]), score)


def _finish(graph: Graph, label: str, corners: str, score: str) -> bytes:
    """The best cells, boxes in pixels of ``orig_target_sizes``."""
    import onnx

    graph.nodes.append(onnx.helper.make_node("TopK", [score, graph.constant([QUERIES])], ["scores", "best"], axis=1))
    graph.nodes.append(onnx.helper.make_node("GatherElements", [label, "best"], ["labels"], axis=1))
    chosen = graph.add("Gather", corners, graph.add("Reshape", "best", graph.constant([QUERIES])), axis=1)
    size = graph.add("Cast", "orig_target_sizes", to=1)
    scale = graph.add(
        "Div", graph.add("Concat", size, size, axis=1), graph.constant(np.array([WIDTH_PX, HEIGHT_PX] * 2, np.float32))
    )
    scale = graph.add("Unsqueeze", scale, graph.constant([1]))
    graph.nodes.append(onnx.helper.make_node("Mul", [chosen, scale], ["boxes"]))
    kinds = onnx.TensorProto
    return graph.finish(
        (
            ("labels", kinds.INT64, [1, QUERIES]),
            ("boxes", kinds.FLOAT, [1, QUERIES, 4]),
            ("scores", kinds.FLOAT, [1, QUERIES]),
        )
    )


def main() -> None:
    """Render, train, export."""
    output = Path(os.environ.get("SM_MODEL_DIR", HERE))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=output / "parts.onnx", help="file to write")
    parser.add_argument("--quick", type=int, nargs="?", const=1, default=0, help="few parts, one epoch")
    arguments = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    loops, epochs = (4, 1) if arguments.quick else (LOOPS, EPOCHS)
    started_s = time.monotonic()
    samples: list[Sample] = []
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for number, found in enumerate(pool.map(render, range(FIRST_SEED, FIRST_SEED + loops), [VIEWS] * loops), 1):
            samples += found
            print(f"\r{number} of {loops} loops rendered", end="", flush=True)
    images = np.stack([sample.image for sample in samples])
    wanted = np.stack([targets(sample) for sample in samples])
    damaged = np.stack([hints(sample) for sample in samples])
    print(f": {len(images)} cut-outs, {time.monotonic() - started_s:.0f} s", flush=True)
    net = train(images, wanted, damaged, epochs)
    arguments.out.write_bytes(export(net))
    if output != HERE:
        shutil.copyfile(HERE / "model.yaml", output / "model.yaml")
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB, {time.monotonic() - started_s:.0f} s in all")


if __name__ == "__main__":
    main()
