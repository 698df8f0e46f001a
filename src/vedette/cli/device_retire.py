"""``vedette device retire``: a device loses everything it could do, for good."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from vedette.adapters.aws.account import Account
from vedette.adapters.aws.devices import Devices
from vedette.adapters.aws.retirement import Retirement
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.errors import UsageError
from vedette.core.fleet.device_item import retired_s, text


def retire(
    name: Annotated[str, typer.Argument(help="Its name or serial number.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    stage: Annotated[str, typer.Option(help="Of the stacks.")] = DEFAULT_STAGE,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output; needs --yes.")] = False,
) -> None:
    """Retire a device: stolen, broken, sold. Its certificates are revoked, its token and registration are void.

    A retirement that broke off is finished by the same command. The record stays, and the serial number is taken
    again only with `vedette device register --again`. What is on the machine stays there: wipe it.

    Examples:
        vedette device retire SN-2041

        vedette device retire SN-2041 --yes --json
    """
    account = Account(stage)
    item = Devices(account).item(name)
    thing = text(item, "thing")
    if not yes:
        if json_:
            raise UsageError("--json asks nothing.", hint="Add --yes.")
        was = " It was retired already; what is left of it is taken away." if retired_s(item) is not None else ""
        typer.confirm(f"Retire {thing} (serial number {text(item, 'serial')})? It cannot be undone.{was}", abort=True)
    steps: list[str] = []

    def told(step: str) -> None:
        steps.append(step)
        if not json_:
            print(f"{thing}: {step}")

    Retirement(account).retire(item, told)
    if json_:
        print(json.dumps({"thing": thing, "serial": text(item, "serial"), "retired": True, "steps": steps}))
