"""``vedette remove``: an application is taken from a fleet or a device, ring by ring."""

from __future__ import annotations

from typing import Annotated

import typer

from vedette.adapters.aws.account import Account
from vedette.cli.deployment import Manner, Wanted, bring_out, gate_policy
from vedette.cli.fleet_options import (
    STAGE,
    Device,
    DryRun,
    Fleet,
    Json,
    Rings,
    Stage,
    Wait,
    Yes,
    askable,
    rollouts,
    target,
    timing,
)
from vedette.contracts.rollout import ApplicationChange


def remove(
    application: Annotated[str, typer.Argument(metavar="APP", help="Name of the application.")],
    fleet: Fleet = None,
    device: Device = None,
    rings: Rings = None,
    soak: Annotated[str, typer.Option(help="How long enough devices must have been without it.")] = "10m",
    timeout: Annotated[str, typer.Option(help="After which a ring gets it back.")] = "1h",
    check_every: Annotated[str, typer.Option(help="How often the gate looks.")] = "60s",
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Wait = True,
    stage: Stage = STAGE,
    json_: Json = False,
) -> None:
    """Take an application from devices, ring by ring, with the same gate; its versions stay in the account.

    Examples:
        vedette remove people_flow --fleet main

        vedette remove people_flow --device SN-2041 --yes
    """
    policy = gate_policy(**timing(soak, timeout, check_every))
    askable(yes=yes, dry_run=dry_run)
    account = Account(stage)
    about, made = target(account, fleet, device, rings), rollouts(account)
    change = ApplicationChange(name=application, to=None)
    now = made.plan(about.fleet, change, rings=about.rings)
    bring_out(made, Wanted(about, change, now, policy), Manner(dry_run=dry_run, yes=yes, wait=wait, as_json=json_))
