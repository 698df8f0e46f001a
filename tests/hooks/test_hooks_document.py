"""What docs/hooks.md shows is true: the manifest validates, the code does what it says, its test passes."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.hooks.confined import Confined
from tests.hooks.rig import batch as track_batch
from tests.hooks.rig import plan
from vedette.adapters.confinement.walls import Wall
from vedette.adapters.manifest import check_manifest
from vedette.cli.hook_view import WALLS
from vedette.contracts.plan import HookCamera, HookRoute
from vedette.hooks import App, Batch, Frame, TrackedObject

DOCUMENT = (REPOSITORY / "docs" / "hooks.md").read_text("utf-8")


def block(name: str) -> str:
    found = re.search(rf"```\w+\n# {re.escape(name)}\n(.*?)```", DOCUMENT, re.S)
    assert found is not None, name
    return found[1]


@pytest.fixture
def hooks(tmp_path: Path) -> Iterator[ModuleType]:
    (tmp_path / "hooks.py").write_text(block("hooks.py"))
    spec = importlib.util.spec_from_file_location("hooks", tmp_path / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hooks"] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules["hooks"]


def test_the_manifest_has_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "vedette.yaml").write_text(block("vedette.yaml"))
    (tmp_path / "hooks.py").write_text(block("hooks.py"))
    assert check_manifest(tmp_path) == []


def test_its_test_passes(hooks: ModuleType) -> None:
    names: dict[str, Any] = {}
    exec(block("test_hooks.py"), names)
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    test()


def test_the_rest_of_it(hooks: ModuleType) -> None:
    app = App(cameras=["hall", "yard"])
    app.handle(hooks.setup, setup=True)
    person = TrackedObject(7, "person", (10, 20, 30, 60))
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert app.handle(hooks.on_tracks, Batch("hall", (person,), time=noon)) == ()

    def frame(value: int) -> Frame:
        return Frame("hall", lambda _kind: np.full((4, 4), value, np.uint8))

    assert [len(app.handle(hooks.on_frame, frame(value))) for value in (100, 10, 10, 100, 10)] == [0, 1, 0, 0, 1]
    (alert,) = app.handle(app.timers[0][1])
    assert alert.message == "0 came in from the yard so far"
    assert alert.key.startswith("report 20")


@pytest.mark.processes
def test_it_runs_confined(short_tmp: Path) -> None:
    cameras = tuple(HookCamera(app_camera=name, camera=name) for name in ("hall", "yard"))
    routes = tuple(HookRoute(pipeline="app/main", app_camera=name, camera=name) for name in ("hall", "yard"))
    one = Confined(short_tmp, block("hooks.py"), cameras=cameras, routes=routes)
    try:
        assert one.start().functions == ("setup", "on_tracks", "on_frame")
        assert one.runner.tracks("yard", track_batch(1, "yard")).alerts == ()
        (alert,) = one.runner.tracks("hall", track_batch(2, "hall", people=1)).alerts
        assert alert.message == "someone came in from the yard"
        assert alert.count == 1
    finally:
        one.close()
    assert plan().key == "app/greeter"


def test_every_wall_is_explained() -> None:
    assert set(WALLS) == {wall.value for wall in Wall}
    section = DOCUMENT.partition("## What it can reach")[2]
    for words in (
        "seccomp",
        "Landlock",
        "file system of its own",
        "network of its own",
        "process numbers",
        "root",
        "limits",
    ):
        assert words in section
