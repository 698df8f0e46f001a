"""Hooks in a backtest: the same alerts on every run, cameras side by side, timers by the recording."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore
from vedette.cli.run import with_resolved_models
from vedette.compose.backtest import Backtest
from vedette.contracts.alert import Alert
from vedette.contracts.camera import CameraConfig
from vedette.contracts.errors import HookError
from vedette.testing.models import bright_rectangle
from vedette.testing.synthetic import make_clip

pytestmark = pytest.mark.processes

MANIFEST = """\
api: vedette/v1
name: shop
cameras: {gate: {}, yard: {}}
models:
  bright: {family: yolox, file: bright.onnx, labels: [thing, other]}
pipelines:
  main: {model: bright, cameras: [gate, yard], fps: 5, tracker: {min_hits: 1}}
hooks:
  greeter:
    file: hooks.py
    cameras: [gate]
    frames_fps: 1
"""

TELLING = """
def setup(app):
    app.every(1, tick)
    app.alert("setup", camera="gate", key=f"setup {app.now:%H:%M:%S}")
def tick(app):
    app.state["ticks"] = app.state.get("ticks", 0) + 1
    app.alert(f"tick {app.state['ticks']}", camera="yard", key=f"{app.now:%H:%M:%S}")
def on_tracks(app, batch):
    app.state["order"] = (app.state.get("order", "") + batch.camera[0])[-400:]
    app.state["sum"] = (app.state.get("sum", 7) * 31 + batch.frame_no + len(batch.objects)) % 1_000_003
    if batch.frame_no % 25 == 0:
        words = f"{batch.camera} {batch.frame_no} {app.state['sum']} {app.state['order'][-6:]}"
        app.alert(words, objects=batch.objects)
def on_frame(app, frame):
    app.alert(f"picture {frame.frame_no} {frame.bgr().shape} {int(frame.gray().sum())}", key="picture")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shop")
    made.chmod(0o755)
    (made / "bright.onnx").write_bytes(bright_rectangle())
    for name, frames in (("gate", 100), ("yard", 90)):
        (made / f"{name}.mp4").write_bytes(make_clip(frames=frames, fps=25))
    return made


@pytest.fixture
def run(folder: Path) -> Callable[..., tuple[list[Alert], Backtest]]:
    def backtest(source: str, manifest: str = MANIFEST, **options: Any) -> tuple[list[Alert], Backtest]:
        (folder / "vedette.yaml").write_text(manifest)
        (folder / "hooks.py").write_text(source)
        (folder / "hooks.py").chmod(0o644)
        application = with_resolved_models(load_manifest(folder), folder, ModelStore(folder))
        cameras = [CameraConfig(name=name, url=str(folder / f"{name}.mp4")) for name in ("gate", "yard")]
        test = Backtest(application, folder, cameras, {}, **options)
        return list(test.alerts()), test

    return backtest


def test_every_run_gives_the_same_alerts(run: Callable[..., tuple[list[Alert], Backtest]]) -> None:
    first, test = run(TELLING)
    second, _ = run(TELLING, threads=1)
    assert first == second
    assert test.report.problems == test.report.hook_problems == ()
    messages = [alert.message for alert in first]
    assert messages[0] == "setup"
    assert [m for m in messages if m.startswith("tick")] == ["tick 1", "tick 2", "tick 3"]
    assert sum(m.startswith("picture") for m in messages) == 4
    times = [alert.time for alert in first]
    assert times == sorted(times), "all cameras in the order of time"
    orders = [m.split()[-1] for m in messages if m.startswith(("gate", "yard"))]
    assert all(set(order) == {"g", "y"} for order in orders[2:]), "side by side, not one after the other"
    assert all(alert.rule == "greeter" for alert in first)
    assert len({alert.alert_id for alert in first}) == len(first)


def test_what_fails_is_said_and_the_rest_goes_on(run: Callable[..., tuple[list[Alert], Backtest]]) -> None:
    source = """
import os
def on_tracks(app, batch):
    if batch.frame_no == 25:
        os._exit(3)
    if batch.frame_no == 50:
        raise ValueError("fifty")
    app.state["n"] = app.state.get("n", 0) + 1
    if batch.frame_no == 75:
        app.alert(f"{batch.camera} after {app.state['n']}")
"""
    alerts, test = run(source)
    assert len(alerts) == 2
    problems = " ".join(test.report.hook_problems)
    assert problems.count("exit code 3") == 2
    assert problems.count("ValueError: fifty") == 2
    assert "picture 25 of gate" in problems


def test_there_is_no_network(run: Callable[..., tuple[list[Alert], Backtest]]) -> None:
    source = """
import socket
def on_tracks(app, batch):
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1)
    except OSError as error:
        app.alert(str(error), key="net")
"""
    manifest = MANIFEST + "    network: [{host: 127.0.0.1, port: 9, allow_private: true}]\n"
    alerts, _ = run(source, manifest)
    assert "there is no network in a backtest" in alerts[0].message


def test_code_that_cannot_be_loaded_ends_it(run: Callable[..., tuple[list[Alert], Backtest]]) -> None:
    with pytest.raises(HookError) as caught:
        run("import nowhere\ndef on_tracks(app, batch): pass\n")
    assert caught.value.code == "V801"


def test_parameters_are_those_of_the_manifest(run: Callable[..., tuple[list[Alert], Backtest]]) -> None:
    source = (
        "def setup(app):\n    import json\n    app.alert(json.dumps(dict(app.parameters)), camera='gate', key='k')\n"
    )
    manifest = MANIFEST + "parameters:\n  limit: {default: 3}\n  places: {default: [a, b]}\n"
    alerts, _ = run(source, manifest)
    assert json.loads(alerts[0].message) == {"limit": 3, "places": ["a", "b"]}
