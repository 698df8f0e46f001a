"""Inputs, outputs and operator set of an ONNX file, read without the library that would run it.

An ONNX file is a protocol buffer. Weights are stepped over, so a file of 200 MB costs no more time than its graph.
Field numbers are those of ``onnx/onnx.proto`` (onnx 1.17).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vedette.contracts.errors import CloudError
from vedette.core.protobuf import MalformedError, fields

#: ``TensorProto.DataType``, of those that models take and give.
_TYPES: Final = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}
_STANDARD: Final = ("", "ai.onnx")
#: More fields than any detector's file has; bounds the time this takes.
_MAX_FIELDS: Final = 2_000_000
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


@dataclass(frozen=True, slots=True)
class OnnxTensor:
    """An input or output.

    Attributes:
        name: of the tensor.
        dtype: such as ``float32``.
        shape: dimensions; None where one is not a fixed number.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class OnnxHeader:
    """What an ONNX file says of itself.

    Attributes:
        opset: version of the standard operators.
        producer: what wrote the file.
        inputs: without those that the file gives values for.
        outputs: in their order.
        nodes: operators of the main graph.
    """

    opset: int
    producer: str
    inputs: tuple[OnnxTensor, ...]
    outputs: tuple[OnnxTensor, ...]
    nodes: int


def read_onnx_header(data: memoryview, name: str) -> OnnxHeader:
    """Read what a file says of itself.

    Args:
        data: the whole file.
        name: what to call it in messages.

    Raises:
        CloudError: V006, it is no ONNX model, or one that this project never runs.
    """
    reader = _Reader(name)
    try:
        return reader.model(data)
    except (MalformedError, UnicodeDecodeError) as error:
        raise CloudError(
            f"{name} is not a readable ONNX file: {error}.",
            hint="It may have been cut off on the way; compare its SHA-256.",
            code="V006",
        ) from None


class _Reader:
    def __init__(self, name: str) -> None:
        self._name = name
        self._fields = 0

    def model(self, view: memoryview) -> OnnxHeader:
        """ModelProto: 2 producer_name, 7 graph, 8 opset_import."""
        opset, producer, graph = 0, "", None
        for number, content, _ in self._walk(view):
            if number == 2:
                producer = bytes(content[:80]).decode()
            elif number == 7:
                graph = content
            elif number == 8:
                domain, version = self._opset(content)
                opset = version if domain in _STANDARD else opset
        if graph is None or not opset:
            raise CloudError(
                f"{self._name} is not an ONNX model: it has no graph or names no operator set.",
                hint="Check that this is the .onnx file itself and not an error page or a Git LFS pointer.",
                code="V006",
            )
        return self._graph(graph, opset, producer)

    def _opset(self, view: memoryview) -> tuple[str, int]:
        """OperatorSetIdProto: 1 domain, 2 version."""
        domain, version = "", 0
        for number, content, integer in self._walk(view):
            if number == 1:
                domain = bytes(content[:100]).decode()
            elif number == 2:
                version = integer
        return domain, version

    def _graph(self, view: memoryview, opset: int, producer: str) -> OnnxHeader:
        """GraphProto: 1 node, 5 initializer, 11 input, 12 output."""
        nodes, given = 0, set()
        inputs: list[OnnxTensor] = []
        outputs: list[OnnxTensor] = []
        for number, content, _ in self._walk(view):
            if number == 1:
                nodes += 1
            elif number == 5:
                given.add(self._initialiser(content))
            elif number in (11, 12):
                (inputs if number == 11 else outputs).append(self._value(content))
        asked = tuple(tensor for tensor in inputs if tensor.name not in given)
        return OnnxHeader(opset, producer, asked, tuple(outputs), nodes)

    def _initialiser(self, view: memoryview) -> str:
        """TensorProto: 8 name, 13 external_data, 14 data_location (0 = in this file)."""
        name = ""
        for number, content, integer in self._walk(view):
            if number == 8:
                name = bytes(content[:500]).decode()
            elif number == _EXTERNAL_DATA or (number == _DATA_LOCATION and integer):
                raise CloudError(
                    f"{self._name} keeps weights in another file (external data).",
                    hint="Save it as one file: onnx.save_model(model, path, save_as_external_data=False).",
                    code="V006",
                )
        return name

    def _value(self, view: memoryview) -> OnnxTensor:
        """ValueInfoProto: 1 name, 2 type; TypeProto: 1 tensor_type; Tensor: 1 elem_type, 2 shape."""
        name, dtype = "", ""
        shape: tuple[int | None, ...] = ()
        for number, content, _ in self._walk(view):
            if number == 1:
                name = bytes(content[:500]).decode()
            elif number == 2:
                for kind, tensor, _ in self._walk(content):
                    if kind == 1:
                        dtype, shape = self._tensor_type(tensor)
        return OnnxTensor(name, dtype, shape)

    def _tensor_type(self, view: memoryview) -> tuple[str, tuple[int | None, ...]]:
        dtype = ""
        shape: tuple[int | None, ...] = ()
        for number, content, integer in self._walk(view):
            if number == 1:
                dtype = _TYPES.get(integer, f"type {integer}")
            elif number == 2:
                shape = tuple(self._side(side) for number, side, _ in self._walk(content) if number == 1)
        return dtype, shape

    def _side(self, view: memoryview) -> int | None:
        """Dimension: 1 dim_value."""
        return next((integer for number, _, integer in self._walk(view) if number == 1 and 0 < integer < 1 << 32), None)

    def _walk(self, view: memoryview) -> Iterator[tuple[int, memoryview, int]]:
        """All fields of a message as (number, content, integer)."""
        for field in fields(view):
            self._fields += 1
            if self._fields > _MAX_FIELDS:
                raise MalformedError(f"more than {_MAX_FIELDS} fields")
            yield field.number, field.content, field.integer
