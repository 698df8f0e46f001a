"""X12: what is locked has digests and names no registry; what a running edge side imports is in the bill of materials."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable, Mapping
from email.parser import Parser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name, parse_wheel_filename

from infra.assets import functions_asset
from infra.settings import LambdaPlatform
from tests.actions.plc import UNIT, Plc
from tests.conftest import REPOSITORY
from tests.edge.made_up import ZONE, application, clip, model
from tests.edge.running import Watched, wait_until
from tests.faults import scorecard
from tests.faults.scorecard import Control, Row
from tests.faults.security.audit import LOCKS, PROGRAM, audit, best, told
from tests.faults.security.imports import libraries, note_imports, noted
from vedette.contracts.errors import UsageError
from vedette.contracts.manifest import Manifest
from vedette.contracts.privacy import Privacy
from vedette.local.building.packed import functions_sbom, tree_sbom
from vedette.local.building.settings import wheel_cache
from vedette.local.building.wheels import WheelCache
from vedette.local.camera_arguments import parse_device_arguments
from vedette.local.component_tree import BuildSettings, build_tree
from vedette.local.edge import Edge, EdgeSettings, RunApplication
from vedette.local.layout import component_environment

#: Process → the component whose artefact it comes from.
PARTS = {
    "camera_ingest": "vedette.CameraIngest",
    "inference": "vedette.Inference",
    "alerting": "vedette.Alerting",
    "app_host": "vedette.AppHost",
    "device_agent": "vedette.DeviceAgent",
}
PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[^\]]*\])?==\S+( ; [^#]+?)?( --hash=sha256:[0-9a-f]{64})+")
HOOK = """
def on_tracks(app, batch):
    if batch.objects and not app.state.get("told"):
        app.state["told"] = True
        app.alert("came", objects=batch.objects)
"""


def pins(text: str) -> list[str]:
    """Requirements of a lock, each in one line."""
    joined = text.replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in joined if line.strip() and not line.lstrip().startswith("#")]


def loose(text: str) -> list[str]:
    """Lines without version and digest, options among them; and whatever has an address, comments among them."""
    found = [line for line in pins(text) if not PIN.fullmatch(line)]
    return found + [line for line in text.splitlines() if "://" in line or "index-url" in line or " @ " in line]


def missing(imported: Mapping[str, Iterable[str]], document: bytes) -> list[str]:
    """``process: distribution`` for each that its component's part of the document lacks."""
    found = []
    for program, names in sorted(imported.items()):
        there = libraries(document, PARTS[program])
        found += [f"{program}: {name}" for name in sorted(set(names) - there)]
    return found


def without(document: bytes, name: str) -> bytes:
    """The document with one distribution taken out."""
    read: dict[str, Any] = json.loads(document)
    gone = {one["bom-ref"] for one in read["components"] if one["name"] == name}
    read["components"] = [one for one in read["components"] if one["bom-ref"] not in gone]
    for one in read["dependencies"]:
        one["dependsOn"] = [reference for reference in one["dependsOn"] if reference not in gone]
    return json.dumps(read).encode()


def functions_apart() -> list[str]:
    """Wheels in the functions' zip, as pip unpacked them, that their bill of materials has otherwise or not at all."""
    asset = functions_asset(LambdaPlatform.ARM64)
    unpacked = set[tuple[str, str, str]]()
    for folder in asset.glob("*.dist-info"):
        about = Parser().parsestr((folder / "METADATA").read_text("utf-8"))
        tags = set(Parser().parsestr((folder / "WHEEL").read_text("utf-8")).get_all("Tag") or [])
        unpacked |= {(str(canonicalize_name(about["Name"])), str(about["Version"]), tag) for tag in tags}
    read = json.loads(functions_sbom(WheelCache(wheel_cache())))
    listed = set[tuple[str, str, str]]()
    for one in (one for one in read["components"] if one["type"] == "library"):
        tags = {str(tag) for tag in parse_wheel_filename(one["properties"][0]["value"])[3]}
        listed |= {(one["name"], one["version"], tag) for tag in tags}
    if len(unpacked) < 5:
        return [f"functions: only {len(unpacked)} wheels found in {asset}"]
    return [f"functions: {' '.join(one)}" for one in sorted(unpacked ^ listed)]


def site(root: Path, plc: Plc) -> Manifest:
    """A model, a hook, evidence, and signals to a PLC by two protocols; nobody answers the second."""
    (root / "hooks.py").write_text(HOOK)
    coil = {"type": "modbus", "host": "127.0.0.1", "port": plc.port, "unit": UNIT, "write": "coil", "address": 3}
    node = {"type": "opcua", "endpoint": "opc.tcp://127.0.0.1:1/x", "node": "ns=2;s=a", "value_type": "Boolean"}
    return application(
        "gate",
        model(root),
        ["gate"],
        {"enters": {"type": "zone_entered", "zone": ZONE, "actions": ["coil", "node"]}},
        hooks={"seen": {"file": "hooks.py", "cameras": ["gate"], "severity": "info"}},
        evidence={"clip": {"before_s": 0.5, "after_s": 0.5}},
        privacy="none",
        actions={"coil": coil, "node": node},
    )


