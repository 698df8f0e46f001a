"""``vedette device register``: a serial number becomes a device of the fleet, with a token that is good once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.registry import Registry
from vedette.cli.tables import key_value_table
from vedette.contracts.account import DEFAULT_FLEET, DEFAULT_STAGE, RINGS
from vedette.core.fleet.registration import DEFAULT_VALID_S


def register(
    serial: Annotated[str, typer.Argument(help="As it stands on the device.")],
    fleet: Annotated[str, typer.Option(help="It belongs to, for good.")] = DEFAULT_FLEET,
    ring: Annotated[str, typer.Option(help="Of the fleet, for good: its turn in rollouts.")] = RINGS[-1],
    site: Annotated[str, typer.Option(help="Where it is; people subscribe to the alerts of sites.")] = "site",
    thing: Annotated[str | None, typer.Option(help="Its name; made of the serial number where absent.")] = None,
    hours: Annotated[float, typer.Option(min=0.1, max=720, help="How long the token is good.")] = DEFAULT_VALID_S
    / 3600,
    stage: Annotated[str, typer.Option(help="Of the stacks.")] = DEFAULT_STAGE,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Register a device. The token is shown once and stored nowhere; the same serial number again makes a new one.

    What the machine does with it is in docs/provisioning.md.

    Examples:
        vedette device register SN-2041 --fleet main --ring canary --site berlin

        vedette device register SN-2041 --json
    """
    made = Registry(Account(stage)).register(
        serial, fleet=fleet, ring=ring, site=site, thing=thing, valid_s=int(hours * 3600)
    )
    until = datetime.fromtimestamp(made.expires_at, UTC)
    document = {**made.device.model_dump(), "token": made.token, "expires_at": until.isoformat()}
    if json_:
        print(json.dumps(document))
        return
    table = key_value_table()
    for key, value in document.items():
        table.add_row(key, escape(value))
    Console(highlight=False).print(table)
    print("The token is good once, and is not shown again.")
