"""``vedette app init``: the directory of a new application, ready to run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.manifest import load_manifest
from vedette.adapters.models.store import ModelStore, resolve_model
from vedette.cli.tables import key_value_table
from vedette.contracts.errors import ModelError, UsageError
from vedette.contracts.manifest import Manifest
from vedette.local.templates import FoundTemplate, find_template, find_templates, make_application


def init(
    name: Annotated[str | None, typer.Argument(help="The new application's name.", metavar="NAME")] = None,
    template: Annotated[str, typer.Option(help="What it begins as.")] = "blank",
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where to; a directory of its name here where absent.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the templates, one a line, and end.")] = False,
) -> None:
    """Make a new application from a template: it validates, its tests run, its README says how to go on.

    Examples:
        vedette app init --list

        vedette app init entrance

        vedette app init shop --template people_flow --dir ~/applications/shop
    """
    console = Console(highlight=False)
    if list_:
        table = key_value_table()
        for found in find_templates().values():
            table.add_row(f"[bold]{escape(found.name)}[/bold]", escape(found.about.summary))
        console.print(table)
        return
    if name is None:
        raise UsageError("the new application needs a name.", hint="vedette app init NAME; templates: --list")
    chosen = find_template(template)
    target = directory.expanduser() if directory is not None else Path(name)
    make_application(chosen, name, target)
    manifest = load_manifest(target)
    (target / "README.md").write_text(readme(chosen, manifest), "utf-8")
    console.print(f"{escape(str(target))}: application {escape(name)} from the template {escape(chosen.name)}. Next:")
    for command in [f"cd {shlex.quote(str(target))}", *next_commands(manifest, target)]:
        console.print(f"  {escape(command)}", soft_wrap=True)


def next_commands(manifest: Manifest, directory: Path) -> list[str]:
    """The three commands that come next, in the application's directory."""
    store = ModelStore.default()
    missing = []
    for model in manifest.models.values():
        if model.built_in:
            continue
        try:
            resolve_model(model.file, directory.absolute(), store)
        except ModelError:
            missing.append(model.file)
    first = " && ".join(f"vedette model add {shlex.quote(file)}" for file in dict.fromkeys(missing))
    cameras = " ".join(f"--camera {name}=rtsp://…" for name in manifest.cameras)
    return [first or "vedette validate .", "vedette app test .", f"vedette run . {cameras}"]


def readme(template: FoundTemplate, manifest: Manifest) -> str:
    """What the new directory's README says."""
    models = [model.file for model in manifest.models.values() if not model.built_in and "." not in model.file]
    first = "\n".join(f"vedette model add {file}" for file in dict.fromkeys(models)) or "vedette validate ."
    cameras = " ".join(f"--camera {name}=rtsp://camera.example/stream" for name in manifest.cameras)
    kinds = (("rule", manifest.rules), ("insight", manifest.insights))
    rows = "\n".join(
        f"| {kind} `{key}` | {entry.title or entry.type} |" for kind, entries in kinds for key, entry in entries.items()
    )
    parameters = "\n".join(f"| parameter `{key}` | {entry.title} |" for key, entry in manifest.parameters.items())
    title = (manifest.title or template.about.summary).rstrip(".")
    return f"""# {manifest.name}

{title}. Made from the template `{template.name}`.

```bash
{first}
vedette app test .
vedette run . {cameras}
```

| in `vedette.yaml` | what it is |
|---|---|
{chr(10).join(filter(None, (rows, parameters)))}

`tests/*.yaml` say what must be reported on which recording. A parameter is changed while the application runs:
`vedette app set {manifest.name} NAME=VALUE`.
"""