def run_edge(root: Path) -> dict[str, set[str]]:
    """What the processes of an edge side imported until each part of it had its work."""
    recording = clip(root / "gate.mp4", ((1.0, 3.0), (5.0, 7.0)), 9.0)
    plc = Plc()
    app = site(root, plc)
    bound = parse_device_arguments([app], [f"gate={recording}"], loop=True)
    settings = EdgeSettings(
        applications=(RunApplication(app, bound.bindings["gate"], directory=root),),
        cameras=bound.cameras,
        secrets=bound.secrets,
        root=root / "run",
        alerts_file=root / "watched.jsonl",
        thing_name="test-device",
        privacy_ceiling=Privacy.NONE,
    )
    try:
        with Edge(settings) as edge:
            watched = Watched(edge, root / "watched.jsonl")
            wait_until(
                lambda: {one.rule for one in watched.alerts()} >= {"enters", "seen"}, 90, "alerts of rule and hook"
            )
            wait_until(lambda: bool(plc.times(3)), 30, "a signal to the PLC")
            evidence = settings.state_directory / "evidence"
            wait_until(lambda: any(evidence.rglob("*.mp4")), 60, "a clip")
            wait_until(lambda: "asyncua" in noted(root).get("alerting", ()), 60, "a try at the OPC UA server")
    finally:
        plc.down()
    return noted(root)


@pytest.mark.processes
def test_x12_locks_and_bill_of_materials(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun_s = time.monotonic()
    locked = {path.name: path.read_text("utf-8") for path in LOCKS}
    bad = [f"{name}: {line}" for name, text in locked.items() for line in loose(text)]
    bad += [
        f"{one.name}: no lock" for one in (REPOSITORY / "requirements").glob("*.in") if f"{one.stem}.txt" not in locked
    ]
    number = sum(len(pins(text)) for text in locked.values())

    tree = short_tmp / "tree"
    try:
        build_tree(tree, BuildSettings.choose())
    except UsageError as error:
        pytest.skip(f"needs the wheels of the lock: {error.message[:150]}")
    document = tree_sbom(tree)
    place = note_imports(short_tmp)
    monkeypatch.setattr(
        "vedette.local.engine.component_environment",
        lambda **told: {**component_environment(**told), "PYTHONPATH": str(place)},
    )
    imported = {name: found for name, found in run_edge(short_tmp).items() if name in PARTS}
    lacking = missing(imported, document) + functions_apart()

    seeded = loose(
        "--extra-index-url https://a.example/simple\nnumpy==2.0\nwheel @ file:///x.whl\npip>=1 --hash=sha256:"
        + "0" * 64
    )
    taken = missing(imported, without(document, "pyyaml"))
    users = sum("pyyaml" in names for names in imported.values())
    seen = len(seeded) == 6 and len(taken) - len(lacking) == users > 0
    every = set().union(*imported.values())
    row = Row(
        "X12",
        "locked without a digest, naming a registry, or imported by a running edge side and missing in its bill of materials",
        len(bad) + len(lacking),
        "libraries",
        number + sum(map(len, imported.values())),
        "0; 0; 0",
        passed=not bad and not lacking and seen and len(imported) >= 4,
        control=Control(
            "four loose lines, two with an address, in a lock; PyYAML taken out of the document: all seen",
            len(seeded) + len(taken) - len(lacking),
            seen,
        ),
        notes=f"{number} pins in {len(locked)} files of requirements/. Noted by the processes of {', '.join(sorted(imported))} "
        f"themselves, each compared with its own component's part: {len(every)} distributions ({', '.join(sorted(every))}) of "
        f"{len(libraries(document))} in the document. Bad: {bad or 'none'}; missing: {lacking or 'none'}. "
        "The functions' zip is compared wheel by wheel with theirs. vedette.DeviceAgent, which runs in fleets only, and what the hook's "
        "own walls let nobody note are covered by the walk over all imports in tests/building/test_artefacts.py.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row


class Osv(BaseHTTPRequestHandler):
    """A data base that knows weaknesses of two packages, in OSV's form."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"].lower()
        known = [{"id": f"TEST-{name}", "affected": [], "summary": "a test"}] if name in ("requests", "numpy") else []
        body = json.dumps({"vulns": known} if known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_x12_known_weaknesses() -> None:
    begun_s = time.monotonic()
    if not PROGRAM.exists():
        pytest.skip("X12-known is not measured here: pip-audit is not installed (make audit)")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Osv)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        seeded = audit("osv", address=f"http://127.0.0.1:{server.server_port}/v1/query")
    finally:
        server.shutdown()
        server.server_close()
    assert seeded.complete, seeded
    assert seeded.control == 1
    seen = [one.partition("==")[0] for one in seeded.weak]
    assert set(seen) == {"numpy", "requests"}, "a made-up data base that knows two of ours"
    found = best()
    if not found.measured and not found.weak:
        pytest.skip(f"X12-known is not measured here. {told(found)}")
    row = Row(
        "X12-known",
        "known weaknesses of locked dependencies" + (", of those that are the newest release" if found.unknown else ""),
        len(found.weak),
        "versions",
        max(found.asked, 1),
        "0",
        passed=not found.weak and found.control > 0,
        control=Control("a release with known weaknesses beside them: named", found.control, found.control > 0),
        notes=f"All severities, told by: {found.service}. Weak: {', '.join(found.weak) or 'none'}. Not measured here, because the "
        f"service says nothing of them: {', '.join(found.unknown) or 'none'}.",
    )
    scorecard.record(row, time.monotonic() - begun_s)
    assert row.passed, row
