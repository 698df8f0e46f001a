"""``vedette build``: our components as a folder that the stacks, or a local deployment, take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from vedette.cli.tables import plain_table
from vedette.local.component_tree import Built, build_tree

DEFAULT_OUT: Final = Path("build/components")


def build(
    out: Annotated[Path, typer.Option(help="Folder for recipes/ and artifacts/, made where there is none.")] = (
        DEFAULT_OUT
    ),
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Build the components: a recipe and a zip for each, the same bytes for the same sources.

    Libraries are not in the zips (the lock that names them is): the device's image has to have them.

    Examples:
        vedette build

        vedette build --out components && vedette cloud up --set components="$PWD/components"
    """
    made = build_tree(out)
    if json_:
        print(json.dumps({"components": [_document(one) for one in made]}))
        return
    table = plain_table("component", "version", "zip")
    for one in made:
        table.add_row(escape(one.name), one.version, f"{one.size / 1000:,.0f} kB")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(
        f"In {escape(str(out))}. To make them versions in the account: the setting `components`, docs/cloud.md."
    )


def _document(one: Built) -> dict[str, str | int]:
    return {
        "name": one.name,
        "version": one.version,
        "recipe": str(one.recipe),
        "artifact": str(one.artifacts[0].path),
        "bytes": one.size,
    }
