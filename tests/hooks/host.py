"""Components as Greengrass runs them, several on one state directory, each on a nucleus of the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from bench.processes import descendants
from tests.alerting.nucleus import Nucleus
from tests.conftest import REPOSITORY
from tests.hooks.rig import CAMERAS, DEVICE, PIPELINE
from vedette.adapters.hooks.code_files import code_digests
from vedette.contracts.manifest import Action, FileAction
from vedette.contracts.plan import HookCamera, HookPlan, HookRoute, Plan
from vedette.local.edge import EDGE_COMPONENTS


class Component:
    """One component.

    Args:
        name: such as ``vedette.AppHost``.
        folder: for its nucleus and its log.
        state: the state directory.
        configuration: beyond the recipe's.
    """

    def __init__(self, name: str, folder: Path, state: Path, **configuration: Any) -> None:
        recipe = yaml.safe_load((REPOSITORY / "recipes" / f"{name}.yaml").read_text())
        defaults = dict(recipe["ComponentConfiguration"]["DefaultConfiguration"])
        access = defaults.pop("accessControl")
        self.name = name
        folder.mkdir(parents=True)
        values = {**defaults, "stateDirectory": str(state), **configuration}
        self.nucleus = Nucleus(folder, access=access, configuration=values)
        self.state = state
        self.log = folder / "log.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            **os.environ,
            **self.nucleus.environment,
            "AWS_IOT_THING_NAME": DEVICE,
            "PYTHONPATH": f"{REPOSITORY / 'components'}:{REPOSITORY / 'src'}",
        }
        command = [sys.executable, "-s", "-P", "-m", EDGE_COMPONENTS[self.name]]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def pids(self, what: str) -> list[int]:
        """Processes below it whose command line holds a text."""
        if self.process is None or self.process.poll() is not None:
            return []
        found = []
        for pid in descendants([self.process.pid]):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if what.encode() in command:
                found.append(pid)
        return sorted(found)

    def status(self) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads((self.state / "run" / "status" / f"{self.name}.json").read_text())
        except (OSError, ValueError):
            return {}
        return document

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.nucleus.close()


def make_state(state: Path) -> None:
    """What ``vedette.CameraIngest`` makes."""
    for folder in ("run/status", "run/frames", "hooks", "apps"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    state.chmod(0o770)


def write_plan(state: Path, hooks: list[HookPlan], actions: dict[str, Action] | None = None, revision: int = 1) -> None:
    """Replace the plan."""
    chosen = actions if actions is not None else {f"{hook.application}/file": FileAction(type="file") for hook in hooks}
    content = Plan(revision=revision, hooks=tuple(hooks), actions=chosen)
    temporary = state / ".plan.tmp"
    temporary.write_text(content.model_dump_json())
    temporary.replace(state / "plan.json")


def application(folder: Path, name: str, source: str, **changes: Any) -> HookPlan:
    """An application with one hook, on disk, and its plan."""
    directory = folder / "applications" / name
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "hooks.py"
    file.write_text(source)
    for path in (directory, file):
        path.chmod(0o755)
    values: dict[str, Any] = {
        "application": name,
        "name": "greeter",
        "directory": str(directory),
        "file": "hooks.py",
        "code": code_digests(directory),
        "cameras": tuple(HookCamera(app_camera=camera, camera=camera) for camera in CAMERAS),
        "routes": tuple(HookRoute(pipeline=PIPELINE, app_camera=camera, camera=camera) for camera in CAMERAS),
        "actions": (f"{name}/file",),
    }
    return HookPlan.model_validate(values | changes)


def alerts(state: Path) -> list[dict[str, Any]]:
    """What the file action wrote."""
    try:
        return [json.loads(line) for line in (state / "alerts.jsonl").read_bytes().splitlines()]
    except OSError:
        return []


Check = Callable[[], Any]
