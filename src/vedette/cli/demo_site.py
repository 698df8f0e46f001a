"""``vedette demo --site``: four recordings as cameras, watched by the real components."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from rich.console import Console

from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore
from vedette.cli.run import with_resolved_models
from vedette.cli.session import Session
from vedette.cli.viewer import Viewer
from vedette.contracts.errors import UsageError
from vedette.local.camera_arguments import parse_camera_arguments
from vedette.local.data import data_directory
from vedette.local.edge import EdgeSettings, RunApplication
from vedette.local.simulated import SimulatedCameras

FOOTAGE: Final = {
    "hall": "one-by-one-person-detection.mp4",
    "floor": "worker-zone-detection.gif",
    "lane": "car-detection.mp4",
    "shelf": "bottle-detection.mp4",
}
MODEL: Final = "yolox_nano.onnx"


def site_demo(console: Console, root: Path, footage: Path, *, limit_s: float, headless: bool, keep: bool) -> None:
    """Serve the recordings and watch them for ``limit_s``; everything is written under ``root``."""
    store = ModelStore(root / "models")
    store.add_file(footage / "models" / MODEL)
    path = data_directory("examples") / "site_watch" / "vedette.yaml"
    manifest = with_resolved_models(load_manifest(path), path.parent, store)
    files = {name: footage / "videos" / file for name, file in FOOTAGE.items()}
    with SimulatedCameras(files, log_file=root / "simulator.log") as cameras:
        console.print("[bold]cameras[/bold]  " + "  ".join(f"{name} {url}" for name, url in cameras.urls.items()))
        arguments = parse_camera_arguments(manifest, [f"{name}={url}" for name, url in cameras.urls.items()])
        settings = EdgeSettings(
            applications=(RunApplication(manifest, arguments.bindings),),
            cameras=arguments.cameras,
            root=root,
            alerts_file=root / "alerts.jsonl",
            thing_name="demo",
        )
        session = Session(settings, lambda gone: Viewer(gone, notes=console, alerts=console), keep=keep)
        session.run(limit_s, headless=headless)


def footage_folder(given: Path | None) -> Path:
    """The folder with ``videos`` and ``models``.

    Raises:
        UsageError: V702, there is none.
    """
    environment = os.environ.get("VEDETTE_DATA")
    named = [("--data", given), ("VEDETTE_DATA", Path(environment) if environment else None)]
    for source, folder in named:
        if folder is None:
            continue
        if (folder / "videos").is_dir():
            return folder
        raise UsageError(
            f"{source} {folder} has no folder videos/ with recordings.",
            hint="Name the folder that holds videos/ and models/yolox_nano.onnx.",
            code="V702",
        )
    folder = data_directory("examples").parent.parent / "shared" / "data"
    if (folder / "videos").is_dir():
        return folder
    raise UsageError(
        "`vedette demo --site` needs a folder with recordings (videos/) and a model (models/yolox_nano.onnx), "
        "and found none.",
        hint="Say where it is with --data DIR or VEDETTE_DATA. `vedette demo` needs no recordings.",
        code="V702",
    )
