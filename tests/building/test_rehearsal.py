"""What a device does with a built tree: the artefacts alone, no checkout, no network; a picture in, an alert out."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.processes import descendants
from tests.conftest import REPOSITORY
from tests.edge.made_up import clip
from tests.edge.running import wait_until
from vedette.local.application_tree import BuiltApplication
from vedette.local.core import ComponentSpec, ComponentState, FileIot, LocalCore, LocalCoreConfig
from vedette.local.ledger import Ledger
from vedette.local.simulated import SimulatedCameras

pytestmark = [pytest.mark.processes, pytest.mark.slow]

INSTALL_LIMIT_S = 150.0
OURS = ("vedette.CameraIngest", "vedette.Inference", "vedette.Alerting", "vedette.AppHost")
APPLICATION, CANDIDATE = "vedette.app.visits", "vedette.candidate.visits"
PANORAMA = "vedette.app.drawn"


@pytest.mark.timeout(400)
def test_a_device_needs_nothing_but_the_tree(
    built_tree: Path,
    built_application: BuiltApplication,
    built_panorama: BuiltApplication,
    short_tmp: Path,
    impatient: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", impatient)
    short_tmp.chmod(0o755)  # Panorama code runs as a user of its own
    tree = short_tmp / "tree"
    ignore = shutil.ignore_patterns("build.json", "sbom.cdx.json")  # a nucleus knows nothing of these
    shutil.copytree(built_tree, tree, copy_function=os.link, ignore=ignore)  # gigabytes, which nobody changes
    for built in (built_application, built_panorama):
        ours = built.components[0].recipe.parent.parent
        shutil.copytree(ours, tree, copy_function=os.link, ignore=ignore, dirs_exist_ok=True)
    files = {"gate": clip(short_tmp / "gate.mkv", [(1.0, 2.5)], 4.0)}
    common = {"stateDirectory": str(short_tmp / "state"), "logLevel": "INFO"}
    ledger_file = short_tmp / "iot-core.jsonl"
    config = LocalCoreConfig(
        root=short_tmp / "core",
        thing_name="rehearsal",
        recipe_dirs=(tree / "recipes",),
        artifact_dirs=(tree / "artifacts",),
        iot=FileIot(ledger_file),
        lite_quirks=True,
    )
    with SimulatedCameras(files, log_file=short_tmp / "cameras.log") as cameras, LocalCore(config) as core:
        specs = {name: ComponentSpec(configuration_merge=common) for name in OURS}
        seen = {"gate": {"url": cameras.urls["gate"]}}
        specs[OURS[0]] = ComponentSpec(configuration_merge={**common, "cameras": seen})
        specs[APPLICATION] = ComponentSpec(configuration_merge=common)
        core.deploy(specs)
        for name in specs:
            core.wait_for(name, ComponentState.RUNNING, INSTALL_LIMIT_S)
        ledger = Ledger(Path(f"{ledger_file}.ledger"))
        try:
            wait_until(
                lambda: {"enters", "visits"} <= {message["alert"]["rule"] for message in ledger.alerts()},
                90,
                "an alert of the rule and one of the hook in the account's ledger",
            )
        finally:
            ledger.close()
        task = {"rollout_id": "rehearsal-1", "policy": {"frames": 50}}
        core.deploy({CANDIDATE: ComponentSpec(configuration_merge={**common, "task": task})})
        core.wait_for(CANDIDATE, ComponentState.RUNNING, INSTALL_LIMIT_S)
        wait_until(lambda: bool(comparisons(ledger_file)), 60, "the candidate's report")
        report = comparisons(ledger_file)[-1]
        assert report["golden"] == {"total": 1, "failed": 0, "lacking": 0, "failures": []}
        assert report["problem"] == ""
        states = core.states()
        assert {status.failures for status in states.values()} == {0}
        checked = 0
        for name in (*specs, CANDIDATE):
            pid = states[name].pid
            assert pid is not None
            checked += sum(check_process(each, short_tmp / "core" / "work" / name) for each in descendants([pid]))
        assert checked >= len(specs) + 4  # a camera, a model, a judge, a hook
        core.deploy({PANORAMA: ComponentSpec(configuration_merge=common)})
        core.wait_for(PANORAMA, ComponentState.RUNNING, INSTALL_LIMIT_S)
        check_panorama(core, short_tmp)


def check_panorama(core: LocalCore, root: Path) -> None:
    """What the code draws raises alerts; it runs with the packages that its own artefact brought."""
    with closing(Ledger(root / "iot-core.jsonl.ledger")) as ledger:
        wait_until(
            lambda: "drawn" in {message["alert"]["application"] for message in ledger.alerts()},
            60,
            "an alert of what Panorama code draws",
        )
    packages = root / "core" / "work" / PANORAMA
    (printed,) = {line for line in core.log_path(OURS[-1]).read_text().splitlines() if "runs with" in line}
    assert f"{packages}/code-venv" in printed
    assert "needed_here" in printed
    assert "runs with" in (root / "state" / "panorama" / "drawn" / "logs" / "console_output").read_text()


def comparisons(iot_file: Path) -> list[dict[str, Any]]:
    """What candidates sent to the account."""
    messages = (json.loads(line) for line in iot_file.read_text().splitlines())
    return [one["payload"] for one in messages if one["topic"].endswith("/comparison")]


def check_process(pid: int, work: Path) -> bool:
    """The process runs what was built, by the environment made from it, and has nothing of this checkout open."""
    process = Path(f"/proc/{pid}")
    try:
        command = process.joinpath("cmdline").read_bytes().decode().split("\0")
        environment = process.joinpath("environ").read_bytes().decode()
        maps = process.joinpath("maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False  # it has ended meanwhile
    assert command[0].startswith(f"{work}/venv-"), command
    assert {"-s", "-P"} <= set(command), command
    assert str(REPOSITORY) not in maps, [line for line in maps.splitlines() if str(REPOSITORY) in line]
    variables = dict(entry.split("=", 1) for entry in environment.split("\0") if "=" in entry)
    assert str(REPOSITORY) not in variables.get("PYTHONPATH", "")
    libraries = {line.split()[-1] for line in maps.splitlines() if "/site-packages/" in line}
    assert {library for library in libraries if not library.startswith(f"{work}/venv-")} == set()
    return True


def test_the_application_was_packed_as_it_is(built_application: BuiltApplication, tmp_path: Path) -> None:
    import zipfile

    built, candidate = built_application.components
    assert built_application.notes == ()
    inside = {"hooks.py", "limits.json", "models/rectangle.onnx", "tests/visit.mkv", "tests/visit.yaml", "vedette.yaml"}
    with zipfile.ZipFile(built.artifacts[0].path) as archive:
        names = {name.removeprefix("application/") for name in archive.namelist() if name.startswith("application/")}
        assert names == inside
        manifest = json.loads(archive.read("application/vedette.yaml"))
    assert manifest["models"]["objects"]["file"] == "models/rectangle.onnx"
    assert len(manifest["models"]["objects"]["sha256"]) == 64
    with zipfile.ZipFile(candidate.artifacts[0].path) as archive:
        assert set(archive.namelist()) == {*inside, ".files.json"}
