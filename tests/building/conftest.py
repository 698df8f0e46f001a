"""A tree for this machine, with its libraries, built once."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import yaml

from tests.building.made_wheels import write_wheel
from tests.edge.made_up import ZONE, clip, model
from tests.panorama.tiny import mean_model
from vedette.contracts.errors import UsageError
from vedette.local.application_tree import BuiltApplication, build_application
from vedette.local.building.archive import source_files
from vedette.local.building.package_wheel import package_members
from vedette.local.component_tree import BuildSettings, Built, build_tree
from vedette.local.data import data_directory

T = TypeVar("T")

HOOK = """
import json
from pathlib import Path

LIMITS = json.loads((Path(__file__).parent / "limits.json").read_text())

def on_tracks(app, batch):
    there = len(batch.objects) >= LIMITS["objects"]
    if there != app.state.get("there", False):
        app.state["there"] = there
        app.alert("came" if there else "went", objects=batch.objects)
"""

#: Panorama code that draws a rectangle where the picture is bright, with a package that only its own environment has.
PANORAMA_CODE = """
import numpy as np
import needed_here
import panoramasdk


class Application(panoramasdk.node):
    def run(self):
        print("runs with", needed_here.__path__[0], flush=True)
        while True:
            pictures = self.inputs.video_in.get()
            for picture in pictures:
                height, width = picture.image.shape[:2]
                middle = picture.image[height // 3 : height * 2 // 3, width * 2 // 5 : width * 3 // 5]
                tensor = np.full((1, 3, 8, 8), middle.mean() / 255, np.float32)
                if self.call({"data": tensor}, "brightness")[0].mean() > self.inputs.threshold.get():
                    picture.add_rect(1 / 3, 0.25, 2 / 3, 0.75)
                    picture.add_label("thing", 1 / 3, 0.25)
            self.outputs.video_out.put(pictures)


Application().run()
"""


def or_skip(build: Callable[[], T]) -> T:
    """What was built; the test is skipped where the wheels cannot be downloaded and were not before."""
    try:
        return build()
    except UsageError as error:
        if error.code == "V710" and "downloaded" in error.message:
            pytest.skip(f"needs wheels that pip cannot download here: {error.message[:200]}")
        raise


def write_application(folder: Path) -> Path:
    """An application with a model beside it, a rule, a hook that reads a file, and a test with its recording."""
    folder.mkdir(parents=True)
    (folder / "nets").mkdir()
    model(folder / "nets")
    (folder / "hooks.py").write_text(HOOK)
    (folder / "limits.json").write_text('{"objects": 1}')
    (folder / ".secret").write_text("hidden files stay at home")
    (folder / "tests").mkdir()
    recording = clip(folder / "tests" / "visit.mkv", [(1.0, 2.0)], 3.0)
    digest = hashlib.sha256(recording.read_bytes()).hexdigest()
    test = {
        "api": "vedette-test/v1",
        "clips": {"gate": {"file": recording.name, "sha256": digest}},
        "rules": ["enters"],
        "alerts": [{"rule": "enters", "camera": "gate", "between_s": [0.5, 2.5]}],
    }
    (folder / "tests" / "visit.yaml").write_text(yaml.safe_dump(test))
    document = {
        "api": "vedette/v1",
        "name": "visits",
        "version": "1.2.3",
        "cameras": {"gate": {}},
        "models": {"objects": {"family": "yolox", "file": "nets/rectangle.onnx", "labels": ["thing", "other"]}},
        "pipelines": {"main": {"model": "objects", "cameras": ["gate"], "fps": 10, "tracker": {"lost_s": 0.5}}},
        "rules": {"enters": {"type": "zone_entered", "zone": ZONE, "severity": "info", "actions": ["cloud"]}},
        "hooks": {"visits": {"file": "hooks.py", "cameras": ["gate"], "severity": "info", "actions": ["cloud"]}},
        "actions": {"cloud": {"type": "iot_core"}},
    }
    (folder / "vedette.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


@pytest.fixture(scope="session")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A search path whose `sync` does nothing: the real one waits for whatever else this machine writes."""
    folder = tmp_path_factory.mktemp("impatient")
    (folder / "sync").symlink_to(str(shutil.which("true")))
    return f"{folder}:{os.environ['PATH']}"


@pytest.fixture(scope="session")
def application_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application's sources."""
    return write_application(tmp_path_factory.mktemp("application") / "visits")


def sources() -> str:
    """Digest of everything of ours that a build packs."""
    members = [*package_members(), *source_files(data_directory("components"), "components")]
    members += source_files(data_directory("recipes"), "recipes")
    told = hashlib.sha256()
    for member in members:
        content = member.source if isinstance(member.source, bytes) else member.source.read_bytes()
        told.update(f"{member.name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return told.hexdigest()


@pytest.fixture(scope="session")
def built_of() -> str:
    """Which sources the builds of this session are of."""
    return sources()


@pytest.fixture(scope="session")
def built_tree(tmp_path_factory: pytest.TempPathFactory, built_of: str) -> Path:
    """A tree of our components for this machine."""
    tree = tmp_path_factory.mktemp("built")
    or_skip(lambda: build_tree(tree, BuildSettings.choose()))
    return tree


@pytest.fixture(scope="session")
def built_components(built_tree: Path) -> tuple[Built, ...]:
    """What is in it."""
    from vedette.local.component_tree import read_tree

    return read_tree(built_tree)


@pytest.fixture(scope="session")
def built_application(
    tmp_path_factory: pytest.TempPathFactory, application_folder: Path, built_of: str
) -> BuiltApplication:
    """The application's components, in a tree of their own."""
    tree = tmp_path_factory.mktemp("built-application")
    return or_skip(lambda: build_application(application_folder, tree, BuildSettings.choose()))


@pytest.fixture(scope="session")
def built_panorama(tmp_path_factory: pytest.TempPathFactory, built_of: str) -> BuiltApplication:
    """The components of an application with Panorama code that brings an environment of its own, in their own tree."""
    folder = write_panorama(tmp_path_factory.mktemp("panorama"))
    tree = tmp_path_factory.mktemp("built-panorama")
    return or_skip(lambda: build_application(folder, tree, BuildSettings.choose()))


def write_panorama(folder: Path) -> Path:
    """An application with Panorama code, a model, and packages: NumPy and one that is on this machine only."""
    (folder / "code").mkdir()
    (folder / "code" / "application.py").write_text(PANORAMA_CODE)
    (folder / "brightness.onnx").write_bytes(mean_model())
    (folder / "wheels").mkdir()
    write_wheel(folder / "wheels", "needed-here", "2.5", needs=("numpy",))
    (folder / "requirements.txt").write_text(f"--find-links {folder / 'wheels'}\nneeded-here==2.5\n")
    tensor = {"name": "data", "shape": [1, 3, 8, 8]}
    document = {
        "api": "vedette/v1",
        "name": "drawn",
        "cameras": {"gate": {}},
        "models": {"brightness": {"family": "tensors", "file": "brightness.onnx", "tensors": [tensor]}},
        "parameters": {"threshold": {"default": 0.5, "min": 0.0, "max": 2.0}},
        "panorama": {
            "entry": ["python3", "/panorama/application.py"],
            "inputs": {"video_in": ["gate"]},
            "parameters": {"threshold": {"type": "float32", "parameter": "threshold"}},
            "outputs": ["video_out"],
            "models": {"brightness": "brightness"},
            "fps": 10,
            "requirements": "requirements.txt",
            "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        },
        "rules": {"visit": {"type": "zone_entered", "zone": ZONE, "labels": ["thing"], "actions": ["cloud"]}},
        "actions": {"cloud": {"type": "iot_core"}},
    }
    (folder / "vedette.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return folder
