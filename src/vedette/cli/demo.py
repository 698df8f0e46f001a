"""``vedette demo``: four simulated cameras, the whole edge side, alerts as they happen."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore
from vedette.cli.run import is_plain, parse_duration, with_resolved_models
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


def demo(
    for_: Annotated[str, typer.Option("--for", help="End after this time.")] = "60s",
    headless: Annotated[bool | None, typer.Option(help="Plain lines; the default where there is no terminal.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of footage and models; else VEDETTE_DATA.")] = None,
    keep: Annotated[bool, typer.Option(help="Keep the run's folder: journal, outbox, logs.")] = False,
) -> None:
    """Four recordings served as RTSP cameras, watched by the real components under LocalCore.

    Examples:
        vedette demo

        vedette demo --for 3m --keep
    """
    console = Console()
    footage = _footage_folder(data)
    plain = is_plain(console) if headless is None else headless
    limit_s = parse_duration(for_)
    for number in (signal.SIGTERM, signal.SIGHUP):  # from here on there is something to clean up
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    root = Path(tempfile.mkdtemp(prefix="vedette-demo-"))
    try:
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
            Session(settings, lambda gone: Viewer(gone, notes=console, alerts=console), keep=keep).run(
                limit_s, headless=plain
            )
        if keep:
            console.print(f"kept: {root}")
    finally:
        if not keep:
            shutil.rmtree(root, ignore_errors=True)


def _footage_folder(given: Path | None) -> Path:
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
        "the demo needs a folder with recordings (videos/) and a model (models/yolox_nano.onnx), and found none.",
        hint="Say where it is with --data DIR or VEDETTE_DATA, or use your own camera with `vedette run`.",
        code="V702",
    )
