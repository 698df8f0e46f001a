"""``vedette device list``: a fleet's devices, each in a line."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.devices import Devices
from vedette.cli.tables import plain_table
from vedette.contracts.account import DEFAULT_FLEET, DEFAULT_STAGE
from vedette.core.fleet.device_item import text
from vedette.core.fleet.device_summary import DeviceSummary, ago, chosen, summary


def list_(
    fleet: Annotated[str, typer.Option(help="Of the devices.")] = DEFAULT_FLEET,
    ring: Annotated[str | None, typer.Option(help="Of this ring only.")] = None,
    site: Annotated[str | None, typer.Option(help="At this site only.")] = None,
    unwell: Annotated[bool, typer.Option("--unwell", help="Those with something wrong only.")] = False,
    stage: Annotated[str, typer.Option(help="Of the stacks.")] = DEFAULT_STAGE,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """List devices: ring, site, version, when they last told how they are, and what is wrong.

    Requests to the account grow with pages of devices, not with devices. Devices that were retired are not listed.

    Examples:
        vedette device list

        vedette device list --fleet main --ring canary --unwell --json
    """
    devices, now_s = Devices(Account(stage)), time.time()
    items = list(devices.of_fleet(fleet))
    cores = devices.core_states() if items else {}
    found = chosen(
        (summary(item, now_s, cores.get(text(item, "thing"), "")) for item in items),
        ring=ring,
        site=site,
        unwell=unwell,
    )
    if json_:
        print(json.dumps({"fleet": fleet, "devices": [one.document() for one in found]}))
        return
    if not items:
        print(
            f"No devices in fleet {fleet}. The first: vedette device register SERIAL --fleet {fleet} --out FILE.tar.gz"
        )
        return
    _print(found, now_s)


def _print(found: list[DeviceSummary], now_s: float) -> None:
    table = plain_table("device", "ring", "site", "version", "last seen", "deployment", "what is wrong")
    for one in found:
        seen = f"{ago(now_s - one.last_seen_s)} ago" if one.last_seen_s is not None else "never"
        wrong = ", ".join(
            f"{one.cameras_down} cameras down"
            if name == "camera_down" and one.cameras_down > 1
            else name.replace("_", " ")
            for name in one.conditions
        )
        style = "red" if one.unwell else ""
        values = (one.thing, one.ring, one.site, one.version, seen, one.core.lower() or "none yet", wrong)
        table.add_row(*(escape(value) for value in values), style=style)
    console = Console(highlight=False)
    console.print(table)
    unwell = sum(one.unwell for one in found)
    number = "1 device" if len(found) == 1 else f"{len(found)} devices"
    console.print(f"{number}, {unwell} with something wrong.", style="bold")
