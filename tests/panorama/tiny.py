"""Tiny models in ONNX whose right answer is known, with the inputs that a Panorama descriptor would declare."""

from __future__ import annotations

from typing import Any

import numpy as np

from vedette.contracts.manifest import Model


def mean_model(
    shape: tuple[int | str, ...] = (1, 3, 8, 8), *, name: str = "data", half: bool = False, second: bool = False
) -> bytes:
    """Outputs the mean of each channel (1, 3), and the input's shape.

    Args:
        shape: of the input; a text is a side that is not fixed.
        name: of the input.
        half: whether it takes and gives float16.
        second: whether there is another input ``size``, int64 (2,), which is given back as it is.
    """
    import onnx

    kind = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
    info, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    nodes = [
        node("ReduceMean", [name], ["mean"], axes=[2, 3], keepdims=0),
        node("Shape", [name], ["shape"]),
    ]
    inputs = [info(name, kind, list(shape))]
    outputs = [info("mean", kind, [shape[0], shape[1]]), info("shape", onnx.TensorProto.INT64, [4])]
    if second:
        inputs.append(info("size", onnx.TensorProto.INT64, [2]))
        nodes.append(node("Identity", ["size"], ["same"]))
        outputs.append(info("same", onnx.TensorProto.INT64, [2]))
    graph = onnx.helper.make_graph(nodes, "tiny", inputs, outputs)
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = made.SerializeToString()
    return content


def tensors(file: str = "mean.onnx", **entry: Any) -> Model:
    """What a manifest says of such a model."""
    declared = {"name": "data", "shape": [1, 3, 8, 8], **entry}
    return Model.model_validate({"family": "tensors", "file": file, "tensors": [declared]})


def picture(value: float = 0.5, dtype: Any = np.float32, shape: tuple[int, ...] = (1, 3, 8, 8)) -> Any:
    """An input that is the same everywhere."""
    return np.full(shape, value, dtype)
