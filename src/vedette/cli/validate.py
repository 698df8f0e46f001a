"""``vedette validate``: every mistake of a manifest, as a compiler would show it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from vedette.adapters.manifest import Mistake, check_manifest, load_manifest, manifest_path
from vedette.adapters.models.store import ModelStore, resolve_model
from vedette.cli.tables import key_value_table
from vedette.contracts.errors import VedetteError
from vedette.contracts.manifest import Manifest


def validate(
    manifest: Annotated[Path, typer.Argument(help="vedette.yaml, or the directory it lies in.")],
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Find every mistake of a manifest: line, column, what was found, what is allowed, what was probably meant.

    Ends with 0 where the manifest can be used, else with 1. Says then what the application needs.
    """
    mistakes = check_manifest(manifest)
    errors = [mistake for mistake in mistakes if mistake.level == "error"]
    if json_:
        print(json.dumps({"valid": not errors, "mistakes": [_document(mistake) for mistake in mistakes]}))
    else:
        _print(manifest, mistakes, errors)
    raise typer.Exit(1 if errors else 0)


def _document(mistake: Mistake) -> dict[str, object]:
    document = asdict(mistake)
    for key in ("source", "width"):
        document.pop(key)
    return document


def _print(manifest: Path, mistakes: list[Mistake], errors: list[Mistake]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for mistake in mistakes:
        headline, *rest = mistake.render().splitlines()
        console.print(Text(headline, "bold red" if mistake.level == "error" else "bold yellow"))
        for line in rest:
            console.print(Text(line, "cyan" if line.lstrip(" |").startswith("^") else ""))
    if errors:
        count = "1 mistake" if len(errors) == 1 else f"{len(errors)} mistakes"
        console.print(Text(f"{count}. Every field is described in docs/manifest.md.", "bold"))
        return
    _print_needs(load_manifest(manifest), manifest_path(manifest).resolve().parent, console)


def _print_needs(manifest: Manifest, directory: Path, console: Console) -> None:
    """What the application asks of a device."""
    title = f" ({manifest.title})" if manifest.title else ""
    console.print(Text(f"{manifest.name} {manifest.version}{title} can be used. It needs:", "bold green"))
    table = key_value_table(4)
    for name, camera in manifest.cameras.items():
        used = [f"{key} at {p.fps:g} fps" for key, p in manifest.pipelines.items() if name in p.cameras]
        if manifest.panorama is not None and name in manifest.panorama.cameras:
            used.append(f"Panorama code at {manifest.panorama.fps:g} fps")
        table.add_row("camera", escape(name), escape(camera.title), escape(", ".join(used)))
    store = ModelStore.default()
    for name, model in manifest.models.items():
        try:
            found = "comes with the program" if model.built_in else str(resolve_model(model.file, directory, store))
        except VedetteError as error:
            found = f"not here yet. {error.hint}"
        table.add_row("model", escape(name), escape(f"{model.family} {model.file}"), escape(found))
    for name, rule in manifest.rules.items():
        cameras = ", ".join(manifest.rule_cameras(rule))
        table.add_row("rule", escape(name), f"{rule.type}, {rule.severity}", escape(f"on {cameras}"))
    for name, insight in manifest.insights.items():
        cameras = ", ".join(manifest.rule_cameras(insight))
        every = f"every {manifest.insights_interval_s} s"
        table.add_row("insight", escape(name), f"{insight.type}, {every}", escape(f"on {cameras}"))
    for name, hook in manifest.hooks.items():
        pictures = f"sees {', '.join(hook.cameras)} at {hook.frames_fps:g} fps" if hook.cameras else "sees no pictures"
        peers = ", ".join(f"{peer.host}:{peer.port}" for peer in hook.peers())
        reach = f"may connect to {peers}" if peers else "no network"
        table.add_row("hook", escape(name), escape(hook.file), escape(f"{pictures}, {reach}"))
    if (code := manifest.panorama) is not None:
        sees = f"sees {', '.join(code.cameras)} at {code.fps:g} fps" if code.cameras else "sees no pictures"
        peers = ", ".join(f"{peer.host}:{peer.port}" for peer in code.peers())
        reach = f"may connect to {peers}" if peers else "no network"
        listens = "".join(f", reached at {route.address}:{route.host_port}" for route in code.routes)
        puts = f", puts {', '.join(code.outputs)}" if code.outputs else ""
        table.add_row("code", "panorama", escape(" ".join(code.entry)), escape(f"{sees}{puts}, {reach}{listens}"))
    for name, action in manifest.actions.items():
        secret = getattr(action, "secret", None)
        table.add_row("action", escape(name), action.type, escape(f"secret {secret}" if secret else ""))
    console.print(table)
