"""Tiny ONNX models whose right answer is known, made by hand. Needs the package ``onnx`` (extra ``dev``).

``bright_rectangle`` really looks at the picture: it answers with one object, the smallest box around everything that
is brighter than the middle grey, with the confidence 0.9. The others misbehave in one way each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vedette.contracts.manifest import ModelFamily

#: Confidence of what ``bright_rectangle`` finds.
CONFIDENCE: Final = 0.9
#: Families that ``bright_rectangle`` can be of.
DETECTORS: Final = (ModelFamily.YOLOX, ModelFamily.YOLOV8, ModelFamily.DETR)
_OPSET: Final = 17
_IR: Final = 8
_STRIDES: Final = (8, 16, 32)


class Graph:
    """Collects the nodes and constants of a model.

    Attributes:
        nodes: operators in the order they run.
        constants: initialisers.
        size: (width, height) of the input ``images``.
        family: whose outputs the model has.
    """

    def __init__(self, family: ModelFamily, size: tuple[int, int]) -> None:
        self.family = family
        self.size = size
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._count = 0

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append an operator with one output; the name of the output."""
        import onnx

        self._count += 1
        name = f"{operator.lower()}_{self._count}"
        self.nodes.append(onnx.helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: NDArray[Any] | float | Sequence[int]) -> str:
        """A constant (float32, or int64 where given integers); its name."""
        import onnx

        array = np.asarray(value)
        array = array.astype(
            np.int64 if array.dtype.kind in "iu" else array.dtype if array.dtype == bool else np.float32
        )
        self._count += 1
        name = f"constant_{self._count}"
        self.constants.append(onnx.numpy_helper.from_array(array, name))
        return name

    def finish(self, outputs: Sequence[tuple[str, int, Sequence[int | None]]]) -> bytes:
        """The file, with outputs as (name, element type, shape)."""
        import onnx

        info = onnx.helper.make_tensor_value_info
        width, height = self.size
        inputs = [info("images", onnx.TensorProto.FLOAT, [1, 3, height, width])]
        if self.family is ModelFamily.DETR:
            inputs.append(info("orig_target_sizes", onnx.TensorProto.INT64, [1, 2]))
        graph = onnx.helper.make_graph(
            self.nodes, "tiny", inputs, [info(*entry) for entry in outputs], initializer=self.constants
        )
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="vedette"
        )
        content: bytes = model.SerializeToString()
        return content


def bright_rectangle(
    family: ModelFamily = ModelFamily.YOLOX,
    *,
    size: tuple[int, int] = (64, 64),
    labels: int = 2,
    fault: Callable[[Graph, str], str] | None = None,
) -> bytes:
    """A model that finds the one bright rectangle of a picture, as class 0.

    Args:
        family: whose tensors it speaks.
        size: (width, height) of its input, multiples of 32.
        labels: classes it claims to know.
        fault: adds nodes that spoil the confidence; gets the graph and the name of the confidence, gives the new name.
    """
    graph = Graph(family, size)
    full = 255.0 if family is ModelFamily.YOLOX else 1.0
    grey = graph.add("ReduceMean", "images", axes=[1], keepdims=0)
    mask = graph.add("Cast", graph.add("Greater", grey, graph.constant(full / 2)), to=1)
    columns, rows = (
        graph.add("ReduceMax", mask, axes=[1], keepdims=0),
        graph.add("ReduceMax", mask, axes=[2], keepdims=0),
    )
    edges = [
        graph.add("Cast", graph.add("ArgMax", line, axis=1, keepdims=1, select_last_index=last), to=1)
        for last in (0, 1)
        for line in (columns, rows)
    ]
    one = graph.constant(1.0)
    x1, y1, x2, y2 = edges[0], edges[1], graph.add("Add", edges[2], one), graph.add("Add", edges[3], one)
    found = graph.add("Mul", graph.add("ReduceMax", columns, axes=[1], keepdims=1), graph.constant(CONFIDENCE))
    score = fault(graph, found) if fault is not None else found
    if family is ModelFamily.DETR:
        return _detr(graph, (x1, y1, x2, y2), score)
    if family is ModelFamily.YOLOV8:
        return _yolov8(graph, (x1, y1, x2, y2), score, labels)
    return _yolox(graph, (x1, y1, x2, y2), score, labels)


