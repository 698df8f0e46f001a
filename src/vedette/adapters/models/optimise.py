"""Smaller numbers for a model: INT8 by static quantisation with the user's own pictures, or FP16.

ONNX Runtime's own tools do both; they need the package ``onnx`` and are loaded when they are called.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from vedette.adapters.engines.session import first_line
from vedette.contracts.errors import ModelError

#: Scales of their own for each channel are in the standard from this operator set on.
_PER_CHANNEL_OPSET: Final = 13
_OPSET: Final = 17
#: Convolutions before each output that stay in floating point, in the order of the search: boxes and scores come from
#: these, and their values are of very different sizes.
FLOAT_HEADS: Final = (0, 1, 3)

Feeds = Mapping[str, NDArray[Any]]


def to_int8(data: bytes, calibration: Iterator[Feeds], float_heads: int) -> bytes:
    """A copy whose convolutions and products run with 8 bits (QDQ; weights by channel, activations by tensor).

    Args:
        data: the model, float32.
        calibration: its inputs for typical pictures; the ranges of all values are taken from these.
        float_heads: how many convolutions before each output stay as they are.

    Raises:
        ModelError: V302, the model cannot be converted.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="vedette-optimize-") as folder:
        source, prepared, result = (Path(folder) / f"{name}.onnx" for name in ("source", "prepared", "result"))
        try:
            source.write_bytes(_modern(data).SerializeToString())
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(result),
                _Reader(calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_heads(prepared.read_bytes(), float_heads),
            )
        except Exception as error:  # the tools raise whatever their parts do
            raise _failed("INT8", error) from error
        return result.read_bytes()


def to_fp16(data: bytes) -> bytes:
    """A copy with 16-bit weights and operators; inputs and outputs stay float32.

    Raises:
        ModelError: V302, the model cannot be converted.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    try:
        return bytes(convert_float_to_float16(_modern(data), keep_io_types=True).SerializeToString())
    except Exception as error:  # the tools raise whatever their parts do
        raise _failed("FP16", error) from error


class _Reader:
    """What the calibration asks for its data; it wants this one method."""

    def __init__(self, feeds: Iterator[Feeds]) -> None:
        self._feeds = feeds

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)


def _modern(data: bytes) -> Any:
    import onnx
    from onnx import version_converter

    model = onnx.load_from_string(data)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"operator {number}"  # what stays in floating point is told by names
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    return model if opset >= _PER_CHANNEL_OPSET else version_converter.convert_version(model, _OPSET)


def _heads(data: bytes, convolutions: int) -> list[str]:
    """Names of all operators from the outputs back to so many convolutions."""
    import onnx

    if not convolutions:
        return []
    graph = onnx.load_from_string(data).graph
    producers = {output: node for node in graph.node for output in node.output}
    least: dict[str, int] = {}
    waiting = [(output.name, 0) for output in graph.output]
    while waiting:
        name, passed = waiting.pop()
        node = producers.get(name)
        if node is None:
            continue
        passed += node.op_type == "Conv"
        if passed > convolutions or least.get(node.name, convolutions + 1) <= passed:
            continue
        least[node.name] = passed
        waiting += [(source, passed) for source in node.input]
    return sorted(least)


def _failed(precision: str, error: Exception) -> ModelError:
    return ModelError(
        f"the model cannot be converted to {precision}: {first_line(error)}.",
        hint="Give the float32 original, as it was exported.",
        code="V302",
    )
