"""``vedette import-panorama``: an application of AWS Panorama becomes one of Vedette, its code unchanged."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vedette.adapters.models.described import model_file
from vedette.adapters.panorama_project import read_json, read_project
from vedette.contracts.errors import UsageError
from vedette.core.panorama_import.mapping import Imported, import_project
from vedette.core.panorama_import.models import GivenModel
from vedette.core.panorama_import.overrides import Overrides, read_overrides
from vedette.core.panorama_import.report import Outcome
from vedette.local.panorama_application import REPORT, document, write_application

_STYLES = {Outcome.MAPPED: "green", Outcome.NEEDS_YOU: "bold yellow", Outcome.DROPPED: "dim"}


def import_panorama(
    directory: Annotated[Path, typer.Argument(help="The project: the folder with `graphs` and `packages`.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the application; one of its name here where absent.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="NODE=FILE.onnx: the model of a model node. Again for each.", metavar="NODE=FILE"),
    ] = None,
    override: Annotated[Path | None, typer.Option(help="An override file, whose values and cameras to use.")] = None,
    graph: Annotated[Path | None, typer.Option(help="Which graph, where the project has several.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write a folder anew; what you have changed is kept.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Make an application of a project that was written for AWS Panorama; its Python code is not changed.

    Needs the project's folder and nothing else. Says what was mapped, what needs you, and what was left out and why;
    the same stands in PANORAMA-IMPORT.md beside the new vedette.yaml.

    Examples:
        vedette import-panorama ./people-counter

        vedette import-panorama ./people-counter --model detector=yolox.onnx --out counter

        vedette import-panorama ./people-counter --override graphs/people-counter/override.json
    """
    files = read_project(directory, graph)
    paths = _models(model or [])
    given = {node: _given(path) for node, path in paths.items()}
    imported = import_project(files, given, _overrides(directory, override))
    target = out if out is not None else Path(imported.manifest["name"])
    nodes = imported.manifest["panorama"].get("models", {})
    commands = _next_commands(imported, target)
    kept = write_application(
        imported,
        directory.resolve(),
        target,
        {nodes[node]: path for node, path in paths.items() if node in nodes},
        commands,
        force=force,
    )
    if json_:
        print(json.dumps(document(imported, target, kept, commands)))
        return
    _print(imported, target, kept, commands)


def _models(options: Sequence[str]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for option in options:
        node, equals, file = option.partition("=")
        if not equals or not node or not file:
            raise UsageError(f"--model {option}: NODE=FILE.onnx is needed.", hint="--model detector=yolox.onnx")
        if node in paths:
            raise UsageError(f"--model names {node} twice.", hint="Give one file for each model node.")
        paths[node] = Path(file)
    return paths


def _given(path: Path) -> GivenModel:
    found = model_file(path)
    if found.header is None:
        raise UsageError(
            f"{path} is no ONNX file.",
            hint="Import without --model: the report names the command that makes an ONNX file of the project's model.",
        )
    return GivenModel(path.name, found.sha256, found.header.inputs)


def _overrides(directory: Path, override: Path | None) -> Overrides | None:
    if override is None:
        return None
    inside = directory / override
    path = inside if inside.is_file() else override
    return read_overrides(read_json(path.resolve(), directory.resolve()))


def _next_commands(imported: Imported, target: Path) -> list[str]:
    folder = shlex.quote(str(target))
    cameras = imported.manifest.get("cameras", {})
    options = [
        f"--camera {name}=rtsp://{device}/…" for name in cameras for device in imported.bindings.get(name, (name,))
    ]
    deploy = " ".join(f"--bind {name}={','.join(imported.bindings.get(name, ('CAMERA',)))}" for name in cameras)
    python = imported.manifest["panorama"].get("python", "3")
    packages = (
        [f"python{python} -m venv {folder}/venv && {folder}/venv/bin/pip install -r {folder}/requirements.txt"]
        if imported.code.requirements
        else []
    )
    return [
        *packages,
        f"vedette validate {folder}",
        f"vedette run {folder} {' '.join(options)}",
        f"vedette view {imported.manifest['name']}",
        f"vedette deploy {folder} --fleet FLEET {deploy}",
    ]


def _print(imported: Imported, target: Path, kept: Sequence[Path], commands: Sequence[str]) -> None:
    console = Console(highlight=False)
    table = Table(box=None, expand=True, header_style="bold")
    table.add_column("", no_wrap=True)
    for heading, ratio in (("what", 2), ("here", 3)):
        table.add_column(heading, ratio=ratio, overflow="fold")
    for row in sorted(imported.rows, key=lambda row: list(_STYLES).index(row.outcome)):
        table.add_row(Text(row.outcome.value, _STYLES[row.outcome]), Text(row.what), Text(row.how))
    console.print(table)
    for row in imported.rows:
        if row.outcome is Outcome.NEEDS_YOU and row.todo:
            console.print()
            console.print(Text(row.what, "bold yellow"), soft_wrap=True)
            console.print(Text(row.todo), soft_wrap=True)
    for path in kept:
        console.print(Text(f"{path} was changed since the last import, and is left as it is.", "yellow"))
    console.print()
    console.print(Text(f"{target}: application {imported.manifest['name']}; this report is in {REPORT}. Next:"))
    for command in commands:
        console.print(Text(f"  {command}"), soft_wrap=True)