def _detr(graph: Graph, box: tuple[str, str, str, str], score: str) -> bytes:
    """One query; boxes in pixels of ``orig_target_sizes``."""
    width, height = graph.size
    inside = graph.add(
        "Div", graph.add("Concat", *box, axis=1), graph.constant(np.array([width, height] * 2, np.float32))
    )
    original = graph.add("Cast", "orig_target_sizes", to=1)
    scaled = graph.add("Mul", inside, graph.add("Concat", original, original, axis=1))
    axis = graph.constant([1])
    import onnx

    graph.nodes += [
        onnx.helper.make_node("Unsqueeze", [scaled, axis], ["boxes"]),
        onnx.helper.make_node("Identity", [score], ["scores"]),
        onnx.helper.make_node("Identity", [graph.constant(np.zeros((1, 1), np.int64))], ["labels"]),
    ]
    kinds = onnx.TensorProto
    return graph.finish(
        (("labels", kinds.INT64, [1, 1]), ("boxes", kinds.FLOAT, [1, 1, 4]), ("scores", kinds.FLOAT, [1, 1]))
    )


def _yolox(graph: Graph, box: tuple[str, str, str, str], score: str, labels: int) -> bytes:
    """The first cell (stride 8, column 0, row 0) holds the object, all others are empty."""
    import onnx

    x1, y1, x2, y2 = box
    small, half, stride = graph.constant(1e-3), graph.constant(0.5), graph.constant(float(_STRIDES[0]))
    columns = []
    for low, high in ((x1, x2), (y1, y2)):
        columns.append(graph.add("Div", graph.add("Mul", graph.add("Add", low, high), half), stride))
    for low, high in ((x1, x2), (y1, y2)):
        side = graph.add("Max", graph.add("Sub", high, low), small)
        columns.append(graph.add("Log", graph.add("Div", side, stride)))
    classes = graph.constant(np.eye(1, labels, dtype=np.float32))
    cell = graph.add("Concat", *columns, score, classes, axis=1)
    cells = sum((graph.size[0] // s) * (graph.size[1] // s) for s in _STRIDES)
    rest = graph.constant(np.zeros((1, cells - 1, 5 + labels), np.float32))
    first = graph.add("Unsqueeze", cell, graph.constant([1]))
    graph.nodes.append(onnx.helper.make_node("Concat", [first, rest], ["output"], axis=1))
    return graph.finish((("output", onnx.TensorProto.FLOAT, [1, cells, 5 + labels]),))


def _yolov8(graph: Graph, box: tuple[str, str, str, str], score: str, labels: int) -> bytes:
    """The first cell holds the object; all others hold boxes of their own size that nobody is sure of."""
    import onnx

    x1, y1, x2, y2 = box
    half, small = graph.constant(0.5), graph.constant(1e-3)
    middles = [graph.add("Mul", graph.add("Add", low, high), half) for low, high in ((x1, x2), (y1, y2))]
    sides = [graph.add("Max", graph.add("Sub", high, low), small) for low, high in ((x1, x2), (y1, y2))]
    others = graph.constant(np.zeros((1, labels - 1), np.float32))
    confidences = [score, others] if labels > 1 else [score]
    first = graph.add("Unsqueeze", graph.add("Concat", *middles, *sides, *confidences, axis=1), graph.constant([2]))
    cells = []
    for stride in _STRIDES:
        y, x = np.mgrid[: graph.size[1] // stride, : graph.size[0] // stride]
        cells += [((a + 0.5) * stride, (b + 0.5) * stride, stride, stride) for b, a in zip(y.flat, x.flat, strict=True)]
    rest = np.zeros((1, 4 + labels, len(cells) - 1), np.float32)
    rest[0, :4] = np.array(cells[1:], np.float32).T
    graph.nodes.append(onnx.helper.make_node("Concat", [first, graph.constant(rest)], ["output0"], axis=2))
    return graph.finish((("output0", onnx.TensorProto.FLOAT, [1, 4 + labels, len(cells)]),))


def brightness_classifier(size: tuple[int, int] = (32, 32), *, softmax: bool = False) -> bytes:
    """A classifier with two classes, bright and dark, by the mean of an input 0..1; logits unless ``softmax``."""
    import onnx

    graph = Graph(ModelFamily.CLASSIFIER, size)
    mean = graph.add("ReduceMean", "images", axes=[1, 2, 3], keepdims=0)
    logit = graph.add("Mul", graph.add("Sub", mean, graph.constant(0.5)), graph.constant(20.0))
    column = graph.add("Unsqueeze", logit, graph.constant([1]))
    result = graph.add("Concat", column, graph.add("Neg", column), axis=1)
    if softmax:
        result = graph.add("Softmax", result, axis=1)
    return graph.finish([(result, onnx.TensorProto.FLOAT, [1, 2])])


def constant_yolox(output: NDArray[np.float32], size: tuple[int, int] = (64, 64)) -> bytes:
    """A model that answers every picture with the same tensor, float32: (1, cells, 5 + labels), or as a test likes."""
    import onnx

    graph = Graph(ModelFamily.YOLOX, size)
    graph.nodes.append(onnx.helper.make_node("Identity", [graph.constant(output)], ["output"]))
    return graph.finish((("output", onnx.TensorProto.FLOAT, list(output.shape)),))


def constant_detr(
    labels: NDArray[np.int64], boxes: NDArray[np.float32], scores: NDArray[np.float32], size: tuple[int, int] = (64, 64)
) -> bytes:
    """A model that answers every picture with the same tensors."""
    import onnx

    graph = Graph(ModelFamily.DETR, size)
    kinds = {"labels": onnx.TensorProto.INT64, "boxes": onnx.TensorProto.FLOAT, "scores": onnx.TensorProto.FLOAT}
    outputs = []
    for name, array in (("labels", labels), ("boxes", boxes), ("scores", scores)):
        graph.nodes.append(onnx.helper.make_node("Identity", [graph.constant(array)], [name]))
        outputs.append((name, kinds[name], list(array.shape)))
    return graph.finish(outputs)


def constant_ultraface(
    scores: NDArray[np.float32],
    boxes: NDArray[np.float32],
    size: tuple[int, int] = (64, 64),
    *,
    fault: Callable[[Graph, str], str] | None = None,
) -> bytes:
    """A face model that answers every picture with the same tensors, float32: (1, n, 2) and (1, n, 4).

    Args:
        scores: background and face of each place.
        boxes: shares of the picture.
        size: (width, height) of its input.
        fault: see ``bright_rectangle``.
    """
    import onnx

    graph = Graph(ModelFamily.ULTRAFACE, size)
    score = graph.constant(scores)
    if fault is not None:
        score = fault(graph, score)
    graph.nodes.append(onnx.helper.make_node("Identity", [score], ["scores"]))
    graph.nodes.append(onnx.helper.make_node("Identity", [graph.constant(boxes)], ["boxes"]))
    kind = onnx.TensorProto.FLOAT
    return graph.finish((("scores", kind, list(scores.shape)), ("boxes", kind, list(boxes.shape))))


def nan_when_bright(graph: Graph, score: str) -> str:
    """Fault: not a number, but only for a picture that is very bright (so that a trial with noise passes)."""
    return graph.add("Where", _bright(graph), graph.constant(float("nan")), score)


def nan_always(graph: Graph, score: str) -> str:
    """Fault: not a number, whatever the picture."""
    zero = graph.add("Mul", score, graph.constant(0.0))
    return graph.add("Div", zero, zero)


def hang_when_bright(graph: Graph, score: str) -> str:
    """Fault: never ends, but only for a picture that is very bright."""
    return _loop(graph, score, _bright(graph))


def hang_always(graph: Graph, score: str) -> str:
    """Fault: never ends."""
    return _loop(graph, score, graph.constant(np.array([True])))


def four_gibibytes(graph: Graph, score: str) -> str:
    """Fault: asks for 4 GiB of memory."""
    import onnx

    big = graph.add(
        "ConstantOfShape",
        graph.constant([1, 1024, 1024, 1024]),
        value=onnx.helper.make_tensor("value", onnx.TensorProto.FLOAT, [1], [0.0]),
    )
    return graph.add("Add", score, graph.add("ReduceMax", big, axes=[1, 2, 3], keepdims=0))


def external_weights(location: str) -> bytes:
    """A model one of whose tensors says it lies in another file."""
    import onnx

    model = onnx.load_from_string(bright_rectangle())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    content: bytes = model.SerializeToString()
    return content


def _bright(graph: Graph) -> str:
    """Whether the whole picture's mean is above 0.8 of full, bool (1,)."""
    full = 255.0 if graph.family is ModelFamily.YOLOX else 1.0
    mean = graph.add("ReduceMean", "images", axes=[1, 2, 3], keepdims=0)
    return graph.add("Greater", mean, graph.constant(0.8 * full))


def _loop(graph: Graph, value: str, condition: str) -> str:
    """``while condition: value = value + 0`` with 2^63 - 1 as the limit."""
    import onnx

    info, kinds, node = onnx.helper.make_tensor_value_info, onnx.TensorProto, onnx.helper.make_node
    body = onnx.helper.make_graph(
        [node("Identity", ["going"], ["go_on"]), node("Add", ["carried", "nothing"], ["carried_on"])],
        "body",
        [info("step", kinds.INT64, []), info("going", kinds.BOOL, None), info("carried", kinds.FLOAT, None)],
        [info("go_on", kinds.BOOL, None), info("carried_on", kinds.FLOAT, None)],
        initializer=[onnx.helper.make_tensor("nothing", kinds.FLOAT, [1], [0.0])],
    )
    limit = graph.constant(np.array(2**63 - 1))
    scalar = graph.add("Squeeze", condition)
    return graph.add("Loop", limit, scalar, value, body=body)
