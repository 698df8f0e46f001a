"""``vedette doctor``: whether this machine has what the edge side needs, and what to do where it has not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from vedette.cli.doctor_checks import Check, run_checks
from vedette.cli.doctor_cloud import run_cloud_checks
from vedette.cli.tables import plain_table
from vedette.contracts.account import DEFAULT_STAGE

_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red", "optional": "dim"}


def doctor(
    state: Annotated[Path, typer.Option("--state", help="State directory whose disk is checked.")] = Path(
        "/var/lib/vedette"
    ),
    cloud: Annotated[
        bool, typer.Option("--cloud", help="Check what `cdk deploy` needs and the account, instead of this machine.")
    ] = False,
    stage: Annotated[str, typer.Option(help="With --cloud: stage of the stacks.")] = DEFAULT_STAGE,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Check this machine: Python, packages, codecs, inference, memory, disk, clock, sockets.

    Ends with 1 where something that is needed is missing.

    Examples:
    vedette doctor

    vedette doctor --cloud --stage prod
    """
    checks = run_cloud_checks(stage) if cloud else run_checks(state)
    healthy = all(check.state != "fail" for check in checks)
    if json_:
        print(json.dumps({"healthy": healthy, "checks": [check.document() for check in checks]}))
    else:
        _print(checks, "This account can be deployed to" if cloud else "This machine can run Vedette")
    raise typer.Exit(0 if healthy else 1)


def _print(checks: list[Check], verdict: str) -> None:
    console = Console(highlight=False)
    table = plain_table("", "what", "found", "what to do")
    for check in checks:
        label = f"[{_STYLES[check.state]}]{check.state}[/]"
        table.add_row(label, escape(check.name), escape(check.found), escape(check.advice))
    console.print(table)
    failed = sum(check.state == "fail" for check in checks)
    warned = sum(check.state == "warn" for check in checks)
    if not failed:
        console.print(f"{verdict}{_warnings(warned)}.", style="bold")
    else:
        console.print("1 thing is missing." if failed == 1 else f"{failed} things are missing.", style="bold red")


def _warnings(number: int) -> str:
    return "" if not number else "; 1 warning" if number == 1 else f"; {number} warnings"
