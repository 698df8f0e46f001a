"""Which modules can open a connection at all, and that none of those that send alerts can get hold of a picture."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Final

import grimp
import pytest

from tests.conftest import REPOSITORY

#: Whatever opens connections. ``urllib`` is looked at more closely below: most use only its parser.
_CLIENTS: Final = frozenset(
    {"socket", "ssl", "http", "smtplib", "ftplib", "aiohttp", "asyncio", "asyncua", "awscrt", "awsiot", "boto3"}
    | {"botocore", "requests", "httpx", "websockets", "urllib3", "paho", "onvif", "zeep", "wsdiscovery"}
    | {"socketserver", "xmlrpc"}
)

#: Modules (or packages) that may use them, and what for. A new one is added here on purpose or not at all.
_OUTWARD: Final = {
    "vedette.adapters.egress": "all that leaves towards receivers, each address checked",
    "vedette.adapters.bus.greengrass": "inter-process communication of Greengrass, which relays alerts to IoT Core",
    "vedette.adapters.models.download": "fetches models when a person asks for one",
    "vedette.adapters.discovery": "looks for cameras",
    "vedette.adapters.capture": "speaks to cameras",
    "vedette.compose.capture": "resolves the names of cameras",
    "vedette.adapters.hooks": "a confined hook's way out, to the peers of its manifest",
    "vedette.adapters.panorama.proxy": "Panorama code's way out, to the peers of its manifest, by the hooks' broker",
    "vedette.adapters.panorama.routes": "Panorama code's way in: loopback, or the address that its manifest names",
    "vedette.adapters.panorama.child": "runs inside a network without interfaces but its own loopback",
    "vedette.adapters.confinement.namespaces": "switches on the loopback interface of such a network",
    "vedette.adapters.aws": "the command line works on the owner's account; no component does",
    "vedette.cli": "commands that a person types",
    "vedette.local": "stands in for Greengrass on a laptop",
    "vedette.testing": "simulated cameras and machines",
}
#: Modules that may use sockets of this machine only; none of these may name an internet address family.
_LOCAL: Final = {
    "vedette.adapters.frames": "pictures, to authorised readers on this machine",
    "vedette.adapters.packets": "encoded video, to authorised readers on this machine",
    "vedette.adapters.journal.bell": "wakes readers of the journal",
    "vedette.adapters.state": "the state socket",
    "vedette.adapters.engines.dlr_link": "tensors, to the worker of a compiled model",
    "vedette.adapters.panorama": "pictures and tensors, to an application's code and to who looks, on this machine",
    "vedette.adapters.supervision.template": "descriptors, to the process that is copied for children",
    "vedette.adapters.unix_sockets": "modes of socket files",
    "vedette.compose": "passes sockets on",
}
_INTERNET: Final = ("AF_INET", "create_connection", "create_server", "getaddrinfo", "gethostbyname", "SOCK_RAW")

#: What carries pictures or encoded video.
_PIXELS: Final = (
    "cv2",
    "av",
    "vedette.core.pixels",
    "vedette.contracts.packets",
    "vedette.ports.frames",
    "vedette.ports.evidence",
    "vedette.adapters.frames",
    "vedette.adapters.packets",
    "vedette.adapters.evidence",
    "vedette.adapters.capture",
    "vedette.adapters.pictures",
)
#: What decides on, words and sends alerts and reports.
_SENDERS: Final = (
    "vedette.adapters.egress",
    "vedette.adapters.actions",
    "vedette.adapters.outbox",
    "vedette.adapters.bus",
    "vedette.core.messages",
    "vedette.core.templates",
    "vedette.contracts.alert",
    "vedette.contracts.insight",
    "vedette.pipeline.deliver",
    "vedette.pipeline.signal",
    "vedette.pipeline.uplink",
    "vedette.pipeline.send_reports",
)


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    sys.path.insert(0, str(REPOSITORY / "components"))
    try:
        names = ("camera_ingest", "inference", "alerting", "app_host")
        return grimp.build_graph("vedette", *names, include_external_packages=True, cache_dir=None)
    finally:
        sys.path.remove(str(REPOSITORY / "components"))


def _within(module: str, packages: object) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)  # type: ignore[attr-defined]


def _path(module: str) -> Path:
    base = REPOSITORY / "src" / module.replace(".", "/")
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def test_only_named_modules_can_open_a_connection(graph: grimp.ImportGraph) -> None:
    users = {
        module
        for client in _CLIENTS & graph.modules
        for module in graph.find_modules_that_directly_import(client)
        if module.partition(".")[0] == "vedette"
    }
    assert "vedette.adapters.egress.http" in users, "the graph sees what it is to see"
    unknown = sorted(module for module in users if not _within(module, {**_OUTWARD, **_LOCAL}))
    assert unknown == [], "these open connections; name them in _OUTWARD or _LOCAL with a reason, or use egress"


def test_local_sockets_stay_on_this_machine(graph: grimp.ImportGraph) -> None:
    for module in sorted(graph.find_modules_that_directly_import("socket")):
        if _within(module, _LOCAL) and not _within(module, _OUTWARD):
            source = _path(module).read_text()
            assert not [name for name in _INTERNET if name in source], module


def test_addresses_are_opened_by_urllib_in_named_places_only() -> None:
    users = set()
    for path in (REPOSITORY / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            if "urllib.request" in names:
                users.add(path.relative_to(REPOSITORY / "src").as_posix())
    assert users == {
        "vedette/adapters/models/download.py",
        "vedette/adapters/egress/package.py",  # an update's package, by a link to the account's own bucket
        "vedette/local/cloud/lifecycle.py",  # the account on this machine, on loopback
    }


def test_components_open_no_connection_of_their_own(graph: grimp.ImportGraph) -> None:
    for client in (_CLIENTS - {"awsiot"}) & graph.modules:
        users = graph.find_modules_that_directly_import(client)
        assert not [module for module in users if not module.startswith("vedette")], client


def test_nothing_that_sends_can_get_hold_of_a_picture(graph: grimp.ImportGraph) -> None:
    """No chain of imports, however long, leads from a sender to what holds pixels."""
    senders = [module for module in graph.modules if _within(module, _SENDERS)]
    pixels = [module for module in graph.modules if _within(module, _PIXELS)]
    assert len(senders) > 15
    assert len(pixels) > 15
    chains = [chain for s in senders for p in pixels if (chain := graph.find_shortest_chain(s, p)) is not None]
    assert chains == []


def test_the_look_for_chains_finds_one_where_there_is_one(graph: grimp.ImportGraph) -> None:
    """Positive control."""
    assert graph.find_shortest_chain("vedette.compose.capture", "vedette.adapters.frames.store") is not None
