"""``vedette publish``: built components become versions in the account, which rollouts can bring to devices."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.aws.account import Account
from vedette.cli.publication import (
    BuildChoice,
    Published,
    built_tree,
    publication_document,
    publication_table,
    publish_now,
    publisher,
    releases,
    size_text,
)
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.model_card import Target
from vedette.core.fleet.build_target import Accelerator, Platform


def publish(
    path: Annotated[
        Path, typer.Argument(metavar="TREE|APP_DIR", help="A tree of `vedette build`, or an application's directory.")
    ],
    platform: Annotated[Platform | None, typer.Option(help="An application: of the devices; else this machine's.")] = (
        None
    ),
    accelerator: Annotated[Accelerator, typer.Option(help="An application: what runs its models there.")] = (
        Accelerator.CPU
    ),
    target: Annotated[Target | None, typer.Option(help="An application: kind of device.")] = None,
    python_version: Annotated[str | None, typer.Option(help="An application: Python on the devices.")] = None,
    clips: Annotated[
        list[Path] | None, typer.Option(help="An application: folder of recordings for its tests; may be repeated.")
    ] = None,
    libraries: Annotated[
        bool, typer.Option("--libraries/--no-libraries", help="Without: for devices whose image has them.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
    stage: Annotated[str, typer.Option(help="Of the stacks.")] = DEFAULT_STAGE,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Bring built components into the account: files first, then a component version of each.

    A file lies in the bucket under its SHA-256 and is sent once; an upload that broke off goes on where it stopped. A
    version that is there with the same content is left alone; with other content it is refused: devices may run it.

    Examples:
        vedette build --out build/edge && vedette publish build/edge

        vedette publish examples/people_flow --platform linux/arm64

        vedette publish build/edge --dry-run --json
    """
    choice = BuildChoice(platform, accelerator, target, python_version, tuple(clips or ()), libraries)
    console = Console(stderr=True, highlight=False)
    made = publisher(Account(stage))
    with built_tree(path, choice, lambda text: console.print(escape(text), soft_wrap=True)) as built:
        publication = made.plan(releases(built))
        if dry_run:
            done = Published(publication)
        else:
            try:
                done = publish_now(made, publication, console)
            except KeyboardInterrupt:
                print("Stopped. The same command goes on where this one was.", file=sys.stderr)
                raise typer.Exit(130) from None
        if json_:
            print(json.dumps(publication_document(done, dry_run=dry_run)))
        else:
            _print(done, dry_run=dry_run)


def _print(done: Published, *, dry_run: bool) -> None:
    out = Console(highlight=False, soft_wrap=True)
    out.print(publication_table(done.publication, done=not dry_run))
    components = done.publication.components
    if dry_run:
        out.print(f"Nothing was changed. To send: {size_text(done.publication.bytes_missing)}.")
    elif all(one.there for one in components):
        out.print("Everything is there already.")
    else:
        new = sum(not one.there for one in components)
        rate = f", {done.sent / done.seconds / 1e6:.1f} MB/s" if done.sent and done.seconds else ""
        out.print(
            f"{new} of {len(components)} published in {done.seconds:.0f} s. Sent {size_text(done.sent)}{rate}"
            + (f"; {size_text(done.kept)} were in the bucket." if done.kept else ".")
        )
