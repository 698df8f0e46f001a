"""``vedette device reboot``: restart machines, by a job of AWS IoT."""

from __future__ import annotations

from typing import Annotated

import typer

from vedette.adapters.aws.account import Account
from vedette.cli.device_jobs import default_limit_s, resolved, run_job, target
from vedette.contracts.account import DEFAULT_STAGE
from vedette.contracts.device_job import RebootJob


def reboot(
    device: Annotated[str | None, typer.Option(help="Name or serial number of one device.")] = None,
    fleet: Annotated[str | None, typer.Option(help="All devices of a fleet, ring by ring.")] = None,
    ring: Annotated[list[str] | None, typer.Option("--ring", help="With --fleet: these rings only.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until the machines are back.")] = False,
    limit: Annotated[float | None, typer.Option(min=1, help="With --wait: seconds for each ring.")] = None,
    stage: Annotated[str, typer.Option(help="Of the stacks.")] = DEFAULT_STAGE,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Restart machines. It has succeeded when the machine says that it is another boot.

    Ends with 1 where a device did not do it. A device that is offline does it when it is back.

    Examples:
        vedette device reboot --device SN-2041 --wait

        vedette device reboot --fleet main --ring canary --wait --json
    """
    whom, job, account = target(device, fleet, ring), RebootJob(), Account(stage)
    targets = resolved(account, whom, wait=wait)
    run_job(account, job, whom, targets, wait=wait, limit_s=limit or default_limit_s(job), json_=json_)
