"""Model nodes: what they declare, whether an ONNX file fits, and how to make one of a framework's archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vedette.contracts.manifest import TensorType
from vedette.core.fleet.onnx_header import OnnxTensor
from vedette.core.panorama_import.names import allowed_name
from vedette.core.panorama_import.project import (
    Category,
    Graph,
    Node,
    ProjectFiles,
    descriptor,
    entries,
    implementation,
    text,
)
from vedette.core.panorama_import.report import Outcome, Row


@dataclass(frozen=True, slots=True)
class GivenModel:
    """An ONNX file for a node.

    Attributes:
        name: of the file.
        sha256: of its content.
        inputs: as the file says.
    """

    name: str
    sha256: str
    inputs: tuple[OnnxTensor, ...]


@dataclass(frozen=True, slots=True)
class DeclaredInput:
    """An input as the descriptor declares it."""

    name: str
    type: str
    shape: tuple[int, ...]


def map_models(
    graph: Graph, files: ProjectFiles, given: Mapping[str, GivenModel]
) -> tuple[dict[str, Any], dict[str, str], list[Row]]:
    """``models`` of the manifest, ``panorama.models``, and what is to be said."""
    models: dict[str, Any] = {}
    nodes: dict[str, str] = {}
    rows: list[Row] = []
    for node in graph.nodes.values():
        if node.category is not Category.MODEL or node.package is None:
            continue
        found = descriptor(files, node.package, node.interface, "mlModelDescriptor")
        declared = declared_inputs(found[0]) if found is not None else ()
        if found is None or not declared:
            rows.append(
                Row(
                    Outcome.NEEDS_YOU,
                    f"model node {node.name}",
                    "no descriptor says which inputs it has",
                    f"{node.package.folder} {node.place}",
                    "Put the model's descriptor (`mlModelDescriptor` with `inputs`) into the package's folder, and "
                    "import the project again.",
                )
            )
            continue
        name = allowed_name(node.name, models, "model")
        nodes[node.name] = name
        models[name], more = _model(node, files, found, declared, given.get(node.name))
        rows += more
    for name in sorted(set(given) - set(nodes)):
        known = ", ".join(nodes) or "none"
        rows.append(
            Row(Outcome.DROPPED, f"--model {name}=…", f"no model node has this name; there is {known}", "command line")
        )
    return models, nodes, rows


def declared_inputs(found: Mapping[str, Any]) -> tuple[DeclaredInput, ...]:
    """The inputs of a descriptor that can be read; none where one cannot."""
    inputs = []
    for _, entry in entries(found.get("inputs")):
        shape, kind = entry.get("shape"), text(entry.get("type")) or "float32"
        sides = shape if isinstance(shape, list) else []
        if not sides or not all(isinstance(side, int) and side > 0 for side in sides) or kind not in set(TensorType):
            return ()
        inputs.append(DeclaredInput(text(entry.get("name")) or "input", kind, tuple(sides)))
    return tuple(inputs)


def fit(declared: Sequence[DeclaredInput], found: Sequence[OnnxTensor]) -> tuple[dict[str, str], list[str]]:
    """Which input of a file each declared one is, and what does not fit.

    An input is that of the same name, or else the only one left of its type and shape.
    """
    left = {entry.name: entry for entry in found}
    names: dict[str, str] = {}
    mistakes: list[str] = []
    for entry in declared:
        if entry.name in left:
            same = left.pop(entry.name)
            names[entry.name] = same.name
            if not _alike(entry, same):
                mistakes.append(f"declared {entry.name} {entry.type} {list(entry.shape)}, the file has {_words(same)}")
    for entry in declared:
        if entry.name in names:
            continue
        fitting = [one for one in left.values() if _alike(entry, one)]
        if len(fitting) == 1:
            names[entry.name] = fitting[0].name
            del left[fitting[0].name]
        else:
            there = ", ".join(map(_words, left.values())) or "nothing more"
            mistakes.append(f"declared {entry.name} {entry.type} {list(entry.shape)}, the file has {there}")
    mistakes += [f"the file has an input more: {_words(one)}" for one in left.values()] if not mistakes else []
    return names, mistakes


def _words(one: OnnxTensor) -> str:
    return f"{one.name} {one.dtype} [{', '.join('?' if side is None else str(side) for side in one.shape)}]"


def _alike(entry: DeclaredInput, one: OnnxTensor) -> bool:
    types = {entry.type, "float16"} if entry.type == "float32" else {entry.type}
    sides = len(entry.shape) == len(one.shape) and all(
        there is None or there == here for here, there in zip(entry.shape, one.shape, strict=True)
    )
    return one.dtype in types and sides


def _model(
    node: Node,
    files: ProjectFiles,
    found: tuple[Mapping[str, Any], str],
    declared: tuple[DeclaredInput, ...],
    given: GivenModel | None,
) -> tuple[dict[str, Any], list[Row]]:
    body, place = found
    assert node.package is not None
    rows: list[Row] = []
    tensors: list[dict[str, Any]] = [
        {"name": entry.name, "shape": list(entry.shape), "type": entry.type} for entry in declared
    ]
    model: dict[str, Any] = {"family": "tensors", "file": f"models/{allowed_name(node.name)}.onnx", "tensors": tensors}
    inputs = ", ".join(f"{entry.name} {list(entry.shape)} {entry.type}" for entry in declared)
    if text(body.get("precisionMode")) == "FP16":
        rows.append(
            Row(
                Outcome.DROPPED,
                f"precisionMode FP16 of {node.name}",
                "inputs and outputs stayed float32 there; an ONNX file in float16 does the same here",
                place,
            )
        )
    if given is None:
        framework, archive = (
            text(body.get("framework")),
            text(implementation(node.package, node.interface).get("assetUri")),
        )
        content = files.assets.get(archive.rpartition("/")[2], "")
        rows.append(
            Row(
                Outcome.NEEDS_YOU,
                f"model node {node.name}",
                f"an ONNX file with the inputs {inputs}, as {model['file']}",
                place,
                _how_to_export(framework, content, declared, model["file"], node.name),
            )
        )
        return model, rows
    names, mistakes = fit(declared, given.inputs)
    model["sha256"] = given.sha256
    for tensor in tensors:
        if names.get(tensor["name"], tensor["name"]) != tensor["name"]:
            tensor["tensor"] = names[tensor["name"]]
    if mistakes:
        rows.append(
            Row(
                Outcome.NEEDS_YOU,
                f"model node {node.name}",
                f"{given.name} does not fit: {'; '.join(mistakes)}",
                place,
                "Export the model again with the declared inputs: the code gives exactly these.",
            )
        )
    else:
        rows.append(
            Row(Outcome.MAPPED, f"model node {node.name}", f"{model['file']} ({given.name}), inputs {inputs}", place)
        )
    return model, rows


_PYTORCH: Final = """```python
import torch
model = torch.jit.load("MODEL.pt", map_location="cpu").eval()
torch.onnx.export(model, ({inputs},), "{file}", input_names={names}, opset_version=17, dynamo=False)
```"""
_TENSORFLOW: Final = """```bash
pip install tf2onnx tensorflow
python -m tf2onnx.convert --saved-model SAVED_MODEL --inputs {inputs} --output {file} --opset 17
# of a frozen graph: --graphdef GRAPH.pb --outputs NAME:0,… instead of --saved-model
```"""
_MXNET: Final = """```python
import mxnet  # 1.9, the last release: needs Python 3.8 or older and NumPy before 1.24
mxnet.onnx.export_model("MODEL-symbol.json", "MODEL-0000.params", {shapes}, "float32", "{file}")
```"""


def _how_to_export(framework: str, content: str, declared: Sequence[DeclaredInput], file: str, node: str) -> str:
    """What to do for an ONNX file: the archive holds a model of a framework, which only that framework can export."""
    shapes = [list(entry.shape) for entry in declared]
    fill: dict[str, dict[str, Any]] = {
        "PYTORCH": {
            "inputs": ", ".join(f"torch.zeros({shape})" for shape in shapes),
            "names": [entry.name for entry in declared],
        },
        "TENSORFLOW": {"inputs": ",".join(f"{entry.name}:0{list(entry.shape)}".replace(" ", "") for entry in declared)},
        "MXNET": {"shapes": [tuple(shape) for shape in shapes]},
    }
    templates = {"PYTORCH": _PYTORCH, "TENSORFLOW": _TENSORFLOW, "MXNET": _MXNET}
    said = f"The archive holds {content}. " if content else ""
    export = (
        f"Export it with {framework}:\n\n{templates[framework].format(file=file, **fill[framework])}\n\n"
        if framework in templates
        else "Export the model with the framework it was made with.\n\n"
    )
    again = f"Then put it at `{file}`, or import again with `--model {node}={file}`, which also checks its inputs."
    return said + export + again
