"""A project as its files say it: graph, packages, interfaces, descriptors. Tolerant: real projects break the schema.

Field names are those of AWS's manifest schema, version 2021-01-01.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from vedette.contracts.errors import ConfigurationError
from vedette.contracts.manifest import PortType
from vedette.core.panorama_import.report import Outcome, Row

PARAMETER_TYPES: Final = frozenset(PortType)

#: Fields of the schema by where they stand; what else is found is reported and passed over.
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "nodeGraph": frozenset({"envelopeVersion", "description", "packages", "nodes", "edges", "networkRoutingRules"}),
    "node": frozenset({"name", "interface", "value", "overridable", "overrideMandatory", "launch", "decorator"}),
    "nodePackage": frozenset({"envelopeVersion", "name", "version", "description", "assets", "interfaces"}),
    "interface": frozenset({"name", "category", "asset", "description", "inputs", "outputs", "network"}),
    "entry": frozenset({"path", "name", "arguments", "environment"}),
}


class Category(StrEnum):
    """What a node is."""

    CAMERA = "media_source"
    SINK = "media_sink"
    CODE = "business_logic"
    MODEL = "ml_model"


@dataclass(frozen=True, slots=True)
class Document:
    """One JSON file.

    Attributes:
        path: from the project's folder.
        value: what it holds.
    """

    path: str
    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PackageFiles:
    """A folder below ``packages``.

    Attributes:
        folder: from the project's folder.
        package: ``package.json``.
        descriptors: other JSON files with a descriptor.
        files: all files below it, from it.
        dockerfile: text of the Dockerfile; empty where there is none.
        requirements: text of ``requirements.txt``; empty where there is none.
        sources: Python file, from the folder → its text.
    """

    folder: str
    package: Document
    descriptors: tuple[Document, ...] = ()
    files: tuple[str, ...] = ()
    dockerfile: str = ""
    requirements: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProjectFiles:
    """Everything that was read of a project.

    Attributes:
        name: of its folder.
        graph: the graph to import.
        other_graphs: graphs that are not imported.
        overrides: override files.
        packages: folders below ``packages``.
        assets: name of a file in ``assets`` → what an archive is, for people; empty for other files.
        asset_descriptors: descriptors in ``assets``, by file name.
    """

    name: str
    graph: Document
    other_graphs: tuple[str, ...] = ()
    overrides: tuple[Document, ...] = ()
    packages: tuple[PackageFiles, ...] = ()
    assets: Mapping[str, str] = field(default_factory=dict)
    asset_descriptors: Mapping[str, Document] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the graph with an interface of a package."""

    name: str
    place: str
    category: Category
    interface: Mapping[str, Any]
    package: PackageFiles | None
    launch: str = ""


@dataclass(frozen=True, slots=True)
class ParameterNode:
    """A node of the graph that is a value."""

    name: str
    place: str
    type: str
    value: Any
    decorator: Mapping[str, Any]
    mandatory: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge: node and port at both ends; a parameter's own port is empty."""

    producer: tuple[str, str]
    consumer: tuple[str, str]
    place: str


