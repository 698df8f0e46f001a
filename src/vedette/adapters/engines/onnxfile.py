"""Looks through an ONNX file without the library that would run it: plain Python, so a hostile file harms nothing.

An ONNX file is a protocol buffer. This walker follows only the messages that can hold a graph or a tensor and refuses
what this project never needs and attacks are made of. Field numbers are those of ``onnx/onnx.proto`` (onnx 1.17).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vedette.contracts.errors import ModelError
from vedette.core.protobuf import BYTES, VARINT, Field, MalformedError, fields

#: Operator sets that every ONNX Runtime has. Others need a library of their own, or load files (EPContext).
STANDARD_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})


@dataclass(frozen=True, slots=True)
class GraphLimits:
    """What a model may be made of.

    Attributes:
        nodes: operators, those of nested graphs included.
        depth: graphs within graphs (the body of a Loop within the body of a Loop).
        fields: protocol buffer fields looked at; bounds the time this takes.
    """

    nodes: int = 20_000
    depth: int = 8
    fields: int = 3_000_000


def check_graph(data: bytes, name: str, limits: GraphLimits | None = None) -> int:
    """Refuse a model that points to other files, needs foreign operators, or is bigger than any detector.

    Args:
        data: the whole file.
        name: what to call it in messages.
        limits: what it may be made of.

    Returns:
        Number of nodes.

    Raises:
        ModelError: V302, with what was found.
    """
    walker = _Walker(name, limits or GraphLimits())
    try:
        walker.model(memoryview(data))
    except (MalformedError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{name} is not a readable ONNX file: {error}.",
            hint="It may have been cut off on the way; copy it again and compare its SHA-256.",
            code="V302",
        ) from error
    if not walker.graphs:
        raise ModelError(
            f"{name} is not an ONNX model: it holds no graph.",
            hint="Check that this is the .onnx file itself and not an error page or a Git LFS pointer.",
            code="V302",
        )
    return walker.nodes


class _Walker:
    """One pass over one file, counting as it goes."""

    def __init__(self, name: str, limits: GraphLimits) -> None:
        self._name = name
        self._limits = limits
        self._fields = 0
        self.nodes = 0
        self.graphs = 0

    def model(self, view: memoryview) -> None:
        """ModelProto: 7 graph, 20 training_info, 25 functions."""
        for number, value in self._messages(view):
            if number == 7:
                self.graphs += 1
                self._graph(value, 1)
            elif number == 20:
                self._refuse("holds a training graph", "Export the model for inference.")
            elif number == 25:
                self._refuse("defines functions of its own", "Inline them when exporting (onnx.inliner does it).")

    def _graph(self, view: memoryview, depth: int) -> None:
        """GraphProto: 1 node, 5 initializer, 15 sparse_initializer."""
        if depth > self._limits.depth:
            self._refuse(f"nests graphs deeper than {self._limits.depth}", "No detector needs that.")
        for number, value in self._messages(view):
            if number == 1:
                self._node(value, depth)
            elif number == 5:
                self._tensor(value)
            elif number == 15:
                self._sparse(value)

    def _node(self, view: memoryview, depth: int) -> None:
        """NodeProto: 5 attribute, 7 domain."""
        self.nodes += 1
        if self.nodes > self._limits.nodes:
            self._refuse(f"has more than {self._limits.nodes} nodes", "No detector for this device needs that many.")
        for number, value in self._messages(view):
            if number == 5:
                self._attribute(value, depth)
            elif number == 7:
                domain = bytes(value[:256]).decode()
                if domain not in STANDARD_DOMAINS:
                    self._refuse(
                        f"uses operators of {domain!r}, which are not part of ONNX",
                        "Export with standard operators only (quantised models: QDQ format).",
                    )

    def _attribute(self, view: memoryview, depth: int) -> None:
        """AttributeProto: 5 t, 6 g, 10 tensors, 11 graphs, 22 sparse_tensor, 23 sparse_tensors."""
        for number, value in self._messages(view):
            if number in (5, 10):
                self._tensor(value)
            elif number in (6, 11):
                self._graph(value, depth + 1)
            elif number in (22, 23):
                self._sparse(value)

    def _sparse(self, view: memoryview) -> None:
        """SparseTensorProto: 1 values, 2 indices."""
        for number, value in self._messages(view):
            if number in (1, 2):
                self._tensor(value)

    def _tensor(self, view: memoryview) -> None:
        """TensorProto: 13 external_data, 14 data_location (0 = in this file)."""
        for number, kind, value, integer in self._walk(view):
            if (number == 13 and kind == BYTES) or (number == 14 and kind == VARINT and integer != 0):
                del value
                self._refuse(
                    "keeps weights in another file (external data), which could be any file of this machine",
                    "Save it as one file: onnx.save_model(model, path, save_as_external_data=False).",
                )

    def _messages(self, view: memoryview) -> Iterator[tuple[int, memoryview]]:
        """The fields that hold bytes, as (number, content). A field of another wire type is unknown to parsers too."""
        for number, kind, value, _ in self._walk(view):
            if kind == BYTES:
                yield number, value

    def _walk(self, view: memoryview) -> Iterator[Field]:
        """All fields of a message."""
        for field in fields(view):
            self._fields += 1
            if self._fields > self._limits.fields:
                self._refuse(f"has more than {self._limits.fields} fields", "No detector needs that.")
            yield field

    def _refuse(self, what: str, hint: str) -> None:
        raise ModelError(f"{self._name} {what}.", hint=hint, code="V302")
