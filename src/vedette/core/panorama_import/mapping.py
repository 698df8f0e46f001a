"""The whole of it: a project in, a manifest and a report out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from vedette.contracts.manifest import PortType
from vedette.core.panorama_import.code import Code, find_code
from vedette.core.panorama_import.models import GivenModel, map_models
from vedette.core.panorama_import.names import allowed_name
from vedette.core.panorama_import.overrides import Overrides
from vedette.core.panorama_import.project import (
    PARAMETER_TYPES,
    Category,
    Graph,
    ParameterNode,
    ProjectFiles,
    entries,
    package_body,
    read_graph,
    text,
)
from vedette.core.panorama_import.report import Outcome, Row
from vedette.core.port_values import NOTHING, port_value

_CHOICES: Final = re.compile(r"^\^?\(?([A-Za-z0-9_. -]+(?:\|[A-Za-z0-9_. -]+)+)\)?\$?$")


@dataclass(slots=True)
class Imported:
    """What a project became.

    Attributes:
        manifest: as plain values.
        code: which files it takes.
        bindings: camera → the device's cameras, where an override was given.
        rows: what became of each part.
    """

    manifest: dict[str, Any]
    code: Code
    bindings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)


def import_project(files: ProjectFiles, given: Mapping[str, GivenModel], overrides: Overrides | None) -> Imported:
    """Make an application of a project.

    Args:
        files: the project.
        given: model node → ONNX file.
        overrides: what a deployment replaced; None where there was nothing.

    Raises:
        ConfigurationError: V102, it is no project, or one of the preview.
    """
    graph = read_graph(files)
    code = find_code(graph, files)
    rows = [*graph.rows, *code.rows]
    cameras, bindings = _cameras(graph, overrides, rows)
    parameters, names = _parameters(graph, overrides, rows)
    models, model_nodes, more = map_models(graph, files, given)
    rows += more
    section = dict(code.section)
    section |= _ports(graph, code, cameras, names, rows)
    if model_nodes:
        section["models"] = model_nodes
    section |= _routes(graph, code, overrides, rows)
    body = files.graph.value["nodeGraph"]
    manifest: dict[str, Any] = {
        "api": "vedette/v1",
        "name": allowed_name(files.name, fallback="application"),
        "title": text(body.get("description"))[:200] or files.name[:200],
        "version": _version(code),
        "cameras": {name: {"title": title} if title else {} for name, title in cameras.values()},
        "models": models,
        "parameters": parameters,
        "panorama": section,
    }
    manifest = {key: value for key, value in manifest.items() if value not in ({}, "")}
    if overrides is not None:
        rows += overrides.rows
    for path in files.other_graphs:
        rows.append(
            Row(
                Outcome.DROPPED,
                f"graph {path}",
                "another graph of the project",
                path,
                f"Import it with --graph {path}.",
            )
        )
    rows += _unused(files, graph)
    return Imported(manifest, code, bindings, rows)


def _version(code: Code) -> str:
    found = re.fullmatch(r"(\d{1,6})\.(\d{1,6})", text(package_body(code.package).get("version")))
    return f"{int(found[1])}.{int(found[2])}.0" if found else "1.0.0"


def _cameras(
    graph: Graph, overrides: Overrides | None, rows: list[Row]
) -> tuple[dict[str, tuple[str, str]], dict[str, tuple[str, ...]]]:
    """Node → (camera here, title); and which of the device's cameras an override puts there."""
    cameras: dict[str, tuple[str, str]] = {}
    bindings: dict[str, tuple[str, ...]] = {}
    for node in graph.nodes.values():
        if node.category is not Category.CAMERA:
            continue
        name = allowed_name(node.name, {taken for taken, _ in cameras.values()}, "camera")
        concrete = node.package is not None
        title = text(package_body(node.package).get("description"))[:200] if node.package is not None else ""
        cameras[node.name] = (name, title)
        what = "camera with an address of its own" if concrete else "abstract camera"
        rows.append(
            Row(
                Outcome.MAPPED,
                f"{what} {node.name}",
                f"camera `{name}`, bound when it runs",
                node.place,
                "Its address and password are not taken over: give them to the device, or to `vedette run --camera`."
                if concrete
                else "",
            )
        )
        if node.launch == "onSignal":
            rows.append(
                Row(
                    Outcome.NEEDS_YOU,
                    f"launch onSignal of {node.name}",
                    "it began paused, and was resumed by a signal",
                    node.place,
                    "Let the camera rest with `vedette camera pause --device DEVICE CAMERA`; `resume` wakes it.",
                )
            )
        if overrides is not None and node.name in overrides.replaced:
            with_ = tuple(allowed_name(one, fallback="camera") for one in overrides.replaced[node.name])
            bindings[name] = with_
            rows.append(Row(Outcome.MAPPED, f"override of {node.name}", f"bound to {', '.join(with_)}", overrides.path))
    return cameras, bindings