@dataclass(slots=True)
class Graph:
    """A graph with what its names mean."""

    nodes: dict[str, Node] = field(default_factory=dict)
    parameters: dict[str, ParameterNode] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    routes: list[tuple[Mapping[str, Any], str]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


#: Interfaces of the packages that AWS provided, by package name.
_STOCK: Final[Mapping[str, tuple[Category, Mapping[str, Any]]]] = {
    "abstract_rtsp_media_source": (
        Category.CAMERA,
        {"name": "rtsp_v1_interface", "outputs": [{"name": "video_out", "type": "media"}]},
    ),
    "hdmi_data_sink": (Category.SINK, {"name": "hdmi0", "inputs": [{"name": "video_in", "type": "media"}]}),
}


def entries(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a list, with their positions; what is none is passed over."""
    for index, entry in enumerate(value if isinstance(value, list) else ()):
        if isinstance(entry, dict):
            yield index, entry


def text(value: Any) -> str:
    """A text; empty where it is none."""
    return value if isinstance(value, str) else ""


def read_graph(files: ProjectFiles) -> Graph:
    """What a graph's nodes and edges are.

    Raises:
        ConfigurationError: V102, there is no graph in the file.
    """
    body = files.graph.value.get("nodeGraph")
    if not isinstance(body, dict):
        raise ConfigurationError(
            f"{files.graph.path}: `nodeGraph` is missing, or no object.",
            hint="Name the folder of the project, in which `graphs` and `packages` lie.",
            code="V102",
        )
    graph = Graph()
    _unknown(graph, body, "nodeGraph", f"{files.graph.path} nodeGraph")
    for index, node in entries(body.get("nodes")):
        _read_node(graph, files, node, f"{files.graph.path} nodeGraph.nodes.{index}")
    for index, edge in entries(body.get("edges")):
        place = f"{files.graph.path} nodeGraph.edges.{index}"
        ends = [text(edge.get(name)) for name in ("producer", "consumer")]
        if not all(ends):
            graph.rows.append(Row(Outcome.DROPPED, "an edge", "producer or consumer is missing", place))
            continue
        producer, consumer = (_end(end) for end in ends)
        graph.edges.append(Edge(producer, consumer, place))
    rules = body.get("networkRoutingRules")
    graph.routes = [
        (rule, f"{files.graph.path} nodeGraph.networkRoutingRules.{index}") for index, rule in entries(rules)
    ]
    return graph


def _end(value: str) -> tuple[str, str]:
    node, _, port = value.partition(".")
    return node, port


def _unknown(graph: Graph, found: Mapping[str, Any], kind: str, place: str) -> None:
    for name in sorted(set(found) - _FIELDS[kind]):
        graph.rows.append(Row(Outcome.DROPPED, f"field `{name}`", "the schema knows no such field", place))


def _read_node(graph: Graph, files: ProjectFiles, node: Mapping[str, Any], place: str) -> None:
    name, interface = text(node.get("name")), text(node.get("interface"))
    if not name or not interface:
        graph.rows.append(Row(Outcome.DROPPED, f"node {name or '?'}", "name or interface is missing", place))
        return
    _unknown(graph, node, "node", place)
    if name in graph.nodes or name in graph.parameters:
        graph.rows.append(Row(Outcome.DROPPED, f"node {name}", "another node has this name", place))
        return
    if interface in PARAMETER_TYPES:
        decorator = node.get("decorator")
        graph.parameters[name] = ParameterNode(
            name,
            place,
            interface,
            node.get("value"),
            decorator if isinstance(decorator, dict) else {},
            node.get("overrideMandatory") is True,
        )
        return
    found = find_interface(files, interface)
    if found is None:
        graph.rows.append(
            Row(
                Outcome.NEEDS_YOU,
                f"node {name}",
                f"no package has the interface `{interface}`",
                place,
                "Put the package's folder below `packages` of the project, and import it again.",
            )
        )
        return
    category, body, package = found
    graph.nodes[name] = Node(name, place, category, body, package, text(node.get("launch")))


def find_interface(
    files: ProjectFiles, reference: str
) -> tuple[Category, Mapping[str, Any], PackageFiles | None] | None:
    """The interface ``account::package.interface``. Account numbers differ between files, and are passed over."""
    match = re.fullmatch(r"(?:[^:]*::)?([^.]+)\.(.+)", reference)
    if match is None:
        return None
    wanted, interface = match.groups()
    if wanted in _STOCK:
        category, body = _STOCK[wanted]
        return category, body, None
    candidates = [files_ for files_ in files.packages if package_name(files_) == wanted]
    candidates = candidates or [files_ for files_ in files.packages if f"-{wanted}-" in f"{files_.folder}-"]
    for package in candidates:
        for _, body in entries(package_body(package).get("interfaces")):
            if text(body.get("name")) == interface and text(body.get("category")) in set(Category):
                return Category(text(body.get("category"))), body, package
    return None


def package_body(package: PackageFiles) -> Mapping[str, Any]:
    """``nodePackage`` of a package; empty where there is none."""
    body = package.package.value.get("nodePackage")
    return body if isinstance(body, dict) else {}


def package_name(package: PackageFiles) -> str:
    """Name of a package, as its own file says."""
    return text(package_body(package).get("name"))


def implementation(package: PackageFiles, interface: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first implementation of an interface's asset; empty where the file names none."""
    for _, asset in entries(package_body(package).get("assets")):
        if asset.get("name") == interface.get("asset"):
            for _, found in entries(asset.get("implementations")):
                return found
    return {}


def descriptor(
    files: ProjectFiles, package: PackageFiles, interface: Mapping[str, Any], kind: str
) -> tuple[Mapping[str, Any], str] | None:
    """The descriptor of an interface, and where it stands.

    It is named by the asset's implementation; where that is a stub, as before packaging, it is the one in the package's
    folder whose name fits.

    Args:
        files: the project.
        package: whose interface it is.
        interface: of which.
        kind: ``mlModelDescriptor`` or ``runtimeDescriptor``.
    """
    uri = text(implementation(package, interface).get("descriptorUri"))
    named = files.asset_descriptors.get(uri.rpartition("/")[2])
    asset = text(interface.get("asset")).removesuffix("_asset").casefold()
    own = [one for one in package.descriptors if isinstance(one.value.get(kind), dict)]
    fitting = [one for one in own if asset and asset in one.path.rpartition("/")[2].casefold()]
    for one in (*((named,) if named is not None else ()), *(fitting if len(own) > 1 else own)):
        body = one.value.get(kind)
        if isinstance(body, dict):
            return body, f"{one.path} {kind}"
    return None
