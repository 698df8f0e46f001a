"""``vedette rollback`` and ``vedette abort``: devices get back what they ran before."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.rollouts import Rollouts
from vedette.cli.deployment import Manner, Wanted, ask_and_start, gate_policy, refuse_if_running, show_plan
from vedette.cli.fleet_options import (
    STAGE,
    Device,
    DryRun,
    Fleet,
    Json,
    Rings,
    Stage,
    Target,
    Wait,
    Yes,
    agreed,
    askable,
    rollouts,
    target,
    timing,
)
from vedette.cli.rollout_view import follow, print_end, ring_text
from vedette.contracts.rollout import ApplicationChange, Rollout, RolloutStatus

Reason = Annotated[str, typer.Option(help="Recorded with the rollout.")]


def rollback(
    application: Annotated[str, typer.Argument(metavar="APP", help="Name of the application.")],
    fleet: Fleet = None,
    device: Device = None,
    rings: Rings = None,
    reason: Reason = "",
    soak: Annotated[str, typer.Option(help="How long enough devices must have run it.")] = "10m",
    timeout: Annotated[str, typer.Option(help="After which a ring is left as it was.")] = "1h",
    check_every: Annotated[str, typer.Option(help="How often the gate looks.")] = "60s",
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Wait = True,
    stage: Stage = STAGE,
    json_: Json = False,
) -> None:
    """Give devices back what they ran of an application before the last rollout of it.

    A rollout of it that is under way is aborted, and takes back what it changed. Else a rollout brings each ring what
    it ran before the last one that succeeded; only the devices' health judges it, nothing is compared. What others
    changed meanwhile stays.

    Examples:
        vedette rollback people_flow --fleet main

        vedette rollback people_flow --device SN-2041 --yes
    """
    manner = Manner(dry_run=dry_run, yes=yes, wait=wait, as_json=json_)
    policy = gate_policy(**timing(soak, timeout, check_every))
    askable(yes=yes, dry_run=dry_run)
    account = Account(stage)
    about, made = target(account, fleet, device, rings), rollouts(account)
    console = Console(stderr=True, highlight=False)
    change = ApplicationChange(name=application, to=None)
    running = made.plan(about.fleet, change, rings=about.rings).running
    if running is not None:
        _abort_for(made, running, about, reason or f"vedette rollback {application}", manner, console)
        return
    plan = made.plan_rollback(about.fleet, application, rings=about.rings)
    refuse_if_running(plan)
    wanted = Wanted(about, plan.change, plan, policy, console=console)
    show_plan(plan, wanted)
    if plan.takes_back is not None:
        console.print(f"It takes back rollout {plan.takes_back}.")
    if manner.dry_run:
        console.print("Nothing was changed.")
        return
    ask_and_start(made, plan, wanted, manner, {"target": str(about)})


def abort(
    rollout: Annotated[str, typer.Argument(metavar="ROLLOUT", help="Its id, as `vedette status --fleet` shows it.")],
    reason: Reason = "",
    wait: Wait = True,
    stage: Stage = STAGE,
    json_: Json = False,
) -> None:
    """Stop a rollout and give every ring that it changed back what it ran; ends with 0 when that is done.

    Examples:
        vedette abort r-5f0c2a9d1e7b4c36 --reason "wrong site"
    """
    made = rollouts(Account(stage))
    _abort(made, rollout, reason, Manner(wait=wait, as_json=json_), Console(stderr=True, highlight=False))


def _abort_for(made: Rollouts, running: str, about: Target, reason: str, manner: Manner, console: Console) -> None:
    """Abort a rollout that is under way, also where it is of more than was named, which is said."""
    found = made.status(running)
    rings = ", ".join(ring_text(step.ring) for step in found.rings)
    console.print(
        f"Rollout {running} of it is under way on {escape(rings)}: it would be aborted and taken back.", soft_wrap=True
    )
    if manner.dry_run:
        console.print("Nothing was changed.")
        return
    if not agreed(f"Abort it for {about}?", yes=manner.yes):
        console.print("Nothing was changed.")
        raise typer.Exit(1)
    _abort(made, running, reason, manner, console)


def _abort(made: Rollouts, rollout: str, reason: str, manner: Manner, console: Console) -> None:
    asked = made.abort(rollout, reason=reason)
    console.print(f"Rollout {rollout} is asked to stop; its next look takes it back.")
    ended: Rollout = follow(made, rollout, console) if manner.wait else asked
    if manner.as_json:
        print(json.dumps({"rollout": ended.model_dump(mode="json")}))
    if not manner.wait:
        console.print(f"To see it: vedette status --rollout {rollout}")
        return
    print_end(ended, console)
    # It may have succeeded before it heard of it: then nothing was taken back.
    raise typer.Exit(0 if ended.status is RolloutStatus.ROLLED_BACK else 1)