def _parameters(graph: Graph, overrides: Overrides | None, rows: list[Row]) -> tuple[dict[str, Any], dict[str, str]]:
    """``parameters`` of the manifest, and node → parameter."""
    parameters: dict[str, Any] = {}
    names: dict[str, str] = {}
    for node in graph.parameters.values():
        name = allowed_name(node.name, parameters, "parameter")
        names[node.name] = name
        value = overrides.value_of(node.name) if overrides is not None else None
        parameters[name] = _parameter(node, node.value if value is None else value, rows)
        rows.append(
            Row(
                Outcome.MAPPED,
                f"parameter {node.name}",
                f"parameter `{name}` = {parameters[name]['default']!r}",
                node.place if value is None or overrides is None else overrides.path,
            )
        )
    return parameters, names


def _parameter(node: ParameterNode, value: Any, rows: list[Row]) -> dict[str, Any]:
    default, problem = typed(node.type, value)
    decorator = node.decorator
    made: dict[str, Any] = {}
    title = text(decorator.get("title")) or text(decorator.get("description"))
    if title:
        made["title"] = title[:200]
    made["default"] = default
    if problem or (value is None and node.mandatory):
        rows.append(
            Row(
                Outcome.NEEDS_YOU,
                f"value of {node.name}",
                problem or "a value had to be given at deployment; there is none in the project",
                node.place,
                f"Set `parameters` in vedette.yaml, or give it when it runs: `--set {node.name}=VALUE`.",
            )
        )
    regex = text(decorator.get("constraintRegex"))
    choices = _CHOICES.match(regex)
    if choices and node.type == "string" and default in choices[1].split("|"):
        made["choices"] = choices[1].split("|")
    elif regex:
        rows.append(
            Row(
                Outcome.DROPPED,
                f"constraint of {node.name}",
                f"`{regex}` ({text(decorator.get('constraintText')) or 'without a text'}): here a parameter has "
                "limits or choices",
                node.place,
            )
        )
    return made


def typed(kind: str, value: Any) -> tuple[Any, str]:
    """A parameter's value as its type has it, and what is wrong with it; the type's own zero where there is none."""
    port = PortType(kind)
    if value is None:
        return NOTHING[port], ""
    # JSON may write a whole number with a point.
    whole = port is PortType.INT32 and isinstance(value, float) and value.is_integer()
    try:
        taken = port_value(port, int(value) if whole else value)
    except ValueError:
        return NOTHING[port], f"{value!r} is no {kind}"
    # The manifest keeps the digits that people wrote; 32 bits are for the code.
    return float(value) if port is PortType.FLOAT32 else taken, ""


