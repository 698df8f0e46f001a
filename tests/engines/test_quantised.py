"""What a copy with 8-bit numbers is made of."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vedette.adapters.models.optimise import to_int8

CONVOLUTIONS = 4


def convolutions(named: bool) -> bytes:
    """A chain of convolutions; exporters need not name operators."""
    rng = np.random.default_rng(1)
    nodes, weights, value = [], [], "images"
    for number in range(CONVOLUTIONS):
        shape = (8, 8 if number else 3, 3, 3)
        weights.append(numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), f"w{number}"))
        name = f"conv{number}" if named else ""
        nodes.append(helper.make_node("Conv", [value, f"w{number}"], [f"c{number}"], name, pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [value := f"r{number}"]))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 32, 32])
        for name, channels in (("images", 3), (value, 8))
    ]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    made: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return made


@pytest.mark.parametrize("heads", [0, 1, 3])
@pytest.mark.parametrize("named", [True, False])
def test_convolutions_before_the_output_stay_as_they_are_and_no_others(named: bool, heads: int) -> None:
    feeds = [{"images": np.random.default_rng(n).random((1, 3, 32, 32), np.float32)} for n in range(3)]
    graph = onnx.load_from_string(to_int8(convolutions(named), iter(feeds), heads)).graph
    scaled = {output for node in graph.node if node.op_type == "DequantizeLinear" for output in node.output}
    weights = [node.input[1] for node in graph.node if node.op_type == "Conv"]
    assert [weight in scaled for weight in weights] == [True] * (CONVOLUTIONS - heads) + [False] * heads
