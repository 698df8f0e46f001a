"""``vedette status --fleet``, ``--device`` and ``--rollout``: what the account says, in place of this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.devices import Devices
from vedette.cli.fleet_options import rollouts, target
from vedette.cli.rollout_view import print_rollout, ring_text, rollout_rows
from vedette.cli.tables import plain_table
from vedette.contracts.rollout import ApplicationChoice, DesiredState, Rollout, RolloutStatus, device_ring
from vedette.core.fleet.device_item import text
from vedette.core.fleet.device_summary import summary
from vedette.core.fleet.overview import RingOverview, overview

#: Rollouts that are asked for, and of those that are over shown.
_ASKED, _SHOWN = 20, 5


def account_status(fleet: str | None, device: str | None, rollout: str | None, stage: str, *, as_json: bool) -> bool:
    """Show one rollout, a fleet, or a device.

    Returns:
        Whether all is well: nothing is unwell, and the rollout that was asked for was not taken back.

    Raises:
        CloudError: V009, V020; V001 to V003.
        UsageError: V701, both a fleet and a device were named.
    """
    account = Account(stage)
    made = rollouts(account)
    if rollout is not None:
        return _rollout(made.status(rollout), as_json=as_json)
    about = target(account, fleet, device)
    devices, now_s = Devices(account), time.time()
    items = [devices.item(about.device)] if about.device else list(devices.of_fleet(about.fleet))
    cores = devices.core_states() if items else {}
    told = [summary(item, now_s, cores.get(text(item, "thing"), "")) for item in items]
    states = made.desired(about.fleet)
    if about.device:
        own = {told[0].ring, device_ring(about.device)}
        states = tuple(state for state in states if state.ring in own)
    rings = overview(states, told)
    newest = made.newest(about.fleet, limit=_ASKED)
    if about.device:
        newest = tuple(one for one in newest if {step.ring for step in one.rings} & {state.ring for state in states})
    if as_json:
        document = {
            "fleet": about.fleet,
            **({"device": about.device} if about.device else {}),
            "rings": [ring.document() for ring in rings],
            "rollouts": [one.model_dump(mode="json") for one in newest],
        }
        print(json.dumps(document))
    else:
        _print(about.fleet, rings, newest, Console(highlight=False))
    return not any(ring.unwell for ring in rings)


def _rollout(found: Rollout, *, as_json: bool) -> bool:
    if as_json:
        print(json.dumps(found.model_dump(mode="json")))
    else:
        print_rollout(found, Console(highlight=False))
    return found.status is not RolloutStatus.ROLLED_BACK


def _print(fleet: str, rings: Sequence[RingOverview], newest: Sequence[Rollout], console: Console) -> None:
    console.print(f"[bold]fleet {escape(fleet)}[/bold]")
    console.print(_rings_table(rings))
    applications = _applications_table(rings)
    if applications.row_count:
        console.print(applications)
    else:
        console.print("No application yet: vedette deploy DIR --fleet " + escape(fleet))
    for ring in rings:
        for thing, wrong in ring.trouble:
            what = ", ".join(one.replace("_", " ") for one in wrong)
            console.print(f"[red]{escape(thing)}[/] ({escape(ring_text(ring.ring))}): {escape(what)}", soft_wrap=True)
        if ring.unwell > len(ring.trouble):
            console.print(f"and {ring.unwell - len(ring.trouble)} more: vedette device list --fleet {fleet} --unwell")
    running = [one for one in newest if one.status is RolloutStatus.RUNNING]
    over = [one for one in newest if one.status is not RolloutStatus.RUNNING][:_SHOWN]
    if running or over:
        console.print(rollout_rows((*running, *over)))
        console.print("More of one: vedette status --rollout ROLLOUT")


def _rings_table(rings: Sequence[RingOverview]) -> Table:
    table = plain_table("ring", "devices", "online", "unwell", "failed", "not installed", "tell that they run")
    for ring in rings:
        versions = ", ".join(f"{version} ({count})" for version, count in ring.versions[:_SHOWN])
        table.add_row(
            escape(ring_text(ring.ring)),
            str(ring.devices),
            str(ring.online),
            f"[red]{ring.unwell}[/]" if ring.unwell else "0",
            f"[red]{ring.failed}[/]" if ring.failed else "0",
            str(ring.waiting) if ring.waiting else "",
            escape(versions),
        )
    return table


def _applications_table(rings: Sequence[RingOverview]) -> Table:
    table = plain_table("application", "ring", "should run", "cameras", "parameters")
    names = sorted({name for ring in rings for name in (*ring.desired.applications, *ring.desired.candidates)})
    for name in names:
        for ring in rings:
            if (choice := ring.desired.applications.get(name)) is not None:
                table.add_row(escape(name), escape(ring_text(ring.ring)), choice.version, *_chosen(choice))
            if (compared := _candidate(ring.desired, name)) is not None:
                table.add_row(escape(name), escape(ring_text(ring.ring)), f"{compared.version} is compared", "", "")
    return table


def _candidate(state: DesiredState, name: str) -> ApplicationChoice | None:
    return state.candidates.get(name)


def _chosen(choice: ApplicationChoice) -> tuple[str, str]:
    bound = ", ".join(f"{name}={'+'.join(cameras)}" for name, cameras in choice.bindings.items())
    values = ", ".join(f"{name}={value}" for name, value in choice.parameters.items())
    return escape(bound or "by name"), escape(values)
