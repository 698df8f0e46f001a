"""``vedette model status``: where every version stands for every kind of device."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.models import LOOK_S, CloudModels
from vedette.cli.tables import plain_table
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.errors import CloudError
from vedette.contracts.model_record import ModelRecord, ModelState

Stage = Annotated[str, typer.Option("--stage", help="Of the stacks.")]
_COLOURS: Final = {ModelState.RELEASED: "green", ModelState.FAILED: "red", ModelState.REFUSED: "red"}


def status(
    name: Annotated[str, typer.Argument(help="Of one model; all where left out.")] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Show changes until interrupted.")] = False,
    stage: Stage = DEFAULT_STAGE,
    json_: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """States of models in the account, and the reason where one was refused or failed.

    Examples:
    vedette model status

    vedette model status parts --watch
    """
    models = CloudModels(Account(stage))
    found = models.records(name)
    if name and not found:
        raise CloudError(f"the account knows no model {name!r}.", hint="See: vedette model status", code="V006")
    if json_:
        print(json.dumps([record.model_dump(mode="json") for record in found]))
        return
    console = Console(highlight=False)
    if not watch:
        console.print(states_table(found) if found else "There is no model yet: vedette model compile FILE")
        return
    with Live(states_table(found), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(LOOK_S)
            live.update(states_table(models.records(name)), refresh=True)


def states_table(records: Sequence[ModelRecord]) -> Table:
    """One row a version and target."""
    table = plain_table("model", "version", "target", "state", "runtime", "updated", "reason")
    for record in records:
        colour = _COLOURS.get(record.state, "yellow")
        table.add_row(
            record.model,
            record.version,
            record.target.value if record.target else "all",
            f"[{colour}]{record.state.value}[/]",
            record.runtime,
            f"{record.updated_at:%Y-%m-%d %H:%M:%SZ}",
            escape(record.reason),
        )
    return table