def _ports(
    graph: Graph, code: Code, cameras: Mapping[str, tuple[str, str]], parameters: Mapping[str, str], rows: list[Row]
) -> dict[str, Any]:
    """``inputs``, ``parameters`` and ``outputs`` of the section."""
    types = {text(port.get("name")): port for _, port in entries(code.node.interface.get("inputs"))}
    inputs: dict[str, list[str]] = {}
    values: dict[str, dict[str, Any]] = {}
    for edge in graph.edges:
        (source, _), (node, port) = edge.producer, edge.consumer
        if node != code.node.name:
            continue
        if source in cameras:
            inputs.setdefault(port, []).append(cameras[source][0])
        elif source in parameters:
            values[port] = {"type": graph.parameters[source].type, "parameter": parameters[source]}
        else:
            rows.append(Row(Outcome.DROPPED, f"edge to {node}.{port}", f"there is no node {source!r}", edge.place))
    place = f"{code.package.folder}/package.json"
    for name, declared in types.items():
        if name in inputs or name in values:
            continue
        kind = text(declared.get("type"))
        if kind in PARAMETER_TYPES:
            value, problem = typed(kind, declared.get("default"))
            values[name] = {"type": kind, "value": value}
            rows.append(Row(Outcome.MAPPED, f"port {name} without an edge", f"always {value!r}", place, problem))
        elif kind == "media":
            rows.append(
                Row(
                    Outcome.NEEDS_YOU,
                    f"media port {name}",
                    "no camera is connected to it",
                    place,
                    f"Name cameras for it in vedette.yaml: `panorama.inputs.{name}: [CAMERA]`.",
                )
            )
    outputs = [text(port.get("name")) for _, port in entries(code.node.interface.get("outputs"))]
    connected = {edge.producer[1] for edge in graph.edges if edge.producer[0] == code.node.name}
    for name in outputs:
        sink = "the HDMI output was" if name in connected else "nothing was"
        rows.append(
            Row(
                Outcome.MAPPED,
                f"output port {name}",
                f"{sink} connected to it; here `vedette view` shows it, and rules can listen to what is drawn on it",
                place,
            )
        )
    found = {"inputs": inputs, "parameters": values, "outputs": outputs}
    return {key: value for key, value in found.items() if value}


def _routes(graph: Graph, code: Code, overrides: Overrides | None, rows: list[Row]) -> dict[str, Any]:
    """``routes`` of the section: rules of the graph, or those that an override gave instead."""
    rules = list(overrides.routes) if overrides is not None and overrides.routes else graph.routes
    routes: list[dict[str, Any]] = []
    for rule, place in rules:
        inside, outside = rule.get("containerPort"), rule.get("hostPort")
        inside, outside = inside if isinstance(inside, int) else 0, outside if isinstance(outside, int) else inside
        if (
            text(rule.get("node")) not in ("", code.node.name)
            or not 1 <= inside <= 65535
            or not isinstance(outside, int)
        ):
            rows.append(Row(Outcome.DROPPED, "networkRoutingRule", "not of this node, or without a port", place))
            continue
        decorator = rule.get("decorator")
        title = text(decorator.get("title")) if isinstance(decorator, dict) else ""
        routes.append({"port": inside, "host_port": outside, **({"title": title} if title else {})})
        rows.append(
            Row(
                Outcome.MAPPED,
                f"networkRoutingRule {outside} → {inside}",
                f"`panorama.routes`, on this machine only: 127.0.0.1:{outside}",
                place,
                "To let others on the site reach it, give `address: 0.0.0.0` to the route.",
            )
        )
    network = code.node.interface.get("network")
    ports = network.get("inboundPorts") if isinstance(network, dict) else None
    for _, port in entries(ports):
        number = port.get("port")
        if isinstance(number, int) and number not in [route["port"] for route in routes]:
            rows.append(
                Row(
                    Outcome.NEEDS_YOU,
                    f"inbound port {number}",
                    "no rule of the graph leads to it",
                    f"{code.package.folder}/package.json",
                    f"To reach it: `panorama.routes: [{{port: {number}, host_port: {number}}}]`.",
                )
            )
    return {"routes": routes} if routes else {}


def _unused(files: ProjectFiles, graph: Graph) -> list[Row]:
    used = {id(node.package) for node in graph.nodes.values()}
    return [
        Row(Outcome.DROPPED, f"package {package.folder}", "no node of the graph uses it", package.package.path)
        for package in files.packages
        if id(package) not in used
    ]
